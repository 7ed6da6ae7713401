package access

import (
	"math/bits"

	"hyperlight/engine/model"
)

// windowMillis is the length of every rate window.
const windowMillis = 60_000

// window is the exact record of one bucket's admissions in the last 60 s: a request at t is admitted if fewer than limit
// admissions lie in (t-60000, t]. Not the times are kept but the steps between them in milliseconds, Rice-coded in a ring
// of bits: the upper bits of a step as so many zeros and a one, then its low bits as they are. For n admissions,
// however they lie, that takes n*(low+1) + 60000>>low bits: 49 bytes for 30 a minute, 360 for 300, 2.3 KiB for 3,000 and
// 11 KiB for 30,000.
//
// Its time never goes back: a request that is earlier than one before it, by up to 60 s, counts as made at the same time.
// Beyond that the clock was set back, and all times move with it, so that nobody is locked out for as long as it jumped.
// Neither admits more than the limit in any 60 s that really passed.
type window struct {
	clock          int64 // the latest time seen, ms
	oldest, newest int64 // admissions; oldest means nothing while n is 0
	n              int32 // admissions in the window
	room           int32 // admissions that the ring has room for
	head           uint32
	used           uint32   // bits from head on that hold the n-1 steps; all others are zero
	ring           []uint64 // grows with room; fit makes it shorter again
	low            uint8    // low bits of a step
	dirty          bool     // admitted something since it was last written down
}

// noLimit is the limit of restored admissions: they were admitted already.
const noLimit = 1 << 30

// take asks for one admission.
func (w *window) take(now int64, limit int) Decision {
	t := w.advance(now)
	ok := int(w.n) < limit
	if ok {
		w.push(t, limit)
	}
	d := w.state(t, limit)
	d.OK = ok
	return d
}

// state tells how the window stands at the time that advance returned.
func (w *window) state(t int64, limit int) Decision {
	d := Decision{OK: int(w.n) < limit, Limit: limit, Remaining: max(limit-int(w.n), 0)}
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
		clear(w.ring)
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
		if w.n >= w.room {
			w.grow(limit)
		}
		w.pushStep(uint32(t - w.newest))
	}
	w.newest = t
	w.n++
}

// grow makes room for twice as many admissions, at most for the limit.
func (w *window) grow(limit int) {
	w.resize(int32(min(max(2*int(w.n), 8), max(limit, int(w.n)+1))))
}

// fit gives memory back after a burst: what a window takes follows what it admitted lately, not what it once did.
func (w *window) fit() {
	if w.room > 64 && w.n < w.room/8 {
		w.resize(max(2*w.n, 8))
	}
}

// resize makes room for so many admissions, at least those there are, with the coding that is shortest for them.
func (w *window) resize(room int32) {
	old := *w
	w.room = room
	w.low = 0
	for ringBits(w.room, w.low+1) < ringBits(w.room, w.low) {
		w.low++
	}
	w.ring = make([]uint64, (ringBits(w.room, w.low)+63)/64)
	w.head, w.used = 0, 0
	for range old.n - 1 {
		w.pushStep(old.popStep())
	}
}

// ringBits returns the most bits that n steps of together less than 60 s take.
func ringBits(n int32, low uint8) int { return int(n)*(int(low)+1) + windowMillis>>low }

func (w *window) pushStep(step uint32) {
	zeros, low := step>>w.low, uint32(w.low)
	at := w.wrap(w.wrap(w.head+w.used) + zeros)
	w.ring[at>>6] |= 1 << (at & 63)
	w.used += zeros + 1 + low
	if low == 0 {
		return
	}
	at = w.wrap(at + 1)
	rest, shift := uint64(step)&(1<<low-1), at&63
	w.ring[at>>6] |= rest << shift
	if shift+low > 64 {
		w.ring[w.wrap(at+64-shift)>>6] |= rest >> (64 - shift)
	}
}

// popStep takes the oldest step out and leaves zeros.
func (w *window) popStep() uint32 {
	step := uint32(0)
	for {
		word, shift := &w.ring[w.head>>6], w.head&63
		if rest := *word >> shift; rest != 0 {
			zeros := uint32(bits.TrailingZeros64(rest))
			*word &^= 1 << (shift + zeros)
			w.skip(zeros + 1)
			step += zeros
			break
		}
		w.skip(64 - shift)
		step += 64 - shift
	}
	low := uint32(w.low)
	if low == 0 {
		return step
	}
	word, shift, mask := &w.ring[w.head>>6], w.head&63, uint64(1)<<low-1
	rest := *word >> shift & mask
	*word &^= mask << shift
	if shift+low > 64 {
		word = &w.ring[w.wrap(w.head+64-shift)>>6]
		rest |= *word << (64 - shift) & mask
		*word &^= mask >> (64 - shift)
	}
	w.skip(low)
	return step<<low | uint32(rest)
}

// wrap brings a place behind the end of the ring to its beginning.
func (w *window) wrap(at uint32) uint32 {
	if size := uint32(len(w.ring)) * 64; at >= size {
		return at - size
	}
	return at
}

// skip drops bits at the head.
func (w *window) skip(n uint32) {
	w.head = w.wrap(w.head + n)
	w.used -= n
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
