package exchange

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	// sumsBack is how far back hours are looked for that have become whole since: repairs and backfill come late.
	sumsBack = 35 * 24 * hourMillis
	// sumsDelay is how long after its end an hour is summed: its last trades may still be on their way.
	sumsDelay = 2 * minuteMillis
	// sumsAtOnce bounds the hours that one round reads, so that a long backfill does not keep the disk busy.
	sumsAtOnce = 48
	sumsEvery  = time.Minute
	// interestBack is how long before the end of an hour the open interest is taken from; a row is stored every 10 s.
	interestBack = 5 * minuteMillis
)

// SumsRecord is what sums are made from; *history.Reader is one.
type SumsRecord interface {
	Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error]
	Stats(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error]
	Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error)
}

// SumsOptions of Sums. All but Now and Logger are required.
type SumsOptions struct {
	Store   *kv.Store
	Record  SumsRecord
	Markets func() []*model.Market
	// Enter passes the gate of history reads; nil: none.
	Enter  func(ctx context.Context) (leave func(), err error)
	Now    func() time.Time
	Logger *slog.Logger
}

// Sums keeps what the hours and days of the exchange came to. An hour of a market is summed once, when every trade of it
// is held, and never again: where all are held, none can come later. It alone writes the family ExchangeSums.
type Sums struct {
	o   SumsOptions
	log *slog.Logger
}

// NewSums returns sums over a store.
func NewSums(o SumsOptions) *Sums {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Enter == nil {
		o.Enter = func(context.Context) (func(), error) { return func() {}, nil }
	}
	return &Sums{o: o, log: o.Logger.With("component", "exchange")}
}

