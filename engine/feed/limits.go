package feed

import "time"

// Limits are the venue's limits and our own patience. The first five are settings of the venue's section of the
// configuration (messages_per_minute and so on); zero values mean the defaults.
type Limits struct {
	MessagesPerMinute             int // client messages in any 60 s, over all sockets
	MaxUnanswered                 int // client messages without an answer, over all sockets
	MaxConnections                int
	MaxSubscriptionsPerConnection int
	MaxAccountsPerConnection      int // different accounts whose channels one connection carries

	Stale           time.Duration // silence after which a socket that carries channels is dead
	Ping            time.Duration // pause between our ping frames
	Answer          time.Duration // a subscribe without an answer for so long is sent again
	Handshake       time.Duration
	Write           time.Duration // deadline of each write
	BackoffFirst    time.Duration // longest pause before the first reconnect; doubled each time
	BackoffMax      time.Duration
	HealthyAfter    time.Duration // a socket that lived so long starts again at BackoffFirst
	MaxMessageBytes int64         // a larger frame ends the socket
	ResyncFirst     time.Duration // shortest pause between two resyncs of a market; doubled while they follow each other
	ResyncMax       time.Duration
	ThrottledPause  time.Duration // pause of all sending after the venue said "too many messages"; doubled to ThrottledMax
	ThrottledMax    time.Duration
}

// WithDefaults returns the limits with every zero replaced: those the venue published last, with the margin that
// working clients keep.
func (l Limits) WithDefaults() Limits {
	setInt := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	setInt(&l.MessagesPerMinute, 200)
	setInt(&l.MaxUnanswered, 35)
	setInt(&l.MaxConnections, 255)
	setInt(&l.MaxSubscriptionsPerConnection, 500)
	setInt(&l.MaxAccountsPerConnection, 500)
	set(&l.Stale, 15*time.Second)
	set(&l.Ping, 30*time.Second)
	set(&l.Answer, 10*time.Second)
	set(&l.Handshake, 10*time.Second)
	set(&l.Write, 10*time.Second)
	set(&l.BackoffFirst, time.Second)
	set(&l.BackoffMax, 30*time.Second)
	set(&l.HealthyAfter, time.Minute)
	set(&l.ResyncFirst, time.Second)
	set(&l.ResyncMax, 30*time.Second)
	set(&l.ThrottledPause, 10*time.Second)
	set(&l.ThrottledMax, time.Minute)
	if l.MaxMessageBytes <= 0 {
		l.MaxMessageBytes = 32 << 20
	}
	return l
}
