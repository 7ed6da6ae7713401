package access

import (
	"math/bits"

	"hyperlight/engine/model"
)

// windowMillis is the length of every rate window.
const windowMillis = 60_000

// window is the exact record of one bucket's admissions in the last 60 s: a request at t is admitted if fewer than limit
// admissions lie in (t-60000, t]. Not the times are kept but the steps between them, in a ring of bits: 16 bits a step
// while they are few, and from 4,096 on in unary (as many zeros as milliseconds, then a one), which takes one bit for
// each admission and each millisecond however they lie, so that 30,000 a minute fit into 11 KiB.
//
// Its time never goes back: a request that is earlier than one before it, by up to 60 s, counts as made at the same time.
// Beyond that the clock was set back, and all times move with it, so that nobody is locked out for as long as it jumped.
// Neither admits more than the limit in any 60 s that really passed.
type window struct {
	clock          int64 // the latest time seen, ms
	oldest, newest int64 // admissions; oldest means nothing while n is 0
	n              int32 // admissions in the window
	head           uint32
	used           uint32 // bits from head on that hold the n-1 steps
	unary          bool
	dirty          bool // admitted something since it was last written down
	ring           []uint64
}

const (
	stepBits = 16
	// wideBits is the largest ring of 16-bit steps.
	wideBits = 4096 * stepBits
	// noLimit is the limit of restored admissions: they were admitted already.
	noLimit = 1 << 30
)

// take asks for one admission.
func (w *window) take(now int64, limit int) Decision {
	t := w.advance(now)
	d := Decision{OK: int(w.n) < limit, Limit: limit}
	if d.OK {
		w.push(t, limit)
	}
	d.Remaining = max(limit-int(w.n), 0)
	if w.n == 0 {
		d.Reset = model.Millis(t + windowMillis)
	} else {
		d.Reset = model.Millis(w.oldest + windowMillis)
	}
	return d
}

// advance moves the window to now and returns the time that a request made now counts at.
func (w *window) advance(now int64) int64 {
	switch back := w.clock - now; {
	case back > windowMillis:
		w.oldest -= back
		w.newest -= back
	case back > 0:
		now = w.clock
	}
	w.clock = now
	w.evict(now - windowMillis)
	return now
}

// evict forgets the admissions at edge and before.
func (w *window) evict(edge int64) {
	switch {
	case w.n == 0:
	case w.newest <= edge:
		w.n, w.head, w.used = 0, 0, 0
		if w.unary {
			clear(w.ring)
		}
	default:
		for w.oldest <= edge {
			w.oldest += int64(w.popStep())
			w.n--
		}
	}
}

// push adds an admission at t, which is not before the newest and less than 60 s after the oldest.
func (w *window) push(t int64, limit int) {
	if w.n == 0 {
		w.oldest = t
	} else {
		step := uint32(t - w.newest)
		w.reserve(step, limit)
		w.pushStep(step)
	}
	w.newest = t
	w.n++
}

// reserve makes room for a step.
func (w *window) reserve(step uint32, limit int) {
	have := uint32(len(w.ring)) * 64
	need := w.used + stepBits
	if w.unary {
		need = w.used + step + 1
	}
	if need <= have {
		return
	}
	if wider := max(2*have, 64); !w.unary && wider <= wideBits {
		w.rebuild(false, wider)
		return
	}
	need = uint32(w.newest-w.oldest) + step + uint32(w.n)
	w.rebuild(true, min(need+need/4, windowMillis+uint32(limit)))
}

func (w *window) rebuild(unary bool, size uint32) {
	old := *w
	w.ring, w.unary, w.head, w.used = make([]uint64, (size+63)/64), unary, 0, 0
	for range old.n - 1 {
		w.pushStep(old.popStep())
	}
}

func (w *window) pushStep(step uint32) {
	size := uint32(len(w.ring)) * 64
	at := w.head + w.used
	if w.unary {
		at += step // the zeros are there: popStep leaves nothing else
		if at >= size {
			at -= size
		}
		w.ring[at>>6] |= 1 << (at & 63)
		w.used += step + 1
		return
	}
	if at >= size {
		at -= size
	}
	word, shift := &w.ring[at>>6], at&63
	*word = *word&^(0xffff<<shift) | uint64(step)<<shift
	w.used += stepBits
}

func (w *window) popStep() uint32 {
	if !w.unary {
		step := uint32(w.ring[w.head>>6]>>(w.head&63)) & 0xffff
		w.skip(stepBits)
		return step
	}
	var step uint32
	for {
		rest := w.ring[w.head>>6] >> (w.head & 63)
		if rest == 0 {
			zeros := 64 - w.head&63
			w.skip(zeros)
			step += zeros
			continue
		}
		zeros := uint32(bits.TrailingZeros64(rest))
		at := w.head + zeros
		w.ring[at>>6] &^= 1 << (at & 63)
		w.skip(zeros + 1)
		return step + zeros
	}
}

// skip drops bits at the head; they never reach past the end of a word.
func (w *window) skip(n uint32) {
	w.head += n
	w.used -= n
	if w.head == uint32(len(w.ring))*64 {
		w.head = 0
	}
}

// copyTo makes dst an independent copy, in the memory that dst has.
func (w *window) copyTo(dst *window) {
	ring := append(dst.ring[:0], w.ring...)
	*dst = *w
	dst.ring = ring
}

// drain empties the window and calls fn for each second that holds admissions, in order.
func (w *window) drain(fn func(second int64, count int)) {
	second, count := int64(0), 0
	for w.n > 0 {
		if s := w.oldest / 1000; s != second || count == 0 {
			if count > 0 {
				fn(second, count)
			}
			second, count = s, 0
		}
		count++
		if w.n--; w.n > 0 {
			w.oldest += int64(w.popStep())
		}
	}
	if count > 0 {
		fn(second, count)
	}
}

// restore adds admissions of a stored second, at its last millisecond. Seconds come in order.
func (w *window) restore(second int64, count int) {
	t := w.advance(second*1000 + 999)
	for range count {
		w.push(t, noLimit)
	}
}
