package lighter

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"hyperlight/engine/feed/feedtest"
)

// serve starts a venue's REST in memory and returns a client of it.
func serve(t *testing.T, budget *feed.Budget, handler fasthttp.RequestHandler) *REST {
	return serveWithin(t, budget, time.Minute, handler)
}

func serveWithin(t *testing.T, budget *feed.Budget, timeout time.Duration, handler fasthttp.RequestHandler) *REST {
	ln := fasthttputil.NewInmemoryListener()
	server := &fasthttp.Server{Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	r := NewREST(RESTOptions{
		BaseURL: "http://venue.test/", Budget: budget, UserAgent: "hyperlight/test", Timeout: timeout,
		Dial: func(string) (net.Conn, error) { return ln.Dial() },
	})
	t.Cleanup(func() { r.Close(); _ = ln.Close(); <-done })
	return r
}

func fixture(t *testing.T, name string) []byte {
	b, err := os.ReadFile(filepath.Join(feedtest.Recording(t, ""), "lighter", "rest", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answers serves a body for each path and notes the queries.
func answers(bodies map[string]string, queries *[]string) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		*queries = append(*queries, string(ctx.RequestURI()))
		if string(ctx.UserAgent()) != "hyperlight/test" {
			ctx.SetStatusCode(403)
			return
		}
		body, ok := bodies[string(ctx.Path())]
		if !ok {
			ctx.SetStatusCode(400)
			body = `{"code":29404,"message":"not found"}`
		}
		ctx.SetContentType("application/json; charset=utf-8")
		ctx.SetBodyString(body)
	}
}

func TestRESTCalls(t *testing.T) {
	var queries []string
	r := serve(t, nil, answers(map[string]string{
		"/": `{"status":200,"network_id":1,"timestamp":1763005601}`,
		"/api/v1/orderBooks": `{"code":200,"order_books":[{"symbol":"ETH","market_id":0,"market_type":"perp","status":"active","min_base_amount":"0.0050","supported_size_decimals":4,"supported_price_decimals":2},
			{"symbol":"WIDE","market_id":9000000,"market_type":"spot","status":"inactive","supported_size_decimals":"1","supported_price_decimals":0},{"symbol":"BAD","market_id":5}]}`,
		"/api/v1/recentTrades":    `{"code":200,"next_cursor":null,"trades":[{"trade_id":7,"price":"2.50","size":"1.0000"},{"trade_id":6,"price":"2.49","size":"0.5000","type":"liquidation"}]}`,
		"/api/v1/fundings":        `{"code":200,"resolution":"1h","fundings":[{"timestamp":1780329600,"value":"0.001","rate":"0.0004","direction":"short"},{"timestamp":1780326000,"value":"0.00092448","rate":"0.0004","direction":"long"}]}`,
		"/api/v1/funding-rates":   `{"code":200,"funding_rates":[{"market_id":0,"exchange":"lighter","symbol":"ETH","rate":0.00009599999999999999},{"market_id":22,"exchange":"binance","symbol":"X","rate":0}]}`,
		"/api/v1/orderBookOrders": `{"code":200,"total_asks":3,"asks":[{"price":"10.02","remaining_base_amount":"1"},{"price":"10.01","remaining_base_amount":"0.5"},{"price":"10.02","remaining_base_amount":"0.25"}],"total_bids":0,"bids":null}`,
	}, &queries))
	ctx := t.Context()
	eth := newMarket(0, "ETH", 2, 4)

	p, err := r.Probe(ctx)
	if err != nil || p.NetworkID != 1 || p.Timestamp != 1763005601000 {
		t.Errorf("probe %+v, %v", p, err)
	}
	markets, err := r.Markets(ctx) // orderBookDetails is refused, orderBooks serves
	if err != nil || len(markets) != 2 {
		t.Fatalf("markets %+v, %v", markets, err)
	}
	if m := markets[0]; m.Symbol != "ETH" || m.PriceScale != 2 || m.SizeScale != 4 || !m.Active || m.Type != "perp" || m.MinBaseAmount != "0.0050" || len(m.Scales) != 1 {
		t.Errorf("ETH is %+v", m)
	}
	if m := markets[1]; m.ID != model.NoMarket || m.Native != 9_000_000 || m.Active {
		t.Errorf("wide id is %+v", m)
	}
	b, err := r.RecentTrades(ctx, eth, 500)
	if err != nil || !b.History || !b.REST || len(b.Rows) != 2 || b.Rows[0].ID != 6 || b.Rows[0].Kind != model.KindLiquidation || b.Rows[1].Price != 250 || b.Rows[0].Recv != 0 {
		t.Errorf("trades %+v, %v", b, err)
	}
	f, err := r.Fundings(ctx, eth, 1780326000000, 1780329600000)
	if err != nil || len(f) != 2 || f[0].Time != 1780326000000 || f[0].Rate != 4_000_000 || !f[0].LongPays || f[1].Rate != -4_000_000 || f[1].LongPays {
		t.Errorf("fundings %+v, %v", f, err)
	}
	rates, err := r.FundingRates(ctx)
	if err != nil || len(rates) != 2 || rates[0].Rate != 12_000_000 || rates[1].Rate != 0 || rates[1].Exchange != "binance" {
		t.Errorf("rates %+v, %v", rates, err)
	}
	bids, asks, err := r.OrderBook(ctx, eth)
	if err != nil || len(bids) != 0 || len(asks) != 2 || asks[0] != (model.Level{Price: 1001, Size: 5000}) || asks[1] != (model.Level{Price: 1002, Size: 12500}) {
		t.Errorf("book %v %v, %v", bids, asks, err)
	}
	want := "/api/v1/recentTrades?market_id=0&limit=100"
	if queries[3] != want {
		t.Errorf("asked %s, want %s", queries[3], want)
	}
}

func TestRESTRefusals(t *testing.T) {
	tests := map[string]struct {
		status            int
		contentType, body string
		reason            string
		code              int
	}{
		"html page":      {403, "text/html", "<html>secret</html>", "HTML instead of JSON", 0},
		"html as ok":     {200, "application/json", "  <!doctype html>secret", "HTML instead of JSON", 0},
		"text":           {502, "text/plain", "secret", "no JSON object", 0},
		"empty":          {200, "application/json", "", "no JSON object", 0},
		"cut":            {200, "application/json", `{"code":200,"order`, "damaged JSON", 0},
		"refused":        {400, "application/json", `{"code":29404,"message":"secret"}`, "refused", 29404},
		"refused as ok":  {200, "application/json", `{"code":29500,"message":"secret"}`, "refused", 29500},
		"rate":           {429, "application/json", `{"code":23000,"message":"secret"}`, "rate limited", 23000},
		"other shape":    {200, "application/json", `{"code":200,"order_book_details":5}`, "an answer of an unexpected shape", 0},
		"nothing usable": {200, "application/json", `{"code":200,"order_book_details":[]}`, "an answer without a usable market", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			budget := feed.NewBudget(60, time.Now)
			r := serve(t, budget, func(ctx *fasthttp.RequestCtx) {
				ctx.SetStatusCode(tt.status)
				ctx.SetContentType(tt.contentType)
				ctx.SetBodyString(tt.body)
			})
			_, err := r.Markets(t.Context())
			var ue *feed.UpstreamError
			if !errors.Is(err, feed.ErrUpstream) || !errors.As(err, &ue) {
				t.Fatalf("error %v", err)
			}
			if ue.Reason != tt.reason || ue.Code != tt.code {
				t.Errorf("reason %q, code %d, want %q, %d", ue.Reason, ue.Code, tt.reason, tt.code)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q quotes the venue", err)
			}
			if left := budget.Left(); tt.status == 429 && left != 0 {
				t.Errorf("%d left after 429", left)
			}
		})
	}
}

func TestRESTBudgetAndContext(t *testing.T) {
	budget := feed.NewBudget(2, time.Now)
	block := make(chan struct{})
	cancelled, cancel := context.WithCancel(t.Context())
	r := serveWithin(t, budget, 2*time.Second, func(ctx *fasthttp.RequestCtx) { // a call that has left is waited for
		cancel()
		<-block
		ctx.SetBodyString(`{"status":200,"network_id":1,"timestamp":5}`)
	})
	if _, err := r.Probe(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call: %v", err)
	}
	close(block)
	if used := budget.Used(); used != 1 {
		t.Errorf("used %d, want 1", used)
	}
	ctx, done := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer done()
	if _, err := r.RecentTrades(ctx, newMarket(0, "ETH", 2, 4), 5); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call without budget: %v", err)
	}
}

