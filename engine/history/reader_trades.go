package history

import (
	"cmp"
	"context"
	"fmt"
	"iter"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// TradeQuery says how trades are read. The zero value decodes the core columns in ascending order.
type TradeQuery struct {
	Columns record.Columns // 0 means record.Core
	Reverse bool
	// Rows is how many trades of a market the caller is going to take at most, so that no more of them are read ahead; 0 where
	// nobody knows. Whoever takes more gets them.
	Rows int
	// After skips everything up to and including this place, in the direction of reading.
	After *Position
}

// Trades goes through the trades of one market by (time, id). The pointer is valid until the next step.
func (r *Reader) Trades(ctx context.Context, m model.MarketID, sp Span, q TradeQuery) iter.Seq2[*model.Trade, error] {
	return func(yield func(*model.Trade, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(nil, err)
			return
		}
		if q.Columns == 0 {
			q.Columns = record.Core
		}
		q.narrow(&sp)
		from, to, err := r.extent(ctx, key.Trades, max(int64(sp.From), 0), int64(sp.To))
		if err != nil {
			yield(nil, err)
			return
		}
		taken := 0
		slices := newSlicesAhead(q.Reverse, func(s *tradeSlice) (more bool, err error) {
			for from < to && keep.skip(key.Trades, &from, &to, q.Reverse) {
			}
			if from >= to {
				return false, nil
			}
			if err := ctx.Err(); err != nil {
				return false, fmt.Errorf("read trades: %w", err)
			}
			if q.Rows > 0 { // nothing is read ahead then
				s.want = max(q.Rows-taken, 0)
			}
			from, to, err = s.load(ctx, r, uint32(m), from, to, q.Columns)
			return err == nil, err
		})
		defer slices.free()
		for {
			slice, err := slices.next(q.Rows == 0)
			if err != nil {
				yield(nil, err)
				return
			}
			if slice == nil {
				return
			}
			n := len(slice.rows)
			for i := range n {
				t := &slice.rows[i]
				if q.Reverse {
					t = &slice.rows[n-1-i]
				}
				if q.After != nil && !q.passed(m, t) {
					continue
				}
				taken++
				if !yield(t, nil) {
					return
				}
			}
		}
	}
}

// narrow cuts the span at the place that the query goes on from.
func (q *TradeQuery) narrow(sp *Span) {
	switch {
	case q.After == nil:
	case q.Reverse:
		sp.To = min(sp.To, q.After.Time+1)
	default:
		sp.From = max(sp.From, q.After.Time)
	}
}

// passed tells whether a trade comes after the place that the query goes on from.
func (q *TradeQuery) passed(m model.MarketID, t *model.Trade) bool {
	c := cmp.Or(cmp.Compare(t.Time, q.After.Time), cmp.Compare(m, q.After.Market), cmp.Compare(t.ID, q.After.ID))
	if q.Reverse {
		return c < 0
	}
	return c > 0
}

// skip moves the end that is read from over a dropped day.
func (k *keepState) skip(f key.Family, from, to *int64, reverse bool) bool {
	day := key.Day(*from)
	if reverse {
		day = key.Day(*to - 1)
	}
	if !k.dropped(f, day) {
		return false
	}
	if reverse {
		*to = key.DayStart(day)
	} else {
		*from = key.DayStart(day + 1)
	}
	return true
}

// TradesOf goes through the trades of several markets by (time, market, id). The trade is valid until the next step.
func (r *Reader) TradesOf(ctx context.Context, ids []model.MarketID, sp Span, q TradeQuery) iter.Seq2[MarketTrade, error] {
	return func(yield func(MarketTrade, error) bool) {
		var streams []*tradeStream
		defer func() {
			for _, s := range streams {
				s.stop()
			}
		}()
		for _, id := range ids {
			s := &tradeStream{market: id}
			s.next, s.stop = iter.Pull2(r.Trades(ctx, id, sp, q))
			streams = append(streams, s)
		}
		less := func(a, b *tradeStream) bool {
			c := cmp.Or(cmp.Compare(a.trade.Time, b.trade.Time), cmp.Compare(a.market, b.market))
			return c < 0 != q.Reverse
		}
		heap := make(tradeHeap, 0, len(streams))
		for _, s := range streams {
			ok, err := s.advance()
			if err != nil {
				yield(MarketTrade{}, err)
				return
			}
			if ok {
				heap = append(heap, s)
			}
		}
		for i := len(heap)/2 - 1; i >= 0; i-- {
			heap.down(i, less)
		}
		for len(heap) > 0 {
			s := heap[0]
			if !yield(MarketTrade{Market: s.market, Trade: s.trade}, nil) {
				return
			}
			ok, err := s.advance()
			if err != nil {
				yield(MarketTrade{}, err)
				return
			}
			if !ok {
				heap[0] = heap[len(heap)-1]
				heap = heap[:len(heap)-1]
			}
			heap.down(0, less)
		}
	}
}

// tradeStream is one market's part of a merge.
type tradeStream struct {
	market model.MarketID
	trade  *model.Trade
	next   func() (*model.Trade, error, bool)
	stop   func()
}

func (s *tradeStream) advance() (bool, error) {
	t, err, ok := s.next()
	s.trade = t
	return ok, err
}

type tradeHeap []*tradeStream

func (h tradeHeap) down(i int, less func(a, b *tradeStream) bool) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && less(h[child+1], h[child]) {
			child++
		}
		if !less(h[child], h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// Liquidations goes through the liquidation and deleverage trades of all markets by (time, market, id). The trade is
// valid until the next step.
func (r *Reader) Liquidations(ctx context.Context, sp Span, reverse bool) iter.Seq2[MarketTrade, error] {
	return func(yield func(MarketTrade, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(MarketTrade{}, err)
			return
		}
		from := max(int64(sp.From), 0)
		if from >= int64(sp.To) {
			return
		}
		rg, err := key.LiquidationRange(from, int64(sp.To))
		if err != nil {
			yield(MarketTrade{}, fmt.Errorf("range of liquidations: %w", err))
			return
		}
		scan := r.store.Scan
		if reverse {
			scan = r.store.ScanReverse
		}
		var rows []model.Trade
		for row, err := range scan(ctx, rg) {
			var k key.LiquidationKey
			if err == nil {
				k, err = key.ParseLiquidation(row.Key)
			}
			if err == nil {
				if keep.dropped(key.Liquidations, key.Day(k.Time)) {
					continue
				}
				rows, err = record.DecodeTrades(rows[:0], row.Value, record.All)
			}
			if err == nil && len(rows) != 1 {
				err = record.ErrCorrupt
			}
			if err != nil {
				yield(MarketTrade{}, fmt.Errorf("read liquidations: %w", err))
				return
			}
			if !yield(MarketTrade{Market: model.MarketID(k.Market), Trade: &rows[0]}, nil) {
				return
			}
		}
	}
}
