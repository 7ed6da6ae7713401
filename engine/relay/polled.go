package relay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hyperlight/engine/feed/lighter"
)

const (
	// PolledAge is how old a polled answer may be that something is still answered from (contract 9.7).
	PolledAge = time.Minute
	// PollEvery is how often a poll has to be repeated, so that none grows older than PolledAge while it is under way.
	PollEvery = 50 * time.Second
	// pollWanted is how long a path is polled after somebody asked for it.
	pollWanted = 10 * time.Minute
)

// polledPaths are the calls that are repeated while somebody asks for them; every call takes from the venue's budget. The
// orderBookDetails, which are kept too, are polled for the registry in any case.
var polledPaths = []string{"orderBooks", "funding-rates", "exchangeStats"}

// Kept is a polled answer. It is immutable.
type Kept struct {
	Answer *lighter.RawAnswer
	At     time.Time // when it was received
}

// Polled keeps the venue's last answers to the calls of which the stream does not tell every member. Its methods may be
// called from any goroutine; it does not poll by itself.
type Polled struct {
	mu     sync.Mutex // a leaf lock
	kept   map[string]*Kept
	wanted map[string]time.Time // when a path was asked for last
	tried  map[string]time.Time
	failed map[string]time.Time

	changed chan struct{} // closed at the end of every try
	wake    chan struct{}
}

// NewPolled returns a keeper without answers.
func NewPolled() *Polled {
	return &Polled{kept: map[string]*Kept{}, wanted: map[string]time.Time{}, tried: map[string]time.Time{},
		failed: map[string]time.Time{}, changed: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// Keep takes the answer to a path below /api/v1/, without a query or asking for everything. The body must not be changed
// afterwards. A damaged answer leaves the former one.
func (p *Polled) Keep(path string, body []byte, at time.Time) error {
	a, err := lighter.ParseRawAnswer(body)
	if err != nil {
		return fmt.Errorf("keep answer of %s: %w", path, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[path] = &Kept{Answer: a, At: at}
	delete(p.failed, path)
	p.tell()
	return nil
}

// Failed notes that a try at a path ended without an answer.
func (p *Polled) Failed(path string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed[path] = at
	p.tell()
}

func (p *Polled) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Await is Get for a caller that can wait for the next try; false where that fails or ctx ends.
func (p *Polled) Await(ctx context.Context, path string, now func() time.Time) (*Kept, bool) {
	for {
		p.mu.Lock()
		changed, failed := p.changed, p.failed[path]
		p.mu.Unlock()
		if k, ok := p.Get(path, now()); ok {
			return k, true
		}
		if !failed.IsZero() && now().Sub(failed) < pollRetry {
			return nil, false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// Get returns the last answer to a path where it is young enough, and notes that the path is wanted.
func (p *Polled) Get(path string, now time.Time) (*Kept, bool) {
	p.mu.Lock()
	k := p.kept[path]
	p.wanted[path] = now
	p.mu.Unlock()
	if k != nil && now.Sub(k.At) <= PolledAge && !now.Before(k.At) {
		return k, true
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil, false
}

// Due returns the paths to poll now and takes them as tried.
func (p *Polled) Due(now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []string
	for _, path := range polledPaths {
		asked, ok := p.wanted[path]
		if !ok || now.Sub(asked) > pollWanted {
			continue
		}
		if k := p.kept[path]; k != nil && now.Sub(k.At) < PollEvery {
			continue
		}
		if now.Sub(p.tried[path]) < pollRetry {
			continue
		}
		p.tried[path] = now
		due = append(due, path)
	}
	return due
}

// pollRetry is the least time between two attempts at one path.
const pollRetry = 5 * time.Second

// Wake gets a value when a path was asked for that has no usable answer.
func (p *Polled) Wake() <-chan struct{} { return p.wake }
