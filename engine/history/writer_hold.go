package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// hold notes that a span of a record is whole, joins it with the intervals that it touches, and closes gaps as far as they
// lie in it. It must run on a store without open ends (see do). What the live record follows is its own: an open interval
// or an open gap is left alone, and so is everything behind its start.
func (w *Writer) hold(ms *marketState, kind model.Kind, sp Span) error {
	iv := Interval{From: max(sp.From, 0).Micros(), To: sp.To.Micros()}
	if int(kind) < kindCount {
		h := &ms.held[kind]
		if h.open && !w.o.Import {
			iv.To = min(iv.To, h.start)
		}
		if h.gapOpen && !w.o.Import {
			iv.To = min(iv.To, h.gapFrom)
		}
	}
	if iv.From >= iv.To {
		return nil
	}
	rows, err := w.closedIntervals(ms, kind)
	if err != nil {
		return err
	}
	joined := iv
	for _, row := range rows {
		if row.From > joined.To || row.To < joined.From {
			continue
		}
		joined.From, joined.To = min(joined.From, row.From), max(joined.To, row.To)
	}
	for _, row := range rows {
		if row.From > joined.From && row.From <= joined.To {
			w.keyBuf = key.Held(w.keyBuf[:0], uint8(kind), ms.id, int64(row.From))
			w.batch.Delete(w.keyBuf)
		}
	}
	w.setInterval(ms, kind, joined.From, joined.To)
	return w.closeGaps(ms, kind, joined)
}

// closedIntervals returns the stored intervals of a record that have an end, ascending.
func (w *Writer) closedIntervals(ms *marketState, kind model.Kind) ([]Interval, error) {
	rg, err := key.HeldRange(uint8(kind), ms.id, 0, int64(forever))
	if err != nil {
		return nil, fmt.Errorf("range of coverage: %w", err)
	}
	var out []Interval
	for row, err := range w.store.Scan(context.Background(), rg) {
		if err != nil {
			return nil, fmt.Errorf("scan coverage: %w", err)
		}
		k, iv, err := decodeHeld(row)
		if err != nil {
			return nil, err
		}
		if iv.End != 0 {
			out = append(out, Interval{From: model.Micros(k.Start), To: iv.End})
		}
	}
	return out, nil
}

// closeGaps takes a held interval out of the gaps of its record: one that is filled whole stays as a filled one, others
// shrink or split. An open gap, which only an import can meet, goes on open behind the interval.
func (w *Writer) closeGaps(ms *marketState, kind model.Kind, held Interval) error {
	gaps, err := w.reader.Gaps(context.Background(), []model.Kind{kind}, []model.MarketID{model.MarketID(ms.id)},
		Span{From: held.From.Millis(), To: held.To.Millis() + 1}) // and a gap that begins where it ends
	if err != nil {
		return err
	}
	for _, g := range gaps {
		from, to := g.From, g.To
		if to == 0 {
			to = forever
		}
		if g.Filled || from >= held.To || to <= held.From || g.To == 0 && !w.o.Import {
			continue
		}
		if held.From <= from && to <= held.To {
			w.setGap(ms, kind, from, record.Gap{To: g.To, Cause: g.Cause, Filled: true})
			continue
		}
		if from < held.From {
			w.setGap(ms, kind, from, record.Gap{To: held.From, Cause: g.Cause})
		} else {
			w.keyBuf = key.Gap(w.keyBuf[:0], ms.id, uint8(kind), int64(from))
			w.batch.Delete(w.keyBuf)
		}
		rest := behind(gaps, held.To)
		if to > rest {
			w.setGap(ms, kind, rest, record.Gap{To: g.To, Cause: g.Cause})
		}
		if g.To == 0 && int(kind) < kindCount {
			if h := &ms.held[kind]; h.gapOpen && h.gapFrom == from {
				h.gapFrom = rest // its end is told of what is left
			}
		}
	}
	return nil
}

// behind returns where nothing is told any more of the gaps that follow one another from a moment on: what is told of them, and
// why, stays.
func behind(gaps []GapRow, t model.Micros) model.Micros {
	for _, g := range gaps { // ascending
		if g.From == t && g.To > t && !g.Filled {
			t = g.To
		}
	}
	return t
}

// closeImported is called at the end of an import, when all of it is committed. It writes how far the open intervals were
// held, and takes what is held out of the gaps that the store has, of which nobody tells the import the end: also what was
// held before, because an import that was killed has not come to this.
func (w *Writer) closeImported() error {
	some := false
	for _, ms := range w.markets {
		for kind := range ms.held {
			h := &ms.held[kind]
			w.endInterval(ms, model.Kind(kind), h.last)
			some = some || len(h.before)+len(h.ended) > 0
		}
	}
	if !some {
		return nil
	}
	if err := w.commit(); err != nil {
		return err
	}
	gaps, err := w.reader.Gaps(context.Background(), nil, nil, Span{To: forever.Millis()})
	if err != nil {
		return err
	}
	recorded := map[recordOf][]GapRow{}
	for _, g := range gaps {
		if !g.Filled {
			of := recordOf{uint8(g.Kind), uint32(g.Market)}
			recorded[of] = append(recorded[of], g)
		}
	}
	for of, gaps := range recorded {
		ms := w.markets[model.MarketID(of.market)]
		if ms == nil || int(of.kind) >= kindCount {
			continue
		}
		held := append(slices.Clone(ms.held[of.kind].before), ms.held[of.kind].ended...)
		slices.SortFunc(held, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
		for _, iv := range union(held) {
			if !slices.ContainsFunc(gaps, func(g GapRow) bool { return g.From < iv.To && (g.To == 0 || g.To > iv.From) }) {
				continue
			}
			if err := w.closeGaps(ms, model.Kind(of.kind), iv); err != nil {
				return err
			}
			if err := w.commit(); err != nil { // the next one reads what is left of them
				return err
			}
		}
	}
	return nil
}
