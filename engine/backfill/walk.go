package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const (
	// candlePage and fundingPage are what one call of the venue gives at most.
	candlePage  = 500
	fundingPage = 100
	// Weights of the calls in the venue's budget.
	weightPage   = 1
	weightTrades = 2
	heaviest     = weightTrades
)

// errRepeats reports a page that leads to itself: walking on would never end.
var errRepeats = errors.New("the venue's page of trades leads to itself")

// walk is one way through a hole, from its end backwards.
type walk struct {
	m        *model.Market
	kind     model.Kind
	hole     history.Span
	priority feed.Priority
	pace     *pace
	pages    int         // 0: as many as it takes
	aside    func() bool // nil, or whether to stop after this page

	done    int  // pages so far
	stopped bool // before the hole's other end
}

// more waits for the walk's next call; false where it should stop for now.
func (w *walk) more(ctx context.Context, weight int) (bool, error) {
	if w.done > 0 && (w.pages > 0 && w.done >= w.pages || w.aside != nil && w.aside()) {
		w.stopped = true
		return false, nil
	}
	w.done++
	return true, w.pace.wait(ctx, weight)
}

// fill walks through a hole. Each page is stored as it comes, with the coverage that it gives.
func (s *Service) fill(ctx context.Context, w walk) error {
	var err error
	switch w.kind {
	case model.KindTrades:
		err = s.fillTrades(ctx, &w)
	case model.KindFunding:
		err = s.fillFundings(ctx, &w)
	default:
		err = s.fillCandles(ctx, &w)
	}
	if err == nil {
		if !w.stopped {
			s.remember(ctx, &w)
		}
		return nil
	}
	if refused(err) && ctx.Err() == nil {
		// The venue does not give this to us: asking again soon would be the same answer.
		s.learn(recordKey{w.kind, w.m.ID}, w.hole.To, causeRefused)
	}
	return fmt.Errorf("fetch %s of %s: %w", w.kind, w.m.Symbol, err)
}

// refused tells an error that the same call would give again from one of the moment.
func refused(err error) bool {
	e, ok := errors.AsType[*feed.UpstreamError](err)
	return ok && e.Status >= 400 && e.Status < 500 && e.Status != 429 && e.Status != 408
}

// fillTrades pages backwards: from the newest trade, or from the nearest place behind the hole that an earlier walk has
// reached. Each page is whole back to its oldest trade, whose millisecond the next page may share.
func (s *Service) fillTrades(ctx context.Context, w *walk) error {
	at := recordKey{w.kind, w.m.ID}
	from, resumed := s.nearest(at, w.hole.To)
	cursor, until := from.cursor, from.time
	for {
		if ok, err := w.more(ctx, weightTrades); !ok || err != nil {
			return err
		}
		page, next, err := s.o.Venue.Trades(ctx, w.m, cursor, w.priority)
		if refused(err) && resumed && ctx.Err() == nil {
			// A cursor of an earlier walk that the venue knows no more.
			s.dropMark(at, from)
			cursor, until, resumed = "", 0, false
			continue
		}
		if err != nil {
			return err
		}
		pages.Inc()
		resumed = false
		if next != "" && next == cursor {
			s.dropMark(at, from) // the next walk begins at the newest trade
			return errRepeats
		}
		if len(page.Rows) == 0 {
			s.learn(at, min(w.hole.To, orElse(until, w.hole.To)), causeEnd)
			return nil
		}
		oldest, newest := page.Rows[0].Time, page.Rows[0].Time
		rows := make([]*model.Trade, len(page.Rows))
		for i := range page.Rows {
			rows[i] = &page.Rows[i]
			oldest, newest = min(oldest, rows[i].Time), max(newest, rows[i].Time)
		}
		if until == 0 {
			until = max(newest, w.hole.To) // the first page: nothing lies between its newest trade and now
		}
		held := history.Span{From: oldest + 1, To: until}
		if next == "" {
			held.From = oldest
		}
		if held.From < w.hole.To { // else all of it lies in what is held
			if err := s.o.Writer.AddTrades(ctx, w.m.ID, rows, held); err != nil {
				return fmt.Errorf("store trades: %w", err)
			}
			tradeRows.Add(len(rows))
		}
		if next == "" {
			s.learn(at, oldest, causeEnd)
			return nil
		}
		s.mark(at, mark{time: oldest + 1, cursor: next}, from)
		from = mark{time: oldest + 1, cursor: next}
		if until, cursor = oldest+1, next; until <= w.hole.From {
			return nil
		}
	}
}

