package backfill

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hyperlight/engine/feed"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

// emptyVenue has no history at all.
type emptyVenue struct {
	mu    sync.Mutex
	calls map[model.Kind]int
}

func (v *emptyVenue) count(kind model.Kind) {
	v.mu.Lock()
	v.calls[kind]++
	v.mu.Unlock()
}

func (v *emptyVenue) Trades(context.Context, *model.Market, string, feed.Priority) (model.TradeBatch, string, error) {
	v.count(model.KindTrades)
	return model.TradeBatch{}, "", nil
}

func (v *emptyVenue) Candles(_ context.Context, _ *model.Market, r time.Duration, _, _ model.Millis, _ feed.Priority) ([]model.Candle, error) {
	kind, _ := model.CandleKind(r)
	v.count(kind)
	return nil, nil
}

func (v *emptyVenue) FundingRows(context.Context, *model.Market, model.Millis, model.Millis, feed.Priority) ([]model.Funding, error) {
	v.count(model.KindFunding)
	return nil, nil
}

// What the venue does not have is asked for once in days, by nobody and by a client alike, and stays told as not held; a
// restart remembers it.
func TestVenueHasNothing(t *testing.T) {
	store := kvtest.Open(t)
	m := &model.Market{Symbol: "ETH", Type: "perp", Active: true, Scales: []model.Scale{{}}}
	get := func(model.MarketID) (*model.Market, bool) { return m, true }
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: get})
	if err != nil {
		t.Fatal(err)
	}
	reader := history.NewReader(store, get)
	synctest.Test(t, func(t *testing.T) {
		v := &emptyVenue{calls: map[model.Kind]int{}}
		for range 2 {
			s, err := New(Options{Store: store, Reader: reader, Writer: w, Venue: v, PerMinute: 60,
				Markets: func() []*model.Market { return []*model.Market{m} },
				Depths:  Depths{Trades: time.Hour, Candles: time.Hour, Funding: 48 * time.Hour}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			time.Sleep(2 * time.Hour)
			now := model.Millis(time.Now().UnixMilli())
			for range 5 {
				s.Fill(ctx, model.KindTrades, []model.MarketID{0}, history.Span{From: now - 9*hour, To: now - 5*hour})
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		for kind, n := range v.calls {
			// Time goes on behind what was learned, so a few further calls are due.
			if n > 40 {
				t.Errorf("%v was asked for %d times", kind, n)
			}
		}
		if v.calls[model.KindTrades] == 0 || v.calls[model.KindFunding] == 0 {
			t.Errorf("calls are %v", v.calls)
		}
	})
}
