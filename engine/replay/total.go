package replay

import (
	"context"
	"errors"
	"io"
	"iter"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// HasData tells whether the range holds anything beside gaps.
func (s *MergedSource) HasData(ctx context.Context) (bool, error) {
	if err := s.open(ctx); err != nil {
		return false, err
	}
	for _, h := range s.heads {
		if h.lane.event().Kind != Gap {
			return true, nil
		}
	}
	if len(s.heads) == 0 {
		return false, nil
	}
	probe := &MergedSource{h: s.h, req: s.req, from: s.req.From, mute: true}
	defer probe.Close()
	switch _, err := probe.Next(ctx); {
	case err == nil:
		return true, nil
	case errors.Is(err, io.EOF):
		return false, nil
	default:
		return false, err
	}
}

const (
	// maxCounted is how many one-second books and rows Total counts before it gives up: a day of one market, and a few
	// milliseconds.
	maxCounted = 100_000
	// maxBlocks is how many blocks of book updates Total looks at: an hour and more of one market as it was recorded, and
	// a millisecond.
	maxBlocks = 4_000
)

// counter adds up what a range holds, as long as that costs little.
type counter struct {
	n      uint64
	rows   int // what may still be gone through one by one
	blocks int
}

// Total returns how many events the whole range has, and whether that is known at once. It is called before the first
// Next.
func (s *MergedSource) Total(ctx context.Context) (n uint64, known bool, err error) {
	if s.req.Order != EventOrder || s.req.StartBooks != s.req.Include.Has(BookUpdate) {
		return 0, false, nil
	}
	if err := s.open(ctx); err != nil {
		return 0, false, err
	}
	c := &counter{n: uint64(s.gaps + s.starts), rows: maxCounted, blocks: maxBlocks}
	for _, m := range s.req.Markets {
		known, err := s.countMarket(ctx, c, m.ID)
		if err != nil || !known {
			return 0, false, err
		}
	}
	if s.req.Include.Has(Liquidation) {
		known, err := s.countLiquidations(ctx, c)
		if err != nil || !known {
			return 0, false, err
		}
	}
	return c.n, true, nil
}

// countMarket adds the events of one market; false where they are too many to be counted now.
func (s *MergedSource) countMarket(ctx context.Context, c *counter, m model.MarketID) (bool, error) {
	sp := history.Span{From: s.req.From, To: s.req.To}
	if s.req.Include.Has(Trade) {
		n, exact, err := s.h.CountTrades(ctx, m, sp)
		if err != nil || !exact {
			return false, err
		}
		c.n += n
	}
	if s.req.Include.Has(BookUpdate) {
		n, blocks, err := s.h.CountUpdates(ctx, m, sp.From.Micros(), sp.To.Micros(), c.blocks)
		if err != nil || blocks < 0 {
			return false, err
		}
		c.n, c.blocks = c.n+n, blocks
	}
	if s.req.Include.Has(Snapshot) {
		if ok, err := count(c, s.h.BookTimes(ctx, m, sp, second, false)); !ok {
			return false, err
		}
	}
	if s.req.Include.Has(Funding) {
		if ok, err := count(c, s.h.Fundings(ctx, m, sp)); !ok {
			return false, err
		}
	}
	if s.req.Include.Has(Stats) {
		return count(c, s.h.Stats(ctx, m, sp))
	}
	return true, nil
}

// countLiquidations adds the forced trades of the request's markets.
func (s *MergedSource) countLiquidations(ctx context.Context, c *counter) (bool, error) {
	wanted := map[model.MarketID]bool{}
	for _, m := range s.req.Markets {
		wanted[m.ID] = true
	}
	for t, err := range s.h.Liquidations(ctx, history.Span{From: s.req.From, To: s.req.To}, false) {
		if err != nil {
			return false, err
		}
		if c.rows--; c.rows < 0 {
			return false, nil
		}
		if wanted[t.Market] {
			c.n++
		}
	}
	return true, nil
}

// count adds the rows of a list.
func count[T any](c *counter, rows iter.Seq2[T, error]) (bool, error) {
	for _, err := range rows {
		if err != nil {
			return false, err
		}
		if c.rows--; c.rows < 0 {
			return false, nil
		}
		c.n++
	}
	return true, nil
}
