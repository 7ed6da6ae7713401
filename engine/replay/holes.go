package replay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const (
	second = time.Second
	day    = model.Millis(86_400_000)
)

// minHole is the shortest time between two held intervals that is told as a gap although no gap row says so.
const minHole = model.Micros(1_000_000)

// recordID names one record: the trades, the books or the statistics of one market.
type recordID struct {
	market model.MarketID
	kind   model.Kind
}

// holes is what a request's records do not hold.
type holes struct {
	gaps map[recordID][]model.Gap // told as events, by From
	dead []history.Interval       // times that no record of the request holds
}

// findHoles reads gaps and coverage of every record that the request plays, from the current start on.
func (s *MergedSource) findHoles(ctx context.Context) (*holes, error) {
	h := &holes{gaps: map[recordID][]model.Gap{}}
	if s.mute {
		return h, nil
	}
	first := true
	for _, m := range s.req.Markets {
		for _, kind := range s.recordKinds() {
			gaps, silent, err := s.holesOf(ctx, m.ID, kind)
			if err != nil {
				return nil, fmt.Errorf("read holes of market %d: %w", m.Native, err)
			}
			h.gaps[recordID{m.ID, kind}] = gaps
			if first {
				h.dead, first = silent, false
			} else {
				h.dead = intersect(h.dead, silent)
			}
		}
	}
	return h, nil
}

// findDropped notes what retention had dropped when the replay began: what a seek finds dropped since was promised.
func (s *MergedSource) findDropped() error {
	if s.dropped != nil {
		return nil
	}
	dropped := map[model.Kind][]history.Span{}
	for _, kind := range append(s.recordKinds(), model.KindFunding) {
		var err error
		if dropped[kind], err = s.h.Dropped(kind); err != nil {
			return fmt.Errorf("ask what retention has dropped: %w", err)
		}
	}
	s.dropped = dropped
	return nil
}

// removal returns the Removal of a lane that begins at from.
func (s *MergedSource) removal(kind model.Kind, from model.Millis) Removal {
	return newRemoval(s.h, kind, s.dropped[kind], from)
}

// recordKinds returns the kinds of record that the request plays.
func (s *MergedSource) recordKinds() []model.Kind {
	var kinds []model.Kind
	if s.req.Include.Has(Trade) || s.req.Include.Has(Liquidation) {
		kinds = append(kinds, model.KindTrades)
	}
	if s.req.Include.Has(Stats) {
		kinds = append(kinds, model.KindStats)
	}
	if s.wantsBooks() {
		kinds = append(kinds, model.KindBook)
	}
	return kinds
}

// holesOf returns the gaps of one record to be told, and the times between its held intervals. A hole without a gap
// row (two days imported with a third one missing between them) is told as downtime.
func (s *MergedSource) holesOf(ctx context.Context, m model.MarketID, kind model.Kind) ([]model.Gap, []history.Interval, error) {
	rows, err := s.h.Gaps(ctx, []model.Kind{kind}, []model.MarketID{m}, s.span())
	if err != nil {
		return nil, nil, err
	}
	held, err := s.h.Coverage(ctx, kind, m, s.span())
	if err != nil {
		return nil, nil, err
	}
	var gaps []model.Gap
	for _, r := range rows {
		touches := r.From < s.req.To.Micros() && (r.To == 0 || r.To > s.from.Micros())
		if !r.Filled && touches {
			gaps = append(gaps, r.Gap)
		}
	}
	// Silence is everything between the held intervals, before the first and behind the last one too; a hole between two
	// of them is told even where no row speaks of it.
	var silent []history.Interval
	at := s.from.Micros()
	for i, iv := range append(held, history.Interval{From: s.req.To.Micros()}) {
		hole := history.Interval{From: at, To: iv.From}
		at = max(at, iv.To)
		if hole.To <= hole.From {
			continue
		}
		silent = append(silent, hole)
		if i == 0 || i == len(held) || hole.To-hole.From < minHole {
			continue
		}
		told := slices.ContainsFunc(rows, func(r history.GapRow) bool {
			return r.From < hole.To && (r.To == 0 || r.To > hole.From)
		})
		if !told {
			gaps = append(gaps, model.Gap{Kind: kind, From: hole.From, To: hole.To, Cause: model.CauseDowntime})
		}
	}
	slices.SortStableFunc(gaps, func(a, b model.Gap) int { return cmp.Compare(a.From, b.From) })
	return gaps, silent, nil
}

// intersect returns the times that lie in both sorted lists.
func intersect(a, b []history.Interval) []history.Interval {
	var out []history.Interval
	for i, j := 0, 0; i < len(a) && j < len(b); {
		from, to := max(a[i].From, b[j].From), min(a[i].To, b[j].To)
		if from < to {
			out = append(out, history.Interval{From: from, To: to})
		}
		if a[i].To < b[j].To {
			i++
		} else {
			j++
		}
	}
	return out
}

// deadBetween returns how much of (from, to) lies in dead time, and forgets the dead time before to. The time before
// the first event is nobody's silence: from is 0 there.
func (s *MergedSource) deadBetween(from, to model.Micros) model.Micros {
	var sum model.Micros
	for len(s.dead) > 0 && s.dead[0].From < to {
		d := s.dead[0]
		if from > 0 {
			sum += max(0, min(d.To, to)-max(d.From, from))
		}
		if d.To > to {
			break
		}
		s.dead = s.dead[1:]
	}
	return sum
}
