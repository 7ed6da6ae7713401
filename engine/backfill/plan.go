package backfill

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
	minute = model.Millis(60_000)
	hour   = 60 * minute
	day    = 24 * hour
	// settled is how long after the full hour a funding row is asked for.
	settled = minute
	// closedFor is how long ago a bucket must have ended before the venue's candle of it is taken for the last word.
	closedFor = model.Millis(5_000)
)

// lengths are the resolutions of the kinds of candles.
var lengths = map[model.Kind]time.Duration{
	model.KindCandles: time.Minute, model.KindHourCandles: time.Hour, model.KindDayCandles: 24 * time.Hour,
}

// kinds are what is fetched, in the order in which equally new holes are filled: what takes a call for weeks before what
// takes one for seconds.
var kinds = [...]model.Kind{model.KindFunding, model.KindDayCandles, model.KindHourCandles, model.KindTrades, model.KindCandles}

// rounds are the steps in which the plan's end of candles moves on, so that many are fetched in one call.
var rounds = map[model.Kind]model.Millis{model.KindCandles: 6 * hour, model.KindHourCandles: day, model.KindDayCandles: day}

// grain is the unit of a record's coverage: holes are widened to it.
func grain(kind model.Kind) model.Millis {
	switch kind {
	case model.KindFunding:
		return hour
	case model.KindTrades:
		return 1
	}
	return model.Millis(lengths[kind].Milliseconds())
}

// holes returns what of a span no interval covers, ascending and widened to the grain, but not beyond the span widened so.
func holes(sp history.Span, held []history.Interval, grain model.Millis) []history.Span {
	sp.From, sp.To = max(sp.From, 0)/grain*grain, ceil(sp.To, grain)
	var out []history.Span
	at := sp.From
	add := func(to model.Millis) {
		to = min(ceil(to, grain), sp.To)
		at = at / grain * grain
		if n := len(out); n > 0 && at < out[n-1].To {
			at = out[n-1].To
		}
		if at < to {
			out = append(out, history.Span{From: at, To: to})
		}
	}
	for _, iv := range held {
		// An interval's ends lie on the microsecond; what is held of a millisecond by half is not held.
		from, to := ceil(model.Millis((iv.From+999)/1000), 1), iv.To.Millis()
		if to <= at {
			continue
		}
		if from >= sp.To {
			break
		}
		if from > at {
			add(from)
		}
		at = max(at, to)
	}
	if at < sp.To {
		add(sp.To)
	}
	return out
}

func ceil(t, grain model.Millis) model.Millis { return (t + grain - 1) / grain * grain }

// missing returns the holes of a span as far as the venue may fill them: not what retention has dropped, not what the venue
// was found not to have, and nothing of the time that the live record follows.
func (s *Service) missing(ctx context.Context, kind model.Kind, m *model.Market, sp history.Span) ([]history.Span, error) {
	if kind == model.KindFunding && m.Type == "spot" {
		return nil, nil
	}
	now := model.Millis(s.o.Now().UnixMilli())
	floor, err := s.floor(kind, m.ID, now)
	if err != nil {
		return nil, err
	}
	end := now
	switch kind {
	case model.KindTrades:
		if end, err = s.lastHeld(ctx, m.ID, now); err != nil {
			return nil, err
		}
	case model.KindFunding:
		end = (now-settled)/hour*hour + hour
	case model.KindCandles, model.KindHourCandles, model.KindDayCandles:
		end = (now - closedFor) / grain(kind) * grain(kind)
	default:
		return nil, nil
	}
	sp.From, sp.To = max(sp.From, floor), min(sp.To, end)
	if sp.From >= sp.To {
		return nil, nil
	}
	held, err := s.o.Reader.Coverage(ctx, kind, m.ID, widened(sp, grain(kind)))
	if err != nil {
		return nil, fmt.Errorf("read coverage: %w", err)
	}
	out := holes(sp, held, grain(kind))
	// Widened to whole buckets the last one may reach into what is not over yet.
	if n := len(out); n > 0 && kind != model.KindTrades {
		if out[n-1].To = min(out[n-1].To, end); out[n-1].From >= out[n-1].To {
			out = out[:n-1]
		}
	}
	return out, nil
}

