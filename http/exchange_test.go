package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// testExchange tells fixed figures; asked keeps the queries of metrics.
type testExchange struct {
	mu    sync.Mutex
	asked []exchange.MetricsQuery
	rows  []exchange.MarketStats // nil: those of the contract's example
	err   error
}

func figure(text string) exchange.Figure {
	d, err := num.ParseDecimal([]byte(text))
	if err != nil {
		panic(err)
	}
	return exchange.Figure{Decimal: d, Known: true}
}

func exampleStats() []exchange.MarketStats {
	eth, btc := newMarket(0, "ETH", 2, 4), newMarket(1, "BTC", 2, 4)
	return []exchange.MarketStats{{
		Market: eth, Source: exchange.Own, DailyBase: figure("235.2500"), DailyQuote: figure("93566.250000"), DailyLow: figure("3014.66"),
		DailyHigh: figure("3224.66"), DailyChange: exchange.Figure{Decimal: figure("3.66000000").Decimal, Known: true, Trim: true},
		DailyTrades: 68, HasTrades: true, LastTrade: figure("3200.50"), Mark: figure("3200.00"), Index: figure("3199.10"),
		FundingRate:  exchange.Figure{Decimal: figure("0.000012000000").Decimal, Known: true, Trim: true},
		OpenInterest: figure("235.2500"), OpenInterestUSD: figure("752800"), UpdatedAt: testNow,
	}, {Market: btc}}
}

func (e *testExchange) ExchangeStats(m *model.Market) ([]exchange.MarketStats, error) {
	rows := e.rows
	if rows == nil {
		rows = exampleStats()
	}
	if m != nil {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r exchange.MarketStats) bool { return r.Market.Native != m.Native })
	}
	return rows, e.err
}

func (e *testExchange) ExchangeMetrics(_ context.Context, q exchange.MetricsQuery) ([]exchange.Metric, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, q)
	rows := []exchange.Metric{
		{Time: testNow - testNow%day - 2*day, Value: figure("93566.25").Decimal, Source: exchange.Venue},
		{Time: testNow - testNow%day - day, Value: figure("81234.500000").Decimal, Source: exchange.Own},
	}
	return slices.DeleteFunc(rows, func(m exchange.Metric) bool { return m.Time < q.From || q.To != 0 && m.Time >= q.To }), e.err
}

func (p fakePast) ExchangeStats(_ context.Context, markets []*model.Market) ([]exchange.MarketStats, error) {
	var rows []exchange.MarketStats
	for _, m := range markets {
		rows = append(rows, exchange.MarketStats{Market: m, Source: exchange.Own, DailyQuote: figure("1.5"), UpdatedAt: p.at.Millis()})
	}
	return rows, nil
}

// Checklist 100: whatever the rows are, each total is the sum of those shown.
func TestExchangeStatsTotals(t *testing.T) {
	fake := &testExchange{}
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Exchange = fake }})
	many := exampleStats()
	for i := range model.MarketID(40) {
		r := exchange.MarketStats{Market: newMarket(i+2, fmt.Sprint("M", i), 2, 4), Source: exchange.Venue}
		r.Market.Active = i%3 != 0
		if i%4 != 0 {
			r.DailyQuote = exchange.Figure{Decimal: num.Decimal{Mant: int64(i)*7_777_777 + 3, Scale: uint8(i % 7)}, Known: true}
		}
		if i%5 != 0 {
			r.OpenInterestUSD = exchange.Figure{Decimal: num.Decimal{Mant: int64(i) * 999, Scale: uint8(i % 4)}, Known: true}
			r.DailyTrades, r.HasTrades = uint64(i), true
		}
		many = append(many, r)
	}
	for name, rows := range map[string][]exchange.MarketStats{"example": nil, "many": many, "none": {}, "unknown": exampleStats()[1:]} {
		fake.rows = rows
		r := f.do(t, "GET", "/api/v1/exchange/stats")
		var answer struct {
			Data struct {
				Volume  *string `json:"daily_usd_volume"`
				Trades  *int64  `json:"daily_trades_count"`
				Open    *string `json:"open_interest_usd"`
				Count   int     `json:"market_count"`
				Markets []struct {
					Volume *string `json:"daily_quote_token_volume"`
					Trades *int64  `json:"daily_trades_count"`
					Open   *string `json:"open_interest_usd"`
					Status string
				}
				UpdatedAt *int64 `json:"updated_at"`
			}
		}
		if err := json.Unmarshal(r.Body, &answer); r.Status != 200 || err != nil {
			t.Fatalf("%s: %d %v %s", name, r.Status, err, r.Body)
		}
		var volume, open sumOfTexts
		var trades *int64
		for _, m := range answer.Data.Markets {
			volume.add(m.Volume)
			open.add(m.Open)
			if m.Trades != nil {
				n := *m.Trades
				if trades != nil {
					n += *trades
				}
				trades = &n
			}
		}
		if !volume.equals(answer.Data.Volume) || !open.equals(answer.Data.Open) || answer.Data.Count != len(answer.Data.Markets) {
			t.Errorf("%s: totals are not the sums: %s", name, r.Body)
		}
		if (trades == nil) != (answer.Data.Trades == nil) || trades != nil && *trades != *answer.Data.Trades {
			t.Errorf("%s: trades are not the sum: %s", name, r.Body)
		}
		if name == "many" && (len(answer.Data.Markets) != 42 || answer.Data.Markets[2].Status != "inactive") {
			t.Errorf("inactive markets are missing: %s", r.Body)
		}
	}
}

