package attribution

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// late is how long a fill may follow the book frame that already shows it. What a level did in that time is done anew
	// when one comes.
	late = model.Micros(2e6)
	// maxSteps bounds what a level keeps for that.
	maxSteps = 64
)

// step is a size that a level had from a book frame on.
type step struct {
	seq  uint64
	recv model.Micros
	size num.Size
}

// fill is what a trade took from a resting order.
type fill struct {
	nonce uint64 // books from this chain number on show it
	order uint64
	size  num.Size
}

// level is one level whose orders were listed: what was known of them up to a moment, and what happened since.
type level struct {
	price num.Price
	at    model.Millis // when the list was asked for

	base  queue  // as of seq
	seq   uint64 // fills up to this nonce are in base
	steps []step // since, oldest first
	fills []fill // since, by nonce; the last ones may not be in the book yet

	shown *model.OwnedLevel
}

// step notes the level's size after a book frame.
func (l *level) step(s step) {
	l.steps = append(l.steps, s)
	n := 0
	for n < len(l.steps)-1 && (l.steps[n].recv < s.recv-late || len(l.steps)-n > maxSteps) {
		n++
	}
	if n > 0 {
		q, used := l.replay(n)
		l.base, l.seq = q, l.steps[n-1].seq
		l.steps = slices.Delete(l.steps, 0, n)
		l.fills = slices.Delete(l.fills, 0, used)
	}
	l.show()
}

// fill notes a fill, and tells whether the book shows it already.
func (l *level) fill(f fill, seq uint64) (past bool) {
	if f.nonce <= l.seq {
		return false // the list knew it
	}
	i, _ := slices.BinarySearchFunc(l.fills, f.nonce, func(f fill, nonce uint64) int { return cmp.Compare(f.nonce, nonce+1) })
	l.fills = slices.Insert(l.fills, i, f)
	return f.nonce <= seq
}

// due tells whether a fill waits that a book of this chain number shows, though the level is the same.
func (l *level) due(seq uint64) bool {
	last := l.seq
	if n := len(l.steps); n > 0 {
		last = l.steps[n-1].seq
	}
	for _, f := range l.fills {
		if f.nonce > last && f.nonce <= seq {
			return true
		}
	}
	return false
}

// waits tells whether a fill waits for a book newer than a chain number.
func (l *level) waits(seq uint64) bool {
	return len(l.fills) > 0 && l.fills[len(l.fills)-1].nonce > seq
}

// size is the level's size now.
func (l *level) size() num.Size {
	if n := len(l.steps); n > 0 {
		return l.steps[n-1].size
	}
	return l.base.total()
}

// show makes what readers see.
func (l *level) show() {
	q, _ := l.replay(len(l.steps))
	l.shown = q.shown(l.price, l.at)
}

// replay returns what is known after the first n steps, and how many fills they hold.
func (l *level) replay(n int) (q queue, used int) {
	q = l.base.clone()
	for _, s := range l.steps[:n] {
		for used < len(l.fills) && l.fills[used].nonce <= s.seq {
			q.filled(l.fills[used].order, l.fills[used].size)
			used++
		}
		if fall := q.total() - s.size; fall > 0 {
			// A frame of trades may bear a later number than the book that shows the first of them.
			if k := l.explains(used, fall); k > 0 {
				for _, f := range l.fills[used : used+k] {
					q.filled(f.order, f.size)
				}
				used += k
			}
		}
		q.fit(s.size)
	}
	return q, used
}

// explains returns how many fills from an index on add up to a fall exactly, 0 where none do.
func (l *level) explains(from int, fall num.Size) int {
	var sum num.Size
	for i, f := range l.fills[from:] {
		if sum += f.size; sum >= fall {
			if sum == fall {
				return i + 1
			}
			return 0
		}
	}
	return 0
}
