package access

import (
	"hash/maphash"
	"maps"
	"sync"

	"hyperlight/engine/model"
)

const limiterShards = 256

// limiter holds the windows of many buckets. Buckets that have been silent for two minutes take no memory but their
// place in a map.
type limiter struct {
	seed maphash.Seed
	// perShard bounds the windows of a shard; 0: as many as there are buckets.
	perShard int
	// persistent windows are listed for the next flush when they admit.
	persistent bool
	shards     [limiterShards]limiterShard
}

type limiterShard struct {
	mu      sync.Mutex
	windows map[BucketID]*window
	dirty   []BucketID // windows whose dirty is set
	_       [24]byte   // a cache line of its own
}

func newLimiter(perShard int, persistent bool) *limiter {
	l := &limiter{seed: maphash.MakeSeed(), perShard: perShard, persistent: persistent}
	for i := range l.shards {
		l.shards[i].windows = map[BucketID]*window{}
	}
	return l
}

func (l *limiter) shard(id *BucketID) *limiterShard {
	return &l.shards[maphash.Bytes(l.seed, id[:])%limiterShards]
}

// take asks the window of a bucket for one request. A limit that changes applies at once to the admissions there are.
func (l *limiter) take(id *BucketID, limit int, now model.Millis) Decision {
	if limit == Unlimited {
		return Decision{OK: true, Limit: Unlimited, Remaining: Unlimited, Reset: now + windowMillis}
	}
	s := l.shard(id)
	s.mu.Lock()
	w := s.windows[*id]
	if w == nil {
		if l.perShard > 0 && len(s.windows) >= l.perShard {
			s.makeRoom(int64(now))
		}
		w = &window{}
		s.windows[*id] = w
	}
	d := w.take(int64(now), limit)
	if d.OK && l.persistent && !w.dirty {
		w.dirty = true
		s.dirty = append(s.dirty, *id)
	}
	s.mu.Unlock()
	return d
}

// peek tells how a bucket's window stands, without taking anything out of it.
func (l *limiter) peek(id *BucketID, limit int, now model.Millis) Decision {
	if limit != Unlimited {
		s := l.shard(id)
		s.mu.Lock()
		defer s.mu.Unlock()
		if w := s.windows[*id]; w != nil {
			return w.state(w.advance(int64(now)), limit)
		}
	}
	return Decision{OK: limit != 0, Limit: limit, Remaining: limit, Reset: now + windowMillis}
}

// makeRoom forgets one window. Of a handful taken at random it is an idle one, else the one with the fewest admissions,
// of these the one silent for longest: who floods with addresses pushes out its own, never those that are near a limit.
func (s *limiterShard) makeRoom(now int64) {
	const sample = 16
	var victim BucketID
	var least *window
	seen := 0
	for id, w := range s.windows {
		if w.newest <= now-windowMillis {
			victim = id
			break
		}
		if least == nil || w.n < least.n || w.n == least.n && w.newest < least.newest {
			victim, least = id, w
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(s.windows, victim)
}

// sweep forgets windows that nobody asked in the last two minutes: one more than the window is long, so that a
// request that comes late by up to a minute finds the same answer. The others give back what a burst left them with.
func (l *limiter) sweep(now model.Millis) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		was := len(s.windows)
		for id, w := range s.windows {
			if w.clock > int64(now)+windowMillis {
				w.advance(int64(now))
			}
			if w.clock <= int64(now)-2*windowMillis && !w.dirty {
				delete(s.windows, id)
				continue
			}
			w.fit()
		}
		if was > 64 && len(s.windows) < was/4 { // a map keeps its size when it is emptied
			kept := make(map[BucketID]*window, len(s.windows))
			maps.Copy(kept, s.windows)
			s.windows = kept
		}
		s.mu.Unlock()
	}
}

// collect calls fn with a copy of each window that has admitted something since the last call; fn may keep and change
// it until it returns. Nothing is locked while fn runs. It returns the buckets, for markDirty.
func (l *limiter) collect(fn func(id *BucketID, w *window)) []BucketID {
	var all []BucketID
	var scratch window
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		ids := s.dirty
		s.dirty = nil
		s.mu.Unlock()
		for j := range ids {
			s.mu.Lock()
			w := s.windows[ids[j]]
			if w != nil {
				w.dirty = false
				w.copyTo(&scratch)
			}
			s.mu.Unlock()
			if w != nil {
				fn(&ids[j], &scratch)
			}
		}
		all = append(all, ids...)
	}
	return all
}

// markDirty puts buckets back that could not be written.
func (l *limiter) markDirty(ids []BucketID) {
	for i := range ids {
		s := l.shard(&ids[i])
		s.mu.Lock()
		if w := s.windows[ids[i]]; w != nil && !w.dirty {
			w.dirty = true
			s.dirty = append(s.dirty, ids[i])
		}
		s.mu.Unlock()
	}
}

// restore adds the admissions of a stored second to a bucket.
func (l *limiter) restore(id *BucketID, second int64, count int) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[*id]
	if w == nil {
		w = &window{}
		s.windows[*id] = w
	}
	w.restore(second, count)
}

// known returns the number of windows held.
func (l *limiter) known() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.windows)
		s.mu.Unlock()
	}
	return n
}