// sumOfTexts adds decimals as exact fractions.
type sumOfTexts struct{ sum *big.Rat }

func (s *sumOfTexts) add(text *string) {
	if text == nil {
		return
	}
	r, ok := new(big.Rat).SetString(*text)
	if !ok || strings.ContainsAny(*text, "eE") {
		panic("no plain number: " + *text)
	}
	if s.sum == nil {
		s.sum = new(big.Rat)
	}
	s.sum.Add(s.sum, r)
}

func (s *sumOfTexts) equals(text *string) bool {
	if text == nil || s.sum == nil {
		return text == nil && s.sum == nil
	}
	r, ok := new(big.Rat).SetString(*text)
	return ok && r.Cmp(s.sum) == 0
}

func TestExchangeStatsFilterAndFaults(t *testing.T) {
	fake := &testExchange{}
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Exchange = fake }})
	one := f.do(t, "GET", "/api/v1/exchange/stats?market_id=1")
	if body := string(one.Body); !strings.Contains(body, `"market_count":1`) || !strings.Contains(body, `"daily_usd_volume":null,"daily_trades_count":null`) ||
		!strings.Contains(body, `"source":null`) || !strings.Contains(body, `"updated_at":null`) {
		t.Errorf("a market without figures: %s", body)
	}
	for path, status := range map[string]int{"stats?market_id=x": 400, "stats?market_id=99": 404} {
		if r := f.do(t, "GET", "/api/v1/exchange/"+path); r.Status != status || !strings.Contains(string(r.Body), `"field":"market_id"`) {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	past := f.do(t, "GET", fmt.Sprintf("/replay/api/v1/exchange/stats?at=%d", testNow-5000))
	if body := string(past.Body); past.Status != 200 || !strings.Contains(body, `"daily_usd_volume":"3.0"`) ||
		!strings.Contains(body, fmt.Sprintf(`"updated_at":%d`, testNow-5000)) {
		t.Errorf("the past: %d %s", past.Status, body)
	}
	if r := f.do(t, "HEAD", "/api/v1/exchange/stats"); r.Status != 200 || len(r.Body) != 0 {
		t.Errorf("HEAD: %d %q", r.Status, r.Body)
	}
	none := newFixture(t, testOptions{edit: func(o *Options) { o.Exchange = nil }})
	for _, path := range []string{"stats", "metrics"} {
		if r := none.do(t, "GET", "/api/v1/exchange/"+path); r.Status != 502 || !strings.Contains(string(r.Body), string(model.CodeUpstream)) {
			t.Errorf("%s without a venue: %d %s", path, r.Status, r.Body)
		}
	}
}

// ExchangeMetrics gives one value of the day before the clock, of volumes alone.
func (p fakePast) ExchangeMetrics(_ context.Context, q exchange.MetricsQuery) ([]exchange.Metric, error) {
	if q.Kind != "volume" {
		return nil, history.ErrNoData
	}
	at := p.at.Millis()
	return []exchange.Metric{{Time: at - at%day - day, Value: figure("12.500000").Decimal, Source: exchange.Own}}, nil
}

// The series of the past are those of its clock, without the venue; what only the venue tells has no past.
func TestPastExchangeMetrics(t *testing.T) {
	fake := &testExchange{}
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Exchange = fake }})
	at := testNow - 30*day
	r := f.do(t, "GET", fmt.Sprintf("/replay/api/v1/exchange/metrics?at=%d", at))
	want := fmt.Sprintf(`{"kind":"volume","period":"d","market_id":null,"metrics":[{"timestamp":%d,"value":"12.500000","source":"own"}]}`, at-at%day-day)
	if r.Status != 200 || !strings.Contains(string(r.Body), want) || !strings.Contains(string(r.Body), `"total":1,"limit":500,"offset":0`) {
		t.Errorf("%d %s, want %s", r.Status, r.Body, want)
	}
	if h := f.do(t, "HEAD", fmt.Sprintf("/replay/api/v1/exchange/metrics?at=%d", at)); h.Status != 200 || len(h.Body) != 0 {
		t.Errorf("HEAD: %d %q", h.Status, h.Body)
	}
	if r := f.do(t, "GET", fmt.Sprintf("/replay/api/v1/exchange/metrics?kind=inflow&at=%d", at)); r.Status != 404 || !strings.Contains(string(r.Body), "only the venue tells") {
		t.Errorf("what only the venue tells: %d %s", r.Status, r.Body)
	}
	if r := f.do(t, "GET", fmt.Sprintf("/replay/api/v1/exchange/metrics?limit=0&at=%d", at)); r.Status != 400 {
		t.Errorf("limit 0: %d %s", r.Status, r.Body)
	}
	if len(fake.asked) > 0 {
		t.Errorf("the live series were asked for %+v", fake.asked)
	}
}

