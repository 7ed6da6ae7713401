package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hyperlight/engine/model"
)

// CaptureOptions sets up the playing of a recording.
type CaptureOptions struct {
	File     string // .ndjson, .jsonl, either with .gz
	Loop     bool
	KeepTime bool    // do not shift the recording's times to now
	Speed    float64 // multiple of the recorded pace; 1 where zero
	// WaitSubscriptions holds the playing until there are so many subscriptions, over all clients, so that a test's
	// clients miss nothing.
	WaitSubscriptions int
	Now               func() time.Time
	Logger            *slog.Logger
}

// ErrEmptyCapture reports a recording without a single usable frame.
var ErrEmptyCapture = errors.New("no frames in the recording")

// Capture plays a recording: updates go out byte for byte as they were recorded, apart from shifted times, and a client
// that subscribes gets a frame made from the state held at that moment. All state is guarded by the hub's mutex.
type Capture struct {
	hub     *hub
	opts    CaptureOptions
	log     *slog.Logger
	lines   []recorded
	markets []*market
	state   *heldState
	next    int // the line that plays next
	shift   int64
	round   int
	moved   bool // the playing has begun: the shift stands
	done    chan struct{}
	buf     []byte
}

// NewCapture reads a whole recording into memory. Lines that hold no frame are counted, logged and left out.
func NewCapture(o CaptureOptions) (*Capture, error) {
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	lines, bad, err := readRecording(o.File)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("read recording %s: %w", o.File, ErrEmptyCapture)
	}
	if bad > 0 {
		o.Logger.Warn("lines of the recording left out", "file", o.File, "lines", bad)
	}
	c := &Capture{hub: newHub(), opts: o, log: o.Logger, lines: lines, done: make(chan struct{})}
	c.list()
	c.rewind()
	return c, nil
}

// rewind puts the state at the start of the recording: the first frame of each channel that answers a subscribe counts
// as held before the playing begins, because its channel has no update before it.
func (c *Capture) rewind() {
	c.state = newHeldState()
	c.next = 0
	seen := make(map[string]bool)
	for i := range c.lines {
		l := &c.lines[i]
		if !seen[l.channel] && l.subscribed {
			c.state.apply(l)
		}
		seen[l.channel] = true
	}
}

// Done is closed when a recording that does not loop has been played to its end.
func (c *Capture) Done() <-chan struct{} { return c.done }

// Book returns the levels of a market's book as held now, best first.
func (c *Capture) Book(market int64) (bids, asks []model.Level, ok bool) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	b := c.state.books[market]
	if b == nil {
		return nil, nil, false
	}
	return b.levels(model.Bid), b.levels(model.Ask), true
}

// Frames returns the number of frames and the recording's span.
func (c *Capture) Frames() (n int, span time.Duration) {
	return len(c.lines), time.Duration(c.lines[len(c.lines)-1].at-c.lines[0].at) * time.Microsecond
}

func (c *Capture) stream() *hub { return c.hub }

// now is the recording's time, shifted like its frames.
func (c *Capture) now() time.Time {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if c.opts.KeepTime {
		return time.UnixMicro(c.lines[min(c.next, len(c.lines)-1)].at)
	}
	return c.opts.Now()
}

// offset is what is added to every time of the recording, us. Before the playing begins it follows the clock.
func (c *Capture) offset() int64 {
	switch {
	case c.opts.KeepTime:
		return 0
	case c.moved:
		return c.shift
	}
	return c.opts.Now().UnixMicro() - c.lines[0].at
}

// run plays the recording on an absolute clock, so that a late line does not delay those behind it. At the end the
// state stays and is served until ctx ends.
func (c *Capture) run(ctx context.Context) error {
	if !c.waitForClients(ctx) {
		return nil
	}
	for {
		start := c.opts.Now()
		c.begin(start)
		for i := range c.lines {
			due := start.Add(time.Duration(float64(c.lines[i].at-c.lines[0].at)/c.opts.Speed) * time.Microsecond)
			if !sleepUntil(ctx, c.opts.Now, due) {
				return nil
			}
			c.play(i)
		}
		if !c.opts.Loop {
			close(c.done)
			<-ctx.Done()
			return nil
		}
		if !sleepUntil(ctx, c.opts.Now, start.Add(shortestRound)) {
			return nil
		}
	}
}

// shortestRound keeps a loop over a recording of a single moment from spinning.
const shortestRound = 20 * time.Millisecond

// waitForClients waits until enough channels are subscribed; false where ctx ended first.
func (c *Capture) waitForClients(ctx context.Context) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n := 0
		c.hub.mu.Lock()
		for _, list := range c.hub.subs {
			n += len(list)
		}
		c.hub.mu.Unlock()
		if n >= c.opts.WaitSubscriptions {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func sleepUntil(ctx context.Context, now func() time.Time, due time.Time) bool {
	wait := due.Sub(now())
	if wait <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// begin fixes the shift of a round. From the second round on the state starts over, and every subscriber gets the
// frame of its channel anew, because the chain of the recording begins again.
func (c *Capture) begin(start time.Time) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	c.shift, c.moved = start.UnixMicro()-c.lines[0].at, true
	if c.round++; c.round == 1 {
		return
	}
	c.rewind()
	for key := range c.hub.subs {
		if ch, e := parseKey(key); e == nil {
			c.hub.publish(key, c.snapshot(nil, ch))
		}
	}
}

// play publishes one line and takes it into the state. A recorded answer to a subscribe is news only where it does not
// repeat what the state began with.
func (c *Capture) play(i int) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	l := &c.lines[i]
	c.next = i + 1
	if l.first {
		return
	}
	c.state.apply(l)
	if c.hub.wanted(l.channel) {
		c.buf = shiftTimes(c.buf[:0], l.frame, c.offset())
		c.hub.publish(l.channel, c.buf)
	}
}