func orElse(t, other model.Millis) model.Millis {
	if t == 0 {
		return other
	}
	return t
}

// fillCandles asks for pages by time. A page is taken for whole from its first candle on; what lies before is asked for
// again, and a page without any candle is looked up among the longer ones: they tell a quiet time from one that the venue
// has thrown away.
func (s *Service) fillCandles(ctx context.Context, w *walk) error {
	resolution, length := lengths[w.kind], grain(w.kind)
	for to := w.hole.To; to > w.hole.From; {
		if ok, err := w.more(ctx, weightPage); !ok || err != nil {
			return err
		}
		from := max(0, to-candlePage*length)
		rows, err := s.o.Venue.Candles(ctx, w.m, resolution, from, to, w.priority)
		if err != nil {
			return err
		}
		pages.Inc()
		held := history.Span{From: from, To: to}
		if len(rows) > 0 {
			held.From = rows[0].Time
		} else if quiet, err := s.quiet(ctx, w, held); err != nil {
			return err
		} else if !quiet {
			s.learn(recordKey{w.kind, w.m.ID}, to, causeEnd)
			return nil
		}
		if err := s.o.Writer.AddCandlesOf(ctx, w.m.ID, resolution, rows, held); err != nil {
			return fmt.Errorf("store candles: %w", err)
		}
		candleRows.Add(len(rows))
		to = held.From
	}
	return nil
}

// quiet tells whether the longer candles show a time without trades. The days are the last word: before the first of them
// there was no market, or the venue keeps no more.
func (s *Service) quiet(ctx context.Context, w *walk, sp history.Span) (bool, error) {
	longer, ok := map[model.Kind]model.Kind{model.KindCandles: model.KindHourCandles, model.KindHourCandles: model.KindDayCandles}[w.kind]
	if !ok {
		return false, nil
	}
	length := grain(longer)
	over := model.Millis(s.o.Now().UnixMilli()) - closedFor
	sp.From, sp.To = ceil(sp.From, length), min(sp.To, over)/length*length
	if sp.From >= sp.To {
		return false, nil
	}
	missing, err := s.missing(ctx, longer, w.m, sp)
	if err != nil {
		return false, err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		inner := *w
		inner.kind, inner.hole, inner.pages = longer, missing[i], 0
		if err := s.fillCandles(ctx, &inner); err != nil {
			return false, err
		}
	}
	held, err := s.o.Reader.Coverage(ctx, longer, w.m.ID, sp)
	if err != nil {
		return false, fmt.Errorf("read coverage: %w", err)
	}
	if len(holes(sp, held, length)) > 0 {
		return false, nil
	}
	for _, err := range s.o.Reader.Candles(ctx, w.m.ID, time.Duration(length)*time.Millisecond, sp, false) {
		if err != nil {
			return false, fmt.Errorf("read candles: %w", err)
		}
		return false, nil
	}
	return true, nil
}

// fillFundings asks for pages by time; a page without a row is where the venue's record begins.
func (s *Service) fillFundings(ctx context.Context, w *walk) error {
	for to := w.hole.To; to > w.hole.From; {
		if ok, err := w.more(ctx, weightPage); !ok || err != nil {
			return err
		}
		from := max(0, to-fundingPage*hour)
		rows, err := s.o.Venue.FundingRows(ctx, w.m, from, to, w.priority)
		if err != nil {
			return err
		}
		pages.Inc()
		if len(rows) == 0 {
			s.learn(recordKey{w.kind, w.m.ID}, to, causeEnd)
			return nil
		}
		// The newest row may not be settled yet: what follows the last one is not held.
		last := rows[len(rows)-1].Time/hour*hour + hour
		held := history.Span{From: rows[0].Time / hour * hour, To: min(to, last)}
		if err := s.o.Writer.AddFundings(ctx, w.m.ID, rows, held); err != nil {
			return fmt.Errorf("store fundings: %w", err)
		}
		fundingRows.Add(len(rows))
		to = held.From
	}
	return nil
}
