package ws

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// kept is a published frame that a client may still ask for with `since`.
type kept struct {
	frame    atomic.Pointer[Frame] // nil once the frame had to make room
	last     uint64                // seq of its last message
	messages int
	size     int
	at       time.Time
}

// ringBudget bounds the bytes that all rings keep together; the oldest frame makes room, whose ever it is. It is a leaf:
// no lock is taken while its own is held.
type ringBudget struct {
	max int

	mu    sync.Mutex
	bytes int
	queue []*kept // oldest first; entries without a frame were dropped by their ring already
}

// add counts a frame in and drops the oldest ones of all rings beyond the bound.
func (b *ringBudget) add(k *kept) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, k)
	b.bytes += k.size
	ringBytes.Add(int64(k.size))
	for len(b.queue) > 0 && (b.bytes > b.max || b.queue[0].frame.Load() == nil) {
		b.clear(b.queue[0])
		b.queue[0] = nil
		b.queue = b.queue[1:]
	}
}

// drop counts a frame out that its ring no longer wants.
func (b *ringBudget) drop(k *kept) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear(k)
}

func (b *ringBudget) clear(k *kept) {
	if k.frame.Swap(nil) != nil {
		b.bytes -= k.size
		ringBytes.Add(-int64(k.size))
	}
}

// ring holds the latest frames of a channel, without a hole in seq. The channel's lock guards it.
type ring struct {
	budget    *ringBudget
	maxFrames int
	maxAge    time.Duration
	entries   []*kept
	messages  int // of all entries
}

// add keeps a frame, whose first seq follows the last one before.
func (r *ring) add(f *Frame, now time.Time) {
	k := &kept{last: f.last(), messages: f.messages(), size: f.size, at: now}
	k.frame.Store(f)
	r.entries = append(r.entries, k)
	r.messages += k.messages
	r.budget.add(k)
	r.prune(now)
}

// prune drops what is too old, and what is not needed to keep so many messages.
func (r *ring) prune(now time.Time) {
	i := 0
	for i < len(r.entries) && (r.messages-r.entries[i].messages >= r.maxFrames || now.Sub(r.entries[i].at) > r.maxAge) {
		r.messages -= r.entries[i].messages
		r.budget.drop(r.entries[i])
		r.entries[i] = nil
		i++
	}
	r.entries = r.entries[i:]
	if len(r.entries) == 0 {
		r.entries = nil
	}
}

// reset empties the ring.
func (r *ring) reset() {
	for _, k := range r.entries {
		r.budget.drop(k)
	}
	r.entries, r.messages = nil, 0
}

// after returns the frames that hold every message after seq, oldest first; the first one may hold some up to seq too.
// last is the seq of the channel's last message. It is false where one of them is gone.
func (r *ring) after(seq, last uint64) ([]*Frame, bool) {
	if seq >= last {
		return nil, seq == last
	}
	if n := len(r.entries); n == 0 || r.entries[n-1].last != last || last-seq > uint64(r.messages) {
		return nil, false
	}
	from, _ := slices.BinarySearchFunc(r.entries, seq+1, func(k *kept, seq uint64) int { return cmp.Compare(k.last, seq) })
	frames := make([]*Frame, 0, len(r.entries)-from)
	for _, k := range r.entries[from:] {
		f := k.frame.Load()
		if f == nil {
			return nil, false
		}
		frames = append(frames, f)
	}
	return frames, true
}