// More calls at once than there may be connections wait for one of them, and are not refused.
func TestRESTCallsWaitForAConnection(t *testing.T) {
	var arrived atomic.Int32
	full := make(chan struct{})
	r := serve(t, nil, func(ctx *fasthttp.RequestCtx) {
		if arrived.Add(1) == maxConnections {
			close(full)
		}
		<-full
		ctx.SetBodyString(`{"status":200,"network_id":1,"timestamp":5}`)
	})
	const calls = 3 * maxConnections
	answers := make(chan error, calls)
	for range calls {
		go func() {
			_, err := r.Probe(t.Context())
			answers <- err
		}()
	}
	for range calls {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

func TestParseRecordedAnswers(t *testing.T) {
	markets, err := ParseMarkets(fixture(t, "orderBookDetails-ETH-2026-05-05.json"))
	if err != nil || len(markets) != 1 {
		t.Fatal(markets, err)
	}
	if m := markets[0]; m.DefaultInitialMargin != 500 || m.MinInitialMargin != 200 || m.MaintenanceMargin != 120 || m.CloseOutMargin != 80 || m.DailyQuoteVolume != 460664167955905 || m.Type != "perp" {
		t.Errorf("ETH is %+v", m)
	}
	if markets, err = ParseMarkets(fixture(t, "orderBooks-5rows-2026-07-31.json")); err != nil || len(markets) != 5 {
		t.Errorf("%d markets, %v", len(markets), err)
	}
	all, err := os.ReadFile(filepath.Join(feedtest.Recording(t, ""), "captures", "lighter", "rest-orderbooks-20251208.json"))
	if err != nil {
		t.Fatal(err)
	}
	if markets, err = ParseMarkets(all); err != nil || len(markets) != 119 {
		t.Errorf("%d markets, want 119, %v", len(markets), err)
	}
	b, err := ParseTrades(fixture(t, "recentTrades-BTC-2026-07-26.json"), newMarket(1, "BTC", 1, 5))
	if err != nil || len(b.Rows) != 3 || b.Rows[0].ID != 26101748568 || !strings.Contains(b.Rows[2].Extra, "allocated_margin") {
		t.Errorf("trades %+v, %v", b, err)
	}
	bids, asks, err := ParseOrders(fixture(t, "orderBookOrders-testnet-BTC-102-orders-2026-07-28.json"), newMarket(1, "BTC", 1, 5))
	if err != nil || len(bids) == 0 || len(bids) > 57 || len(asks) == 0 || len(asks) > 45 || bids[0].Price >= asks[0].Price {
		t.Errorf("%d bids, %d asks, %v", len(bids), len(asks), err)
	}
	f, err := ParseFundings(fixture(t, "fundings-SAMSUNGUSD-1h-2026-06.json"))
	if err != nil || len(f) != 1 || f[0].Rate != num.Rate(4_000_000) || f[0].Time != 1780326000000 || f[0].Value.String() != "0.00092448" {
		t.Errorf("fundings %+v, %v", f, err)
	}
	rates, err := ParseFundingRates(fixture(t, "funding-rates-two-rows-2026-06.json"))
	if err != nil || len(rates) != 2 || rates[0].Rate != 24_971_250 {
		t.Errorf("rates %+v, %v", rates, err)
	}
}
