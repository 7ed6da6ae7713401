package export

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// Source reads the rows of the datasets out of the record. It may be used from any goroutine. Its iterators hold a place among
// the reads of history only while they read, and let other reads go first between batches.
type Source struct {
	History *history.Reader
	Markets func() []*model.Market
	Enter   func(context.Context) (leave func(), err error)
}

const (
	// sourceRows is how many rows a batch has at most, where rows are small.
	sourceRows = 8192
	// sourceBooks is the same of whole books, which have thousands of levels.
	sourceBooks = 64
	// enterAgain is how long is waited where too many reads of history run.
	enterAgain = time.Second
)

// enter waits for a place among the reads of history for as long as it takes: nobody waits for a file.
func (s *Source) enter(ctx context.Context) (leave func(), err error) {
	for {
		leave, err := s.Enter(ctx)
		var busy *model.Error
		if err == nil || !errors.As(err, &busy) || busy.Code != model.CodeServiceUnavailable {
			return leave, err
		}
		t := time.NewTimer(enterAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
	}
}

// reading does a short read of history in a place of its own.
func (s *Source) reading(ctx context.Context, read func() error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return read()
}

// batches makes rows of what an iterator gives and yields them in batches of at least a length, the last one aside. convert
// appends the rows of one item. A place is held while the iterator works, not while the caller does.
func batches[I any, T Row[T]](ctx context.Context, s *Source, length int, items iter.Seq2[I, error], convert func([]T, I) ([]T, error)) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		leave, err := s.enter(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() {
			if leave != nil {
				leave()
			}
		}()
		var rows []T
		for item, err := range items {
			if err == nil {
				rows, err = convert(rows, item)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(rows) < length {
				continue
			}
			leave()
			leave = nil
			if !yield(rows, nil) {
				return
			}
			if leave, err = s.enter(ctx); err != nil {
				yield(nil, err)
				return
			}
			rows = rows[:0]
		}
		leave()
		leave = nil
		if len(rows) > 0 {
			yield(rows, nil)
		}
	}
}

// Trades goes through the trades of a market, a batch at a time, by (time, id). The batch is valid until the next step.
func (s *Source) Trades(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]Trade, error] {
	items := s.History.Trades(ctx, m.ID, sp, history.TradeQuery{Columns: record.All})
	return batches(ctx, s, sourceRows, items, func(rows []Trade, t *model.Trade) ([]Trade, error) {
		row, err := NewTrade(m, t)
		return append(rows, row), err
	})
}

// minute is the length of the lake's candles, and what they are called.
const (
	minute     = time.Minute
	minuteWord = "1m"
)

// Candles goes through the candles of a market of one minute. The batch is valid until the next step.
func (s *Source) Candles(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]Candle, error] {
	return batches(ctx, s, sourceRows, s.History.Candles(ctx, m.ID, minute, sp, false), func(rows []Candle, c record.Candle) ([]Candle, error) {
		row, err := NewCandle(m, &model.Candle{Resolution: minute, Time: c.Time, Epoch: c.Epoch, Open: c.Open, High: c.High, Low: c.Low,
			Close: c.Close, Volume: c.Volume, QuoteVolume: c.QuoteVolume, LastID: c.LastID, Trades: c.Trades}, minuteWord)
		return append(rows, row), err
	})
}

// Snapshots goes through the books of a market at full seconds, at full depth. The batch is valid until the next step.
func (s *Source) Snapshots(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]Snapshot, error] {
	var levels []model.Level
	return batches(ctx, s, sourceBooks, s.History.Books(ctx, m.ID, sp, time.Second), func(rows []Snapshot, b history.Snapshot) ([]Snapshot, error) {
		row, err := newSnapshot(m, b.At, b.View, &levels)
		return append(rows, row), err
	})
}

