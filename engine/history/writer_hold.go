package history

import (
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
		Span{From: held.From.Millis(), To: held.To.Millis() + 1})
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
		if to > held.To {
			w.setGap(ms, kind, held.To, record.Gap{To: g.To, Cause: g.Cause})
		}
		if g.To == 0 && int(kind) < kindCount {
			if h := &ms.held[kind]; h.gapOpen && h.gapFrom == from {
				h.gapFrom = held.To // its end is told of what is left
			}
		}
	}
	return nil
}

// closeImported is called at the end of an import, when all of it is committed. It takes what was held out of the gaps that
// the store had before, of which nobody tells the import the end.
func (w *Writer) closeImported() error {
	some := false
	for _, ms := range w.markets {
		for kind := range ms.held {
			if h := &ms.held[kind]; h.open {
				h.ended = append(h.ended, Interval{From: h.start, To: h.last})
			}
			some = some || len(ms.held[kind].ended) > 0
		}
	}
	if !some {
		return nil
	}
	gaps, err := w.reader.Gaps(context.Background(), nil, nil, Span{To: forever.Millis()})
	if err != nil {
		return err
	}
	recorded := map[recordOf][]GapRow{}
	for _, g := range gaps {
		of := recordOf{uint8(g.Kind), uint32(g.Market)}
		recorded[of] = append(recorded[of], g)
	}
	for _, ms := range w.markets {
		for kind := range ms.held {
			for _, iv := range ms.held[kind].ended {
				if !slices.ContainsFunc(recorded[recordOf{uint8(kind), ms.id}], func(g GapRow) bool {
					return !g.Filled && g.From < iv.To && (g.To == 0 || g.To > iv.From)
				}) {
					continue
				}
				if err := w.closeGaps(ms, model.Kind(kind), iv); err != nil {
					return err
				}
				if err := w.commit(); err != nil { // the next one reads what is left of them
					return err
				}
			}
		}
	}
	return nil
}
