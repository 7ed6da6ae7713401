// Package past is the record as it stood at a moment: a clock in front of the history reader. Whoever reads through a
// View sees what had been received before its clock and nothing that came later, whatever the store holds by now. It
// writes nothing, keeps nothing, and must not know who asks or how answers are sent.
package past

import (
	"context"
	"iter"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// Record is what a View reads; *history.Reader is one.
type Record interface {
	Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error]
	TradesOf(ctx context.Context, ids []model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[history.MarketTrade, error]
	CountTrades(ctx context.Context, m model.MarketID, sp history.Span) (n uint64, exact bool, err error)
	Aggregates(ctx context.Context, m model.MarketID, grid history.Grid, sp history.Span, reverse bool) iter.Seq2[history.Aggregate, error]
	Liquidations(ctx context.Context, sp history.Span, reverse bool) iter.Seq2[history.MarketTrade, error]
	BookAt(ctx context.Context, m model.MarketID, t model.Micros) (*book.View, error)
	Books(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration) iter.Seq2[history.Snapshot, error]
	BookTimes(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, error]
	Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error]
	Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp history.Span, reverse bool) iter.Seq2[record.Candle, error]
	Stats(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error]
	Fundings(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error]
	Heatmaps(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.HeatmapRow, error]
	Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error)
	Gaps(ctx context.Context, kinds []model.Kind, ids []model.MarketID, sp history.Span) ([]history.GapRow, error)
}

// Markets tells what is known of markets; *market.Registry is one.
type Markets interface {
	All() []*model.Market
	Get(id model.MarketID) (*model.Market, bool)
	ByNative(venue uint8, native int64) (*model.Market, bool)
}

// clockSkew is how far ahead of our clock the venue's may be: a trade received before a moment may bear a later time.
const clockSkew = model.Millis(2_000)

// View is the record at a moment of the receive clock. A trade is seen from when it was received on, or from its own
// time on where it was fetched later. It holds no state between calls and may be used from any goroutine.
type View struct {
	h       Record
	markets Markets
	at      model.Micros
	sums    Sums // nil: there are none
}

// At returns the record as everything received before a moment makes it.
func At(h Record, markets Markets, at model.Micros) *View {
	return &View{h: h, markets: markets, at: at}
}

// now is the clock in milliseconds, rounded down.
func (v *View) now() model.Millis { return v.at.Millis() }

// seen tells whether a trade had been received.
func (v *View) seen(t *model.Trade) bool {
	if t.Recv == 0 {
		return t.Time.Micros() < v.at
	}
	return t.Recv < v.at
}

// tradeSpan cuts a span of trades to what can have been received.
func (v *View) tradeSpan(sp history.Span) history.Span {
	sp.To = min(sp.To, v.now()+clockSkew)
	return sp
}

// Trades goes through the trades of one market that had been received, by (time, id).
func (v *View) Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return func(yield func(*model.Trade, error) bool) {
		for t, err := range v.h.Trades(ctx, m, v.tradeSpan(sp), q) {
			if err == nil && !v.seen(t) {
				continue
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// TradesOf goes through the trades of several markets that had been received, by (time, market, id).
func (v *View) TradesOf(ctx context.Context, ids []model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[history.MarketTrade, error] {
	return func(yield func(history.MarketTrade, error) bool) {
		for t, err := range v.h.TradesOf(ctx, ids, v.tradeSpan(sp), q) {
			if err == nil && !v.seen(t.Trade) {
				continue
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// CountTrades counts the trades of a span that had been received: the settled ones as the record counts them, the rest
// one by one.
func (v *View) CountTrades(ctx context.Context, m model.MarketID, sp history.Span) (n uint64, exact bool, err error) {
	settled, err := v.settled(ctx, m)
	if err != nil {
		return 0, false, err
	}
	if old := (history.Span{From: sp.From, To: min(sp.To, settled)}); old.From < old.To {
		if n, exact, err = v.h.CountTrades(ctx, m, old); err != nil || !exact {
			return n, exact, err
		}
	}
	sp.From = max(sp.From, settled)
	for _, err := range v.Trades(ctx, m, sp, history.TradeQuery{Columns: record.Core}) {
		if err != nil {
			return 0, false, err
		}
		n++
	}
	return n, true, nil
}

// BookAt returns the book of every update received before t, or before the clock where that is earlier.
func (v *View) BookAt(ctx context.Context, m model.MarketID, t model.Micros) (*book.View, error) {
	return v.h.BookAt(ctx, m, min(t, v.at))
}

// Book returns the book at the clock.
func (v *View) Book(ctx context.Context, m *model.Market) (*book.View, error) {
	return v.BookAt(ctx, m.ID, v.at)
}

// secondSpan cuts a span of full seconds: the book of a second is made of what was received before it.
func (v *View) secondSpan(sp history.Span) history.Span {
	sp.To = min(sp.To, v.now()+1)
	return sp
}

// Books goes through the books of full seconds, the last one not after the clock.
func (v *View) Books(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration) iter.Seq2[history.Snapshot, error] {
	return v.h.Books(ctx, m, v.secondSpan(sp), every)
}

// BookTimes goes through the full seconds of which a book is held, the last one not after the clock.
func (v *View) BookTimes(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, error] {
	return v.h.BookTimes(ctx, m, v.secondSpan(sp), every, reverse)
}

// Updates goes through the book updates of from <= receive time < to that had been received.
func (v *View) Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	return v.h.Updates(ctx, m, from, min(to, v.at))
}

// Stats goes through the statistics that had been received. Their times are milliseconds, rounded down: those of the
// clock's own millisecond are left out.
func (v *View) Stats(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error] {
	sp.To = min(sp.To, v.now())
	return v.h.Stats(ctx, m, sp)
}

// Fundings goes through the funding rows that had been settled.
func (v *View) Fundings(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error] {
	sp.To = min(sp.To, v.now()+1)
	return v.h.Fundings(ctx, m, sp)
}

// mapReach is how old the last whole heatmap may be: one is kept each minute.
const mapReach = model.Millis(120_000)

// Heatmap returns the last whole heatmap that had been computed, history.ErrNoData where none is held of the two minutes
// before the clock.
func (v *View) Heatmap(ctx context.Context, m model.MarketID) (*model.Heatmap, error) {
	var last *model.Heatmap
	for h, err := range v.h.Heatmaps(ctx, m, history.Span{From: v.now() - mapReach, To: v.now()}) {
		if err != nil {
			return nil, err
		}
		if h.Map != nil {
			kept := *h
			last = &kept
		}
	}
	if last == nil {
		return nil, history.ErrNoData
	}
	return last, nil
}