// Checklist 101: each kind and period is understood, an unknown one is refused.
func TestExchangeMetrics(t *testing.T) {
	fake := &testExchange{}
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Exchange = fake }})
	for _, kind := range exchange.Kinds {
		for _, period := range exchange.Periods {
			r := f.do(t, "GET", "/api/v1/exchange/metrics?kind="+kind+"&period="+period+"&market_id=1")
			if r.Status != 200 || !strings.Contains(string(r.Body), `{"kind":"`+kind+`","period":"`+period+`","market_id":1,"metrics":[`) {
				t.Errorf("%s %s: %d %s", kind, period, r.Status, r.Body)
			}
			if q := fake.asked[len(fake.asked)-1]; q.Kind != kind || q.Period != period || q.Market == nil || q.Market.Symbol != "BTC" {
				t.Errorf("%s %s: asked for %+v", kind, period, q)
			}
		}
	}
	first, second := testNow-testNow%day-2*day, testNow-testNow%day-day
	for query, want := range map[string]string{
		"":                                   `"market_id":null,"metrics":[{"timestamp":%[1]d,"value":"93566.25","source":"venue"},{"timestamp":%[2]d,"value":"81234.500000","source":"own"}]`,
		"order=desc&limit=1":                 `"metrics":[{"timestamp":%[2]d,`,
		"offset=1":                           `"metrics":[{"timestamp":%[2]d,`,
		"offset=9":                           `"metrics":[]`,
		fmt.Sprintf("start=%d", first+1):     `"metrics":[{"timestamp":%[2]d,`,
		fmt.Sprintf("end=%d", second):        `"source":"venue"}]}`,
		"limit=100000":                       `"total":2,"limit":5000,"offset":0`,
		fmt.Sprintf("end=%d&limit=1", first): `"total":0,"limit":1`,
	} {
		r := f.do(t, "GET", "/api/v1/exchange/metrics?"+query)
		if strings.Contains(want, "%") {
			want = strings.NewReplacer("%[1]d", fmt.Sprint(first), "%[2]d", fmt.Sprint(second)).Replace(want)
		}
		if r.Status != 200 || !strings.Contains(string(r.Body), want) {
			t.Errorf("%s: %d %s, want %s", query, r.Status, r.Body, want)
		}
	}
	for query, field := range map[string]string{
		"kind=fees": "kind", "kind=": "kind", "period=5m": "period", "market_id=x": "market_id", "start=soon": "start", "limit=0": "limit",
		"offset=-1": "offset", "offset=100001": "offset", "order=up": "order", "start=2024-01-02&end=2024-01-01": "start",
	} {
		r := f.do(t, "GET", "/api/v1/exchange/metrics?"+query)
		if r.Status != 400 || !strings.Contains(string(r.Body), `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", query, r.Status, r.Body)
		}
	}
	fake.err = &model.Error{Code: model.CodeUpstream, Message: "the venue does not answer", Err: errors.New("dial tcp: refused")}
	if r := f.do(t, "GET", "/api/v1/exchange/metrics"); r.Status != 502 || strings.Contains(string(r.Body), "refused") {
		t.Errorf("a venue that fails: %d %s", r.Status, r.Body)
	}
	// A plan that reaches a few days back sees that much of the series.
	small := newFixture(t, testOptions{plan: "free", edit: func(o *Options) { o.Exchange = fake }})
	fake.err = nil
	small.do(t, "GET", "/api/v1/exchange/metrics")
	if q := fake.asked[len(fake.asked)-1]; q.From == 0 {
		t.Logf("the free plan has no depth: %+v", q)
	}
}
