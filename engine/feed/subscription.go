package feed

import (
	"cmp"
	"slices"
	"time"

	"hyperlight/engine/model"
)

// subscription is one channel and how far it is. Supervisor.mu guards it.
type subscription struct {
	channel Channel
	market  model.MarketID // model.NoMarket for channels of the whole venue
	wanted  bool

	socket     *socket // the connection that carries it, nil where it is not subscribed
	state      state
	held       bool      // data came on this connection: its end must be told as a gap
	unanswered int       // messages sent for it that have no answer yet
	leaves     int       // unsubscribes sent for it that were not acknowledged, however long ago
	sentAt     time.Time // of the newest of them
	again      bool      // the next subscribe goes out behind an unsubscribe: the venue may hold the channel
	attempts   int       // subscribes without an answer in a row
	notBefore  time.Time // nothing is sent for it before

	resync   bool          // a live channel that needs a new snapshot
	resynced time.Time     // when it last got one that way
	spacing  time.Duration // to the next resync
}

type state uint8

const (
	stateIdle    state = iota
	statePending       // subscribe sent, its answer outstanding
	stateLive
	stateLeaving // unsubscribe sent for good
)

// kind returns which record the channel fills; ok is false where a gap in it is of no interest.
func (s *subscription) kind() (k model.Kind, ok bool) {
	switch s.channel.Family {
	case FamilyBook:
		return model.KindBook, true
	case FamilyTrade:
		return model.KindTrades, true
	case FamilyStats:
		return model.KindStats, true
	}
	return 0, false
}

// attach gives the subscription to a connection.
func (s *subscription) attach(so *socket) {
	s.socket = so
	so.subs[s.channel] = s
}

// detach takes it away; it can be subscribed anew elsewhere.
func (s *subscription) detach() {
	if s.socket != nil {
		delete(s.socket.subs, s.channel)
	}
	s.socket, s.state, s.held, s.unanswered, s.leaves, s.again, s.resync = nil, stateIdle, false, 0, 0, false, false
}

type plan struct {
	channel Channel
	market  model.MarketID
}

// planned lists the channels of the given markets in the order of subscribing: statistics, then all books, then all
// trades, most traded first.
func planned(markets []model.Market) []plan {
	sorted := slices.Clone(markets)
	slices.SortStableFunc(sorted, func(a, b model.Market) int {
		return cmp.Or(cmp.Compare(b.DailyQuoteVolume, a.DailyQuoteVolume), cmp.Compare(a.Native, b.Native))
	})
	plans := []plan{{Channel{FamilyStats, All}, model.NoMarket}}
	if slices.ContainsFunc(sorted, func(m model.Market) bool { return m.Type == "spot" }) {
		plans = append(plans, plan{Channel{FamilySpotStats, All}, model.NoMarket})
	}
	for _, f := range [...]Family{FamilyBook, FamilyTrade} {
		for _, m := range sorted {
			plans = append(plans, plan{Channel{f, m.Native}, m.ID})
		}
	}
	return plans
}
