package past

import (
	"context"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Coverage returns the held intervals up to the clock.
func (v *View) Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error) {
	if sp.From >= v.now() {
		return nil, nil
	}
	sp.To = min(sp.To, v.now()+1)
	held, err := v.h.Coverage(ctx, kind, m, sp)
	if err != nil {
		return nil, err
	}
	kept := held[:0]
	for _, iv := range held {
		if iv.To = min(iv.To, v.at); iv.From < iv.To {
			kept = append(kept, iv)
		}
	}
	return kept, nil
}

// Covered sums coverage up: the first and last held moment in the span before the clock, and whether all of it is held.
func (v *View) Covered(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) (start, end model.Millis, complete, held bool, err error) {
	ivs, err := v.Coverage(ctx, kind, m, sp)
	if err != nil || len(ivs) == 0 {
		return 0, 0, false, false, err
	}
	first, last := ivs[0], ivs[len(ivs)-1]
	complete = len(ivs) == 1 && first.From <= sp.From.Micros() && last.To >= min(sp.To.Micros(), v.at)
	return first.From.Millis(), last.To.Millis(), complete, true, nil
}

// Gaps returns the gaps that had begun; one that had not ended is open, and nothing had filled it yet.
func (v *View) Gaps(ctx context.Context, kinds []model.Kind, ids []model.MarketID, sp history.Span) ([]history.GapRow, error) {
	sp.To = min(sp.To, v.now()+1)
	if sp.From >= sp.To {
		return nil, nil
	}
	rows, err := v.h.Gaps(ctx, kinds, ids, sp)
	if err != nil {
		return nil, err
	}
	kept := rows[:0]
	for _, r := range rows {
		if r.From >= v.at {
			continue
		}
		if r.To >= v.at {
			r.To, r.Filled = 0, false
		}
		kept = append(kept, r)
	}
	return kept, nil
}
