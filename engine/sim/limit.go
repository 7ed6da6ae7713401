package sim

import (
	"sync"
	"time"
)

// Limits are the venue's limits, per client IP unless said otherwise. 0 means the venue's value of July 2026, a
// negative number switches the limit off.
type Limits struct {
	Connections          int // open sockets
	NewConnections       int // per rolling minute
	Subscriptions        int // per connection
	Accounts             int // different accounts per connection
	MessagesPerMinute    int
	UnansweredMessages   int // per connection
	RESTPerMinute        int // requests; 60 is the anonymous tier, the default 24000 is generous
	IdleTimeout          time.Duration
	QueueFrames, QueueKB int // per connection; a client that lets more pile up is disconnected
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Connections, 255)
	set(&l.NewConnections, 255)
	set(&l.Subscriptions, 500)
	set(&l.Accounts, 500)
	set(&l.MessagesPerMinute, 200)
	set(&l.UnansweredMessages, 50)
	set(&l.RESTPerMinute, 24000)
	if l.IdleTimeout == 0 {
		l.IdleTimeout = 2 * time.Minute
	}
	if l.QueueFrames <= 0 {
		l.QueueFrames = 16384
	}
	if l.QueueKB <= 0 {
		l.QueueKB = 32 << 10
	}
	return l
}

// window counts events of a rolling minute in a ring of their times.
type window struct {
	times []int64
	head  int // oldest
	n     int
}

// take counts one event at now and reports whether the limit allows it; a refused one is not counted.
func (w *window) take(limit int, now time.Time) bool {
	if limit < 0 {
		return true
	}
	t := now.UnixNano()
	for w.n > 0 && w.times[w.head] <= t-int64(time.Minute) {
		w.head = (w.head + 1) % len(w.times)
		w.n--
	}
	if w.n >= limit {
		return false
	}
	if w.n == len(w.times) {
		grown := make([]int64, min(limit, max(16, 2*w.n)))
		for i := range w.n {
			grown[i] = w.times[(w.head+i)%len(w.times)]
		}
		w.times, w.head = grown, 0
	}
	w.times[(w.head+w.n)%len(w.times)] = t
	w.n++
	return true
}

// client is what the venue remembers of one IP.
type client struct {
	open     int
	connects window
	messages window
	requests window
	heavy    window // reads of weight 600
}

// clients holds the counters of every IP; a simulator on loopback has few.
type clients struct {
	mu sync.Mutex
	m  map[string]*client
}

func (c *clients) with(ip string, fn func(*client) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.m[ip]
	if x == nil {
		x = &client{}
		c.m[ip] = x
	}
	return fn(x)
}

// connect counts a new socket of ip; false where a limit of connections is reached.
func (c *clients) connect(ip string, l Limits, now time.Time) bool {
	return c.with(ip, func(x *client) bool {
		if l.Connections >= 0 && x.open >= l.Connections || !x.connects.take(l.NewConnections, now) {
			return false
		}
		x.open++
		return true
	})
}

func (c *clients) disconnect(ip string) {
	c.with(ip, func(x *client) bool { x.open--; return true })
}

func (c *clients) message(ip string, l Limits, now time.Time) bool {
	return c.with(ip, func(x *client) bool { return x.messages.take(l.MessagesPerMinute, now) })
}

// request counts a REST read. On the anonymous tier the heavy reads have the lower limit of 24000 / weight.
func (c *clients) request(ip string, l Limits, weight int, now time.Time) bool {
	return c.with(ip, func(x *client) bool {
		if weight >= 600 && l.RESTPerMinute > 0 && l.RESTPerMinute <= 60 && !x.heavy.take(24000/weight, now) {
			return false
		}
		return x.requests.take(l.RESTPerMinute, now)
	})
}