// Run sums what has become whole until ctx ends. What fails is tried again a minute later.
func (s *Sums) Run(ctx context.Context) error {
	t := time.NewTicker(sumsEvery)
	defer t.Stop()
	for {
		if _, err := s.Update(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("sums of the exchange not made", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Update sums the hours and days that have become whole, the newest first, and returns how many hours it has read; it
// stops after a bounded number of them.
func (s *Sums) Update(ctx context.Context) (read int, err error) {
	now := model.Millis(s.o.Now().UnixMilli())
	end := (now - sumsDelay) / hourMillis * hourMillis
	start := max(0, end-sumsBack)
	if start >= end {
		return 0, nil
	}
	held, err := s.coverage(ctx, start, end)
	if err != nil {
		return 0, err
	}
	stored, err := s.rows(ctx, key.Hour, start, end)
	if err != nil {
		return 0, err
	}
	days := map[model.Millis]bool{}
	for at := end - hourMillis; at >= start && read < sumsAtOnce; at -= hourMillis {
		row := stored[at]
		more, err := s.hour(ctx, at, held, &row)
		if err != nil {
			return read, fmt.Errorf("sum hour %d: %w", at, err)
		}
		if more {
			read++
			stored[at] = row
			days[history.CandleStart(at, 24*time.Hour)] = true
		}
	}
	for day := range days {
		if err := s.day(ctx, day); err != nil {
			return read, fmt.Errorf("sum day %d: %w", day, err)
		}
	}
	return read, nil
}

// coverage returns the held intervals of every market's trades.
func (s *Sums) coverage(ctx context.Context, from, to model.Millis) (map[model.MarketID][]history.Interval, error) {
	out := map[model.MarketID][]history.Interval{}
	for _, m := range s.o.Markets() {
		ivs, err := s.o.Record.Coverage(ctx, model.KindTrades, m.ID, history.Span{From: from, To: to})
		if err != nil {
			return nil, fmt.Errorf("read coverage of market %d: %w", m.ID, err)
		}
		if len(ivs) > 0 {
			out[m.ID] = ivs
		}
	}
	return out, nil
}

func covers(ivs []history.Interval, from, to model.Millis) bool {
	return slices.ContainsFunc(ivs, func(iv history.Interval) bool { return iv.From <= from.Micros() && iv.To >= to.Micros() })
}

func touches(ivs []history.Interval, from, to model.Millis) bool {
	return slices.ContainsFunc(ivs, func(iv history.Interval) bool { return iv.From < to.Micros() && iv.To > from.Micros() })
}

// hour adds to a row the markets whose hour has become whole, and stores it; false where there was nothing to add.
func (s *Sums) hour(ctx context.Context, at model.Millis, held map[model.MarketID][]history.Interval, row *record.ExchangeSums) (bool, error) {
	if row.Whole {
		return false, nil
	}
	whole, added := true, false
	for _, m := range s.o.Markets() {
		if row.Market(m.ID) != nil {
			continue
		}
		if !covers(held[m.ID], at, at+hourMillis) {
			whole = whole && !m.Active && !touches(held[m.ID], at, at+hourMillis) // one taken down in this hour has traded in it
			continue
		}
		sums, err := s.market(ctx, m, at)
		if err != nil {
			return false, err
		}
		row.Markets, added = append(row.Markets, sums), true
	}
	if !added {
		return false, nil
	}
	row.Whole = whole
	return true, s.save(key.Hour, at, row)
}

// market sums one hour of one market.
func (s *Sums) market(ctx context.Context, m *model.Market, at model.Millis) (record.MarketSums, error) {
	leave, err := s.o.Enter(ctx)
	if err != nil {
		return record.MarketSums{}, err
	}
	defer leave()
	out := record.MarketSums{Market: m.ID}
	sp := history.Span{From: at, To: at + hourMillis}
	for t, err := range s.o.Record.Trades(ctx, m.ID, sp, history.TradeQuery{Columns: record.All}) {
		if err != nil {
			return out, err
		}
		taker, err := fee(t.USD, t.TakerFee)
		if err != nil {
			return out, err
		}
		maker, err := fee(t.USD, t.MakerFee)
		if err != nil {
			return out, err
		}
		out.Trades++
		out.Quote, out.TakerFee, out.MakerFee = out.Quote+t.USD, out.TakerFee+taker, out.MakerFee+maker
		if t.Kind == model.KindLiquidation || t.Kind == model.KindDeleverage {
			out.Liquidations++
			out.LiquidationQuote += t.USD
		}
	}
	for row, err := range s.o.Record.Stats(ctx, m.ID, history.Span{From: sp.To - interestBack, To: sp.To}) {
		if err != nil {
			return out, err
		}
		if row.Stats.Has&model.HasOpenInterest == 0 {
			continue
		}
		usd, err := Money(row.Stats.OpenInterest)
		if err != nil {
			continue
		}
		if mant, err := num.Rescale(usd.Mant, usd.Scale, num.USDScale); err == nil {
			out.OpenInterest, out.HasOpenInterest = num.USD(mant), true
		}
	}
	return out, nil
}

// fee is what a side pays, rounded half-even to the decimals of money; tick is 1e-6 of the value.
func fee(usd num.USD, tick int32) (num.USD, error) {
	if tick == 0 {
		return 0, nil
	}
	var a num.Acc
	a.AddProduct(int64(usd), int64(tick))
	v, err := a.Round(2*num.USDScale, num.USDScale)
	return num.USD(v), err
}

// day stores the sums of a day over the markets that are in each of its hours. It is whole where no other one has traded.
func (s *Sums) day(ctx context.Context, at model.Millis) error {
	hours, err := s.rows(ctx, key.Hour, at, at+24*hourMillis)
	if err != nil || len(hours) < 24 {
		return err
	}
	last := hours[at+23*hourMillis]
	sum := record.ExchangeSums{Whole: last.Whole}
	for i := range last.Markets {
		total := last.Markets[i]
		complete := true
		for h := range model.Millis(23) {
			row := hours[at+h*hourMillis]
			sum.Whole = sum.Whole && row.Whole
			part := row.Market(total.Market)
			if part == nil {
				complete = false
				break
			}
			addSums(&total, part)
		}
		if complete {
			sum.Markets = append(sum.Markets, total)
		}
	}
	if len(sum.Markets) == 0 {
		return nil
	}
	for _, row := range hours {
		for i := range row.Markets {
			sum.Whole = sum.Whole && (row.Markets[i].Trades == 0 || sum.Market(row.Markets[i].Market) != nil)
		}
	}
	return s.save(key.Daily, at, &sum)
}

// addSums adds all but the open interest, which is that of the end.
func addSums(dst, part *record.MarketSums) {
	dst.Trades += part.Trades
	dst.Quote += part.Quote
	dst.TakerFee += part.TakerFee
	dst.MakerFee += part.MakerFee
	dst.Liquidations += part.Liquidations
	dst.LiquidationQuote += part.LiquidationQuote
}

func (s *Sums) save(res key.Resolution, at model.Millis, row *record.ExchangeSums) error {
	b := s.o.Store.NewBatch()
	b.Set(key.ExchangeSum(nil, res, int64(at)), record.AppendExchangeSums(nil, row))
	return s.o.Store.Commit(b, kv.NoSync)
}

// rows reads the stored sums of a range by their first moment.
func (s *Sums) rows(ctx context.Context, res key.Resolution, from, to model.Millis) (map[model.Millis]record.ExchangeSums, error) {
	out := map[model.Millis]record.ExchangeSums{}
	rg, err := key.ExchangeSumRange(res, int64(from), int64(to))
	if errors.Is(err, key.ErrEmptyRange) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for row, err := range s.o.Store.Scan(ctx, rg) {
		if err != nil {
			return nil, fmt.Errorf("scan sums of the exchange: %w", err)
		}
		k, err := key.ParseExchangeSum(row.Key)
		if err != nil {
			return nil, err
		}
		if out[model.Millis(k.Time)], err = record.DecodeExchangeSums(row.Value); err != nil {
			return nil, err
		}
	}
	return out, nil
}