// newSnapshot returns the row of a book at a full second; ErrFit where a column cannot hold it. The middle of the best prices is
// rounded half-even where it has more decimals than the column.
func newSnapshot(m *model.Market, at model.Millis, v *book.View, levels *[]model.Level) (Snapshot, error) {
	var c columns
	c.price, c.amount = m.ScaleAt(v.Epoch)
	row := Snapshot{Timestamp: int64(at), RecvTS: int64(v.Recv), MarketID: c.market(m), Symbol: m.Symbol, Nonce: c.idOf("nonce", v.Seq)}
	bid, hasBid := v.Best(model.Bid)
	ask, hasAsk := v.Best(model.Ask)
	if hasBid {
		row.BestBid = c.priceOf("best_bid", bid.Price)
	}
	if hasAsk {
		row.BestAsk = c.priceOf("best_ask", ask.Price)
	}
	if hasBid && hasAsk && c.err == nil {
		var sum num.Acc
		sum.AddProduct(row.BestBid, 1)
		sum.AddProduct(row.BestAsk, 1)
		row.MidPrice, c.err = quotient("mid_price", sum, 2, decimalScale)
		row.Spread = row.BestAsk - row.BestBid
	}
	if c.err != nil {
		return row, c.err
	}
	var err error
	*levels = v.Append((*levels)[:0], model.Bid, 0)
	if row.Bids, err = NewLevels(m, v.Epoch, *levels); err != nil {
		return row, err
	}
	*levels = v.Append((*levels)[:0], model.Ask, 0)
	row.Asks, err = NewLevels(m, v.Epoch, *levels)
	return row, err
}

// BookUpdates goes through the changes of a market's book, in the order received. It begins with the whole book at the start of
// the span, where that is held, and so does the time after each gap. The batch is valid until the next step.
func (s *Source) BookUpdates(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]BookUpdate, error] {
	from := sp.From.Micros()
	items := func(yield func(bookItem, error) bool) {
		v, err := s.History.BookAt(ctx, m.ID, from)
		switch {
		case errors.Is(err, history.ErrNoData):
		case err != nil:
			yield(bookItem{}, err)
			return
		default:
			u := model.BookUpdate{Snapshot: true, Bids: v.Append(nil, model.Bid, 0), Asks: v.Append(nil, model.Ask, 0), Seq: v.Seq}
			if !yield(bookItem{update: &u, epoch: v.Epoch, at: v.Time, recv: from}, nil) {
				return
			}
		}
		for row, err := range s.History.Updates(ctx, m.ID, from, sp.To.Micros()) {
			if err != nil {
				yield(bookItem{}, err)
				return
			}
			if !yield(bookItem{update: &row.Update, epoch: row.Epoch, at: row.Time, recv: row.Recv}, nil) {
				return
			}
		}
	}
	return batches(ctx, s, sourceRows, items, func(rows []BookUpdate, b bookItem) ([]BookUpdate, error) {
		return NewBookUpdates(rows, m, b.epoch, b.update, b.at, b.recv)
	})
}

// bookItem is a change of a book on its way to its rows.
type bookItem struct {
	update *model.BookUpdate
	epoch  uint8
	at     model.Millis
	recv   model.Micros
}

// FundingRates goes through the settled fundings of markets, nil for all, by (time, market). They are read at once: there are 24
// a day of a market.
func (s *Source) FundingRates(ctx context.Context, ms []*model.Market, sp history.Span) iter.Seq2[[]FundingRate, error] {
	return func(yield func([]FundingRate, error) bool) {
		rows, err := s.fundingRates(ctx, ms, sp)
		if err != nil || len(rows) > 0 {
			yield(rows, err)
		}
	}
}

func (s *Source) fundingRates(ctx context.Context, ms []*model.Market, sp history.Span) ([]FundingRate, error) {
	if ms == nil {
		ms = s.Markets()
	}
	var out []FundingRate
	for _, m := range ms {
		items := s.History.Fundings(ctx, m.ID, sp)
		for rows, err := range batches(ctx, s, sourceRows, items, func(rows []FundingRate, f model.Funding) ([]FundingRate, error) {
			row, err := NewFundingRate(m, &f)
			return append(rows, row), err
		}) {
			if err != nil {
				return nil, err
			}
			out = append(out, rows...)
		}
	}
	slices.SortStableFunc(out, func(a, b FundingRate) int {
		return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.MarketID, b.MarketID))
	})
	return out, nil
}