func widened(sp history.Span, grain model.Millis) history.Span {
	return history.Span{From: max(sp.From, 0) / grain * grain, To: ceil(sp.To, grain)}
}

// lastHeld returns the end of what is held of a market's trades, or a moment before now where nothing is: what follows is the live record's.
func (s *Service) lastHeld(ctx context.Context, m model.MarketID, now model.Millis) (model.Millis, error) {
	held, err := s.o.Reader.Coverage(ctx, model.KindTrades, m, history.Span{To: model.Millis(s.o.Now().UnixMilli())})
	if err != nil {
		return 0, fmt.Errorf("read coverage: %w", err)
	}
	if len(held) == 0 {
		return now - closedFor, nil
	}
	return held[len(held)-1].To.Millis(), nil
}

// floor returns the moment before which a record is not to be had.
func (s *Service) floor(kind model.Kind, m model.MarketID, now model.Millis) (model.Millis, error) {
	kept, err := s.o.Reader.KeptSince(kind)
	if err != nil {
		return 0, fmt.Errorf("read retention: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if mem := s.memory[recordKey{kind, m}]; mem != nil && now < mem.until {
		kept = max(kept, mem.floor)
	}
	return kept, nil
}

// depth is how far back a record is fetched without being asked for. Candles of an hour and of a day go at least as far as
// one call reaches.
func (s *Service) depth(kind model.Kind) model.Millis {
	millis := func(d time.Duration) model.Millis { return model.Millis(d.Milliseconds()) }
	switch kind {
	case model.KindTrades:
		return millis(s.o.Depths.Trades)
	case model.KindFunding:
		return millis(s.o.Depths.Funding)
	}
	if s.o.Depths.Candles == 0 {
		return 0
	}
	if kind == model.KindCandles {
		return millis(s.o.Depths.Candles)
	}
	return max(millis(s.o.Depths.Candles), candlePage*grain(kind))
}

// candidate is the newest hole of a record.
type candidate struct {
	recordKey
	m    *model.Market
	rank int
	hole history.Span
}

// plan returns the newest hole of every record within its depth, the one to fill first in front, and notes the progress.
func (s *Service) plan(ctx context.Context) ([]candidate, error) {
	now := model.Millis(s.o.Now().UnixMilli())
	progress := make([]Progress, len(kinds))
	var out []candidate
	for rank, kind := range kinds {
		p := &progress[rank]
		p.Kind = kind
		depth := s.depth(kind)
		if depth == 0 {
			continue
		}
		for _, m := range s.o.Markets() {
			if !m.Active || kind == model.KindFunding && m.Type == "spot" {
				continue
			}
			sp := history.Span{From: max(0, now-depth), To: now}
			if kind == model.KindCandles {
				// Minutes only where trades are not fetched anyway.
				floor, err := s.floor(model.KindTrades, m.ID, now)
				if err != nil {
					return nil, err
				}
				sp.To = min(sp.To, max(now-s.depth(model.KindTrades), floor))
			}
			if step, ok := rounds[kind]; ok {
				sp.To = sp.To / step * step
			}
			if kind == model.KindTrades {
				// Before the live record of a market has begun, what is missing would grow by the moment.
				if end, err := s.lastHeld(ctx, m.ID, 0); err != nil {
					return nil, err
				} else if end < 0 {
					continue
				}
			}
			missing, err := s.missing(ctx, kind, m, sp)
			if err != nil {
				return nil, err
			}
			p.Markets++
			for _, h := range missing {
				p.Left += time.Duration(h.To-h.From) * time.Millisecond
			}
			n := len(missing)
			if n == 0 {
				continue
			}
			p.Incomplete++
			p.Newest = max(p.Newest, missing[n-1].To)
			at := recordKey{kind, m.ID}
			if s.rests(at, missing[n-1]) {
				n-- // the next one then
			}
			if n > 0 {
				out = append(out, candidate{at, m, rank, missing[n-1]})
			}
		}
	}
	s.progress.Store(&progress)
	slices.SortStableFunc(out, func(a, b candidate) int {
		// Within a day the cheaper kind goes first.
		return cmp.Or(cmp.Compare(b.hole.To/day, a.hole.To/day), cmp.Compare(a.rank, b.rank), cmp.Compare(b.hole.To, a.hole.To))
	})
	return out, nil
}
