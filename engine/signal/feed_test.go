package signal

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// told collects what a feed gives, as kind, time and the first value that is set.
type told []string

func (l *told) add(e *Event) {
	for f := range Field(fieldCount) {
		if e.Has.Has(f) {
			*l = append(*l, fmt.Sprint(e.Kind, " ", e.Time, " ", e.Values[f]))
			return
		}
	}
	*l = append(*l, fmt.Sprint(e.Kind, " ", e.Time))
}

func (l *told) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*l, want) {
		t.Errorf("got %q, want %q", *l, want)
	}
	*l = nil
}

var feedMarket = &model.Market{PriceScale: 3, SizeScale: 2, Scales: []model.Scale{{Price: 1, Size: 1}, {Price: 3, Size: 2}}, Epoch: 1}

// New trades and recovered ones give events at the scale of their epoch; rows that fill older holes give none.
func TestFeedTrades(t *testing.T) {
	t.Parallel()
	f, got := NewFeed(0), told{}
	rows := []model.Trade{{ID: 1, Time: 5, Price: 1234}, {ID: 2, Time: 6, Price: 1234, Epoch: 1}}
	f.Trades(feedMarket, &model.TradeBatch{Rows: rows}, got.add)
	got.expect(t, "3 5 123.4", "3 6 1.234")
	f.Trades(feedMarket, &model.TradeBatch{Rows: rows[:1], History: true, Recovered: true}, got.add)
	got.expect(t, "3 5 123.4")
	f.Trades(feedMarket, &model.TradeBatch{Rows: rows, History: true}, got.add)
	f.Trades(feedMarket, &model.TradeBatch{Rows: rows, History: true, REST: true}, got.add)
	got.expect(t)
}

// The first statistics of each ten seconds set the funding rate at the next full second, also where a row before them had no
// rate, and not where the record had a row of those ten seconds before the start.
func TestFeedStats(t *testing.T) {
	t.Parallel()
	f, got := NewFeed(20_001), told{}
	stats := func(at model.Micros, rate num.Rate, has model.StatsMask) {
		f.Stats(at, &model.Stats{CurrentFundingRate: rate, Has: has})
	}
	tick := func(second model.Micros) { f.Tick(second*1_000_000, feedMarket, nil, got.add) }
	stats(29_999_999, 1e6, model.HasCurrentFundingRate)
	tick(30)
	got.expect(t)
	stats(30_000_000, 2e6, model.HasCurrentFundingRate)
	stats(30_900_000, 3e6, model.HasCurrentFundingRate)
	tick(31)
	got.expect(t, "0 31000 0.000002")
	stats(41_000_000, 4e6, model.HasMark)
	stats(42_000_000, 5e6, model.HasCurrentFundingRate)
	tick(43)
	got.expect(t)
	// Missed ticks: what waits comes with the next one, at its own second.
	stats(50_999_999, 6e6, model.HasCurrentFundingRate)
	stats(60_000_000, -7e6, model.HasCurrentFundingRate)
	tick(60)
	got.expect(t, "0 51000 0.000006")
	tick(61)
	got.expect(t, "0 61000 -0.000007")
	tick(62)
	got.expect(t)
}

// At one second the funding rate comes first, then the heatmap, then the book; a book out of sync gives none, one with an
// empty side no spread.
func TestFeedTick(t *testing.T) {
	t.Parallel()
	f, got := NewFeed(0), told{}
	v := book.NewView(book.Meta{Epoch: 1}, []model.Level{{Price: 999, Size: 5}}, []model.Level{{Price: 1001, Size: 7}})
	f.Stats(11_000_000, &model.Stats{CurrentFundingRate: 1e6, Has: model.HasCurrentFundingRate})
	f.Heatmap(10_999, num.Decimal{Mant: 15, Scale: 1}, num.Decimal{})
	f.Heatmap(11_000, num.Decimal{Mant: 16, Scale: 1}, num.Decimal{})
	f.Tick(12_000_000, feedMarket, v, got.add)
	got.expect(t, "0 12000 0.000001", "1 12000 1.5", "2 12000 0.002")
	f.Tick(13_000_000, feedMarket, nil, got.add)
	got.expect(t, "1 13000 1.6")
	v = book.NewView(book.Meta{Epoch: 1}, []model.Level{{Price: 999, Size: 5}}, nil)
	f.Tick(14_000_000, feedMarket, v, func(e *Event) {
		if e.Has != setOf(BidDepth, AskDepth) || !e.HasBid || e.HasAsk || e.Values[AskDepth].Mant != 0 {
			t.Errorf("a book without asks is %+v", e)
		}
	})
	// A size beyond all sizes is no depth.
	v = book.NewView(book.Meta{}, []model.Level{{Price: 9, Size: 1 << 62}, {Price: 8, Size: 1 << 62}}, nil)
	f.Tick(15_000_000, feedMarket, v, func(e *Event) {
		if e.Has.Has(BidDepth) {
			t.Errorf("depth is %s", e.Values[BidDepth])
		}
	})
}

// Heatmaps come from another goroutine; without ticks only the newest are kept.
func TestFeedHeatmapsWait(t *testing.T) {
	t.Parallel()
	f, n := NewFeed(0), 0
	var wg sync.WaitGroup
	for i := range 2 * maxHeatmaps {
		wg.Go(func() { f.Heatmap(model.Millis(i), num.Decimal{}, num.Decimal{}) })
	}
	f.Tick(1_000_000, feedMarket, nil, func(*Event) { t.Error("a heatmap came before its second") })
	wg.Wait()
	f.Tick(9_000_000, feedMarket, nil, func(*Event) { n++ })
	if n != maxHeatmaps {
		t.Errorf("%d heatmaps waited", n)
	}
}

// A clock that is set back keeps nothing waiting that was received before, and statistics count from there on.
func TestFeedSetBack(t *testing.T) {
	t.Parallel()
	f, got := NewFeed(0), told{}
	stats := func(at model.Micros, rate num.Rate) {
		f.Stats(at*1_000_000, &model.Stats{CurrentFundingRate: rate, Has: model.HasCurrentFundingRate})
	}
	tick := func(second model.Micros) {
		f.SetBack((second * 1_000_000).Millis())
		f.Tick(second*1_000_000, feedMarket, nil, got.add)
	}
	stats(3600, 1e6)
	f.Heatmap(3_600_000, num.Decimal{Mant: 15, Scale: 1}, num.Decimal{})
	tick(5)
	got.expect(t, "0 5000 0.000001", "1 5000 1.5")
	stats(5, 2e6) // again, and once in ten seconds
	stats(5, 3e6)
	f.Heatmap(5_500, num.Decimal{Mant: 16, Scale: 1}, num.Decimal{})
	tick(6)
	got.expect(t, "0 6000 0.000002")
	tick(7)
	got.expect(t, "1 7000 1.6")
	stats(8, 4e6)
	tick(9)
	got.expect(t)
	stats(10, 5e6)
	tick(11)
	got.expect(t, "0 11000 0.000005")
}
