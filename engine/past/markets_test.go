package past

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// began is when the record of the tests begins; a day later they have another market.
const began = model.Millis(1_700_000_000_000)

// fakeRecord is a record as plain slices. What is not here is not read.
type fakeRecord struct {
	Record
	trades map[model.MarketID][]model.Trade // ascending
	stats  map[model.MarketID][]history.StatsRow
	held   map[model.MarketID]history.Interval // of statistics
}

func (r *fakeRecord) Trades(_ context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return func(yield func(*model.Trade, error) bool) {
		rows := slices.Clone(r.trades[m])
		if q.Reverse {
			slices.Reverse(rows)
		}
		for i := range rows {
			if t := &rows[i]; t.Time >= sp.From && t.Time < sp.To && !yield(t, nil) {
				return
			}
		}
	}
}

func (r *fakeRecord) CountTrades(context.Context, model.MarketID, history.Span) (uint64, bool, error) {
	return 0, true, nil
}

func (r *fakeRecord) Stats(_ context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error] {
	return func(yield func(*history.StatsRow, error) bool) {
		for i := range r.stats[m] {
			if s := &r.stats[m][i]; s.Time >= sp.From && s.Time < sp.To && !yield(s, nil) {
				return
			}
		}
	}
}

func (r *fakeRecord) Coverage(_ context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error) {
	iv, ok := r.held[m]
	iv.To = min(iv.To, sp.To.Micros())
	if kind != model.KindStats || !ok || iv.From >= iv.To {
		return nil, nil
	}
	return []history.Interval{iv}, nil
}

func (r *fakeRecord) Gaps(context.Context, []model.Kind, []model.MarketID, history.Span) ([]history.GapRow, error) {
	return nil, nil
}

type fakeMarkets []*model.Market

func (f fakeMarkets) All() []*model.Market { return f }

func (f fakeMarkets) Get(id model.MarketID) (*model.Market, bool) {
	for _, m := range f {
		if m.ID == id {
			return m, true
		}
	}
	return nil, false
}

func (f fakeMarkets) ByNative(_ uint8, native int64) (*model.Market, bool) {
	return f.Get(model.MarketID(native))
}

func testMarket(id model.MarketID, scales ...model.Scale) *model.Market {
	last := scales[len(scales)-1]
	return &model.Market{ID: id, Native: int64(id), Symbol: fmt.Sprintf("M%d", id), Active: true, Epoch: uint8(len(scales) - 1),
		Scales: scales, PriceScale: last.Price, SizeScale: last.Size}
}

// A clock shows the markets that were there, with the decimals that they had: nothing that was listed or changed later.
func TestMarketsAsTheyWere(t *testing.T) {
	const later, imported = began + day, began + 100*day
	r := &fakeRecord{trades: map[model.MarketID][]model.Trade{3: {{ID: 1, Time: began + hour}, {ID: 2, Time: began + 2*hour, Epoch: 1}}},
		held: map[model.MarketID]history.Interval{2: {From: (began + 3*hour).Micros(), To: imported.Micros()}, 3: {From: (began + minute).Micros(), To: imported.Micros()}}}
	markets := fakeMarkets{
		testMarket(0, model.Scale{Price: 2, Size: 4, From: began}, model.Scale{Price: 3, Size: 4, From: later}), // recorded live, decimals change
		testMarket(1, model.Scale{Price: 1, Size: 5, From: later}),                                              // recorded live, listed later
		testMarket(2, model.Scale{Price: 1, Size: 1, From: imported}),                                           // imported, recorded from the third hour on
		testMarket(3, model.Scale{Price: 2, Size: 2, From: imported}, model.Scale{Price: 4, Size: 2, From: imported}),
	}
	for _, tt := range []struct {
		at   model.Millis
		want string
	}{
		{0, "0:2.4 3:2.2"}, // no clock: what the record begins with
		{began - day, "0:2.4 3:2.2"},
		{began, "0:2.4 3:2.2"},
		{began + 2*hour, "0:2.4 3:2.2"},
		{began + 2*hour + 1, "0:2.4 3:4.2"},
		{began + 3*hour - 1, "0:2.4 3:4.2"},
		{began + 3*hour, "0:2.4 2:1.1 3:4.2"},
		{later - 1, "0:2.4 2:1.1 3:4.2"},
		{later, "0:3.4 1:1.5 2:1.1 3:4.2"},
		{imported, "0:3.4 1:1.5 2:1.1 3:4.2"},
	} {
		v := At(r, markets, tt.at.Micros())
		all, err := v.Markets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, m := range all {
			got += fmt.Sprintf(" %d:%d.%d", m.ID, m.PriceScale, m.SizeScale)
		}
		if got = strings.TrimSpace(got); got != tt.want {
			t.Errorf("at %d: %s, want %s", tt.at, got, tt.want)
		}
		_, body, err := v.Native(t.Context(), "orderBooks", func(string) (string, bool) { return "", false })
		var list struct {
			Books []struct {
				ID    int64 `json:"market_id"`
				Size  int   `json:"supported_size_decimals"`
				Price int   `json:"supported_price_decimals"`
			} `json:"order_books"`
		}
		if err != nil || json.Unmarshal(body, &list) != nil {
			t.Fatalf("%v %s", err, body)
		}
		got = ""
		for _, b := range list.Books {
			got += fmt.Sprintf(" %d:%d.%d", b.ID, b.Price, b.Size)
		}
		if strings.TrimSpace(got) != tt.want {
			t.Errorf("orderBooks at %d: %s, want %s", tt.at, got, tt.want)
		}
		listed := strings.Contains(tt.want, "1:")
		if status, _, err := v.Native(t.Context(), "recentTrades", func(n string) (string, bool) { return "1", n == "market_id" || n == "limit" }); err != nil || (status == 200) != listed {
			t.Errorf("recentTrades of market 1 at %d: %d %v", tt.at, status, err)
		}
	}
}

// Money that the venue tells with more digits than money has is part of the sum.
func TestExchangeStatsSum(t *testing.T) {
	quote := func(mant int64, scale uint8) []history.StatsRow {
		return []history.StatsRow{{Time: began, Stats: model.Stats{Has: model.HasDailyQuote, DailyQuote: num.Decimal{Mant: mant, Scale: scale}}}}
	}
	r := &fakeRecord{stats: map[model.MarketID][]history.StatsRow{0: quote(1_000_000_0004, 7), 1: quote(25, 1)}}
	markets := fakeMarkets{testMarket(0, model.Scale{Price: 2, Size: 4}), testMarket(1, model.Scale{Price: 2, Size: 4})}
	_, body, err := At(r, markets, (began+1000).Micros()).Native(t.Context(), "exchangeStats", func(string) (string, bool) { return "", false })
	if err != nil || !strings.Contains(string(body), `"daily_usd_volume":1002.5,`) {
		t.Errorf("%v %s", err, body)
	}
}
