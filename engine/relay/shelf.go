package relay

import (
	"context"
	"sync"
	"time"
)

// entryOverhead is about what an entry takes besides its key and its body: the entry, the map's cell, the content type.
const entryOverhead = 320

// shelf keeps answers for their time and within a number of bytes, the longest unused leaving first, and knows which
// calls are on their way. Both are behind one lock, so that between missing an answer and joining its call nothing slips.
type shelf struct {
	limit int

	mu      sync.Mutex
	entries map[string]*entry
	newest  *entry // of the list by last use
	oldest  *entry
	size    int
	flights map[string]*flight
}

type entry struct {
	key          string
	answer       Response
	expires      time.Time
	cost         int
	newer, older *entry
}

// flight is a call that everybody who asks for the same waits for. answer and err are set before done is closed; the
// rest is guarded by the shelf's lock.
type flight struct {
	done   chan struct{}
	answer *Response
	err    error

	key       string
	waiters   int
	anonymous bool // nobody who waits has signed in
	departed  bool // the call is made; it ends even if nobody waits
	cancel    context.CancelFunc
	promote   context.CancelFunc // ends the wait for the anonymous callers' half of the budget
}

func newShelf(limit int) *shelf {
	return &shelf{limit: limit, entries: map[string]*entry{}, flights: map[string]*flight{}}
}

// ask returns a kept answer, or the call to wait for. The first one has to launch it.
func (s *shelf) ask(key []byte, anonymous bool, now time.Time) (answer *Response, f *flight, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[string(key)]; e != nil {
		if now.Before(e.expires) {
			s.use(e)
			return &e.answer, nil, false
		}
		s.remove(e)
	}
	if f = s.flights[string(key)]; f == nil {
		f = &flight{done: make(chan struct{}), key: string(key), anonymous: anonymous, cancel: func() {}, promote: func() {}}
		s.flights[f.key] = f
		first = true
	}
	f.waiters++
	if f.anonymous && !anonymous {
		f.anonymous = false
		f.promote()
	}
	return nil, f, first
}

// launch gives a flight the means to end its wait for the budget early.
func (s *shelf) launch(f *flight, cancel, promote context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.cancel, f.promote = cancel, promote
	if !f.anonymous {
		promote()
	}
}

func (s *shelf) isAnonymous(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.anonymous
}

// depart tells whether somebody still waits for a call that is about to be made.
func (s *shelf) depart(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.departed = f.waiters > 0
	return f.departed
}

// leave is called by who no longer waits. A call that was not made yet and that nobody waits for is given up.
func (s *shelf) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.waiters == 0 && !f.departed && s.flights[f.key] == f {
		delete(s.flights, f.key)
		f.cancel()
	}
}

// land ends a flight: its answer is kept for ttl, and handed to those who wait.
func (s *shelf) land(f *flight, answer *Response, err error, ttl time.Duration, now time.Time) {
	s.mu.Lock()
	if s.flights[f.key] == f {
		delete(s.flights, f.key)
	}
	if ttl > 0 {
		s.keep(f.key, answer, now.Add(ttl))
	}
	s.mu.Unlock()
	f.answer, f.err = answer, err
	close(f.done)
}

// keep puts an answer on the shelf, unless it would push an eighth of the others off.
func (s *shelf) keep(key string, answer *Response, expires time.Time) {
	cost := len(key) + len(answer.Body) + entryOverhead
	if cost > s.limit/8 {
		return
	}
	if old := s.entries[key]; old != nil {
		s.remove(old)
	}
	e := &entry{key: key, answer: *answer, expires: expires, cost: cost}
	e.answer.Cache = Hit
	s.entries[key] = e
	s.size += cost
	s.push(e)
	for s.size > s.limit {
		s.remove(s.oldest)
	}
}

func (s *shelf) remove(e *entry) {
	delete(s.entries, e.key)
	s.size -= e.cost
	s.unlink(e)
}

func (s *shelf) use(e *entry) {
	if s.newest != e {
		s.unlink(e)
		s.push(e)
	}
}

func (s *shelf) push(e *entry) {
	e.newer, e.older = nil, s.newest
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

func (s *shelf) unlink(e *entry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
	e.newer, e.older = nil, nil
}

// held returns what is kept, in bytes and answers.
func (s *shelf) held() (size, answers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size, len(s.entries)
}
