package history

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// bookSeconds is a sealed segment of a book as its full seconds: the book before each of them. Neighbours share what did
// not change in between. It is immutable.
type bookSeconds struct {
	first model.Micros // the full second of the first view
	views []*book.View // nil before the first whole book; the last one stands for all that follows
}

// at returns the book before a full second, nil where there is none.
func (s *bookSeconds) at(t model.Micros) *book.View {
	if t < s.first || len(s.views) == 0 {
		return nil
	}
	return s.views[min(int((t-s.first)/second), len(s.views)-1)]
}

// maxBookSeconds bounds what one segment is taken apart into.
const maxBookSeconds = 600

// readyBook returns the book before a full second from the seconds that are ready or become so; nil where that moment has to
// be read in the long way: it lies behind hot rows or a keyframe, in no segment of the interval, or is not worth keeping.
func (r *Reader) readyBook(ctx context.Context, iv Interval, m model.MarketID, t model.Micros) (*book.View, error) {
	places := r.placesAt(uint32(m), t)
	if k, ok := places.find(iv, t); ok {
		if found, _ := r.ready.get(k).(*bookSeconds); found != nil {
			return found.at(t), nil
		}
	}
	before, err := r.sealing()
	if err != nil {
		return nil, err
	}
	dayStart := model.Micros(key.DayStart(key.DayOfMicros(int64(t))) * 1000)
	segments, err := key.BookRange(uint32(m), key.Sealed, int64(max(iv.From, dayStart)), int64(t)+1)
	if errors.Is(err, key.ErrEmptyRange) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := readyKey{kind: readyBooks, market: uint32(m)}
	var found *bookSeconds
	var value []byte
	err = r.store.Last(segments, func(name, v []byte) error {
		parsed, err := key.ParseBook(name)
		if err != nil {
			return err
		}
		k.at, k.sum = parsed.Time, maphash.Bytes(segmentSeed, v)
		if found, _ = r.ready.get(k).(*bookSeconds); found == nil && r.ready.admits(k, 4*int64(len(v))) {
			value = slices.Clone(v)
		}
		return nil
	})
	if errors.Is(err, kv.ErrNotFound) || err == nil && found == nil && value == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	until, err := r.aloneUntil(ctx, uint32(m), model.Micros(k.at), places.end())
	if err != nil || until < t {
		return nil, err
	}
	if after, err := r.sealing(); err != nil || after != before {
		return nil, err
	}
	if found == nil {
		var size int64
		if found, size, err = r.takeApart(m, model.Micros(k.at), value); err != nil {
			return nil, err
		}
		r.ready.put(k, found, size)
	}
	r.keepPlace(places, bookPlace{k, until})
	return found.at(t), nil
}

// aloneUntil returns the last moment up to end whose book the segment that starts at the given moment tells, because no
// other segment, no keyframe and no hot block lies in between.
func (r *Reader) aloneUntil(ctx context.Context, mkt uint32, start, end model.Micros) (model.Micros, error) {
	until := end
	limit := func(rg key.Range, err error, at func(k []byte) (model.Micros, error)) error {
		if errors.Is(err, key.ErrEmptyRange) {
			return nil
		}
		if err != nil {
			return err
		}
		for row, err := range r.store.Scan(ctx, rg) {
			if err != nil {
				return err
			}
			t, err := at(row.Key)
			until = min(until, t)
			return err
		}
		return nil
	}
	hot, err := key.BookRange(mkt, key.Hot, int64(start.Second()), int64(end))
	if err := limit(hot, err, func(k []byte) (model.Micros, error) {
		parsed, err := key.ParseBook(k)
		return model.Micros(parsed.Time), err // before its own first second nothing of it is needed
	}); err != nil {
		return 0, err
	}
	next, err := key.BookRange(mkt, key.Sealed, int64(start)+1, int64(end)+1)
	if err := limit(next, err, func(k []byte) (model.Micros, error) {
		parsed, err := key.ParseBook(k)
		return model.Micros(parsed.Time) - 1, err
	}); err != nil {
		return 0, err
	}
	frames, err := key.KeyframeRange(mkt, int64(start)+1, int64(end)+1)
	err = limit(frames, err, func(k []byte) (model.Micros, error) {
		parsed, err := key.ParseKeyframe(k)
		return model.Micros(parsed.Time) - 1, err
	})
	return until, err
}

// takeApart makes the seconds of a segment, and says about how much memory they need.
func (r *Reader) takeApart(m model.MarketID, start model.Micros, value []byte) (*bookSeconds, int64, error) {
	out := &bookSeconds{first: start.Second() + second}
	rows := newBookRows(r, uint32(m))
	defer rows.free()
	frame, err := rows.keyframe(value)
	if err != nil {
		return nil, 0, err
	}
	w := bookWalk{r: r, market: m, book: book.New()}
	if base := frame.View(); base.Len(model.Bid)+base.Len(model.Ask) > 0 {
		w.book.SetEpoch(base.Epoch)
		w.book.Reset(base)
	}
	var last *book.View
	size, next := int64(0), out.first
	take := func() {
		var v *book.View
		if w.book.Synced() {
			if v = w.book.View(); v != last {
				size += v.Weight(last)
			}
			last = v
		}
		out.views = append(out.views, v)
		next += second
	}
	for rows.cursor.Next() {
		row := rows.cursor.Row()
		for row.Recv >= next && len(out.views) < maxBookSeconds {
			take()
		}
		if len(out.views) == maxBookSeconds {
			return &bookSeconds{}, itemOverhead, nil // of many hours with little in them: not worth it
		}
		if err := w.apply(row); err != nil {
			if errors.Is(err, ErrNoData) {
				return &bookSeconds{}, itemOverhead, nil
			}
			return nil, 0, err
		}
	}
	if err := rows.cursor.Err(); err != nil {
		return nil, 0, err
	}
	take()
	return out, size + int64(8*len(out.views)), nil
}
