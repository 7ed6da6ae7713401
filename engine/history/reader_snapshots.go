package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"hyperlight/engine/model"
)

// seekBeyond is the distance from which a new seek is cheaper than walking on: keyframes lie a minute apart.
const seekBeyond = 120 * second

// Books goes through the last held full-second snapshot of each bucket of the given length, a whole number of seconds. A
// held second without any change still has its snapshot.
func (r *Reader) Books(ctx context.Context, m model.MarketID, sp Span, every time.Duration) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		ivs, err := r.bookIntervals(ctx, m, 0, sp.From.Micros(), sp.To.Micros())
		if err != nil {
			yield(Snapshot{}, err)
			return
		}
		w := bookWalk{r: r, market: m}
		defer w.close()
		in := -1 // the interval that the walk is in
		for at, i := range bookTimes(ivs, sp, every, false) {
			t := at.Micros()
			if in != i || t-w.at > seekBeyond {
				err = w.seek(ctx, ivs[i], t, min(ivs[i].To+1, sp.To.Micros()))
			} else {
				err = w.forward(ctx, t)
			}
			in = i
			if err != nil {
				yield(Snapshot{}, fmt.Errorf("read the book of second %d: %w", at/1000, err))
				return
			}
			if !yield(Snapshot{At: at, View: w.book.View()}, nil) {
				return
			}
		}
	}
}

// BookTimes goes through the times that Books would give, or the same in reverse, without reading any book. It costs what
// it yields: a total is counted with it.
func (r *Reader) BookTimes(ctx context.Context, m model.MarketID, sp Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, error] {
	return func(yield func(model.Millis, error) bool) {
		ivs, err := r.bookIntervals(ctx, m, 0, sp.From.Micros(), sp.To.Micros())
		if err != nil {
			yield(0, err)
			return
		}
		for at := range bookTimes(ivs, sp, every, reverse) {
			if !yield(at, nil) {
				return
			}
		}
	}
}

// LastBook returns the last full-second snapshot in a span; ErrNoData where nothing of it is held.
func (r *Reader) LastBook(ctx context.Context, m model.MarketID, sp Span) (Snapshot, error) {
	ivs, err := r.bookIntervals(ctx, m, 0, sp.From.Micros(), sp.To.Micros())
	if err != nil {
		return Snapshot{}, err
	}
	for at, i := range bookTimes(ivs, sp, time.Second, true) {
		v, ready, err := r.bookIn(ctx, ivs[i], m, at.Micros())
		if errors.Is(err, ErrNoData) {
			continue // retention took it in between
		}
		if err != nil {
			return Snapshot{}, fmt.Errorf("read the book of second %d: %w", at/1000, err)
		}
		return Snapshot{At: at, View: v, ready: ready}, nil
	}
	return Snapshot{}, ErrNoData
}

// bookTimes yields, for each bucket that begins at a multiple of its length, the last full second in it that lies in the
// span and in a held interval, and which interval that is. An interval's first moment has no book before it.
func bookTimes(ivs []Interval, sp Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, int] {
	length := max(model.Millis(every.Milliseconds()), 1000)
	return func(yield func(model.Millis, int) bool) {
		step := func(i int, from, to model.Millis) bool { // the buckets of interval i with last second in [from, to]
			return yieldBuckets(from, to, length, reverse, func(at model.Millis) bool { return yield(at, i) })
		}
		n := len(ivs)
		for j := range n {
			i := j
			if reverse {
				i = n - 1 - j
			}
			from, to := heldSeconds(ivs[i], sp)
			if from > to {
				continue
			}
			// A later interval in the bucket of this one's end has the bucket's last second.
			for k := i + 1; k < n; k++ {
				nextFrom, nextTo := heldSeconds(ivs[k], sp)
				if nextFrom > nextTo {
					continue
				}
				if nextFrom-nextFrom%length <= to {
					to = lastBefore(to, nextFrom-nextFrom%length)
				}
				break
			}
			if from <= to && !step(i, from, to) {
				return
			}
		}
	}
}

// lastBefore returns the last full second before edge, or to if that is earlier.
func lastBefore(to, edge model.Millis) model.Millis { return min(to, edge-1000) }

// heldSeconds returns the first and the last full second that has a snapshot in the interval and lies in the span.
func heldSeconds(iv Interval, sp Span) (first, last model.Millis) {
	first = (iv.From.Second() + second).Millis()
	last = iv.To.Second().Millis()
	from := sp.From
	if rest := from % 1000; rest != 0 {
		from += 1000 - rest
	}
	end := sp.To - 1
	return max(first, from), min(last, end-end%1000)
}

// yieldBuckets yields the last second of each bucket that has seconds in [from, to].
func yieldBuckets(from, to, length model.Millis, reverse bool, yield func(model.Millis) bool) bool {
	if reverse {
		for at := to; at >= from; at = at - at%length - 1000 {
			if !yield(at) {
				return false
			}
		}
		return true
	}
	for start := from - from%length; start <= to; start += length {
		end := start + length - 1
		if !yield(min(to, end-end%1000)) {
			return false
		}
	}
	return true
}
