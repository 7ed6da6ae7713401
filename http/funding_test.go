package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/relay"
)

const venueFunding = `[{"market_id":0,"exchange":"binance","symbol":"ETH","rate":0.0001},{"market_id":0,"exchange":"lighter","symbol":"ETH","rate":0.00009599999999999999}]`

// testFunding are the rates that every fixture's venue tells, in the venue's order.
func testFunding(context.Context) (*model.FundingRates, error) {
	return &model.FundingRates{Venue: []byte(venueFunding), Rows: []model.FundingRate{
		{Native: 1, Symbol: "BTC", Exchange: "lighter", Rate: -1_000_000_000_000_000_000, UpdatedAt: testNow - 1000},
		{Native: 0, Symbol: "ETH", Exchange: "binance", Rate: 12_500_000, UpdatedAt: testNow - 2000},
		{Native: 0, Symbol: "ETH", Exchange: "lighter", Rate: 12_000_000, Mark: num.Decimal{Mant: 320000, Scale: 2},
			Index: num.Decimal{Mant: 319910, Scale: 2}, HasPrices: true, UpdatedAt: testNow - 2000},
	}}, nil
}

func TestFundingRates(t *testing.T) {
	f := newFixture(t, testOptions{})
	for query, want := range map[string][]string{
		"":                          {"0 lighter 0.000012 0.10512 3200.00", "1 lighter -1000000 <nil> <nil>"},
		"?market_id=0":              {"0 lighter 0.000012 0.10512 3200.00"},
		"?exchange=all":             {"0 binance 0.0000125 0.1095 <nil>", "0 lighter 0.000012 0.10512 3200.00", "1 lighter -1000000 <nil> <nil>"},
		"?exchange=bybit":           nil,
		"?market_id=1&exchange=all": {"1 lighter -1000000 <nil> <nil>"},
	} {
		r := f.do(t, "GET", "/api/v1/funding-rates"+query)
		var answer struct {
			Success bool
			Code    int
			Data    struct{ Rates []map[string]any }
			Funding json.RawMessage `json:"funding_rates"`
			Meta    map[string]any
		}
		if err := json.Unmarshal(r.Body, &answer); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range answer.Data.Rates {
			got = append(got, fmt.Sprint(row["market_id"], " ", row["exchange"], " ", row["rate"], " ", row["annualized_rate"], " ", row["mark_price"]))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
		if !answer.Success || answer.Code != 200 || string(answer.Funding) != venueFunding || answer.Meta["request_id"] == nil {
			t.Errorf("%s: the answer is no superset: %s", query, r.Body)
		}
	}
	for query, field := range map[string]string{"?market_id=x": "market_id", "?exchange=kraken": "exchange"} {
		if r := f.do(t, "GET", "/api/v1/funding-rates"+query); r.Status != 400 || !strings.Contains(string(r.Body), `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", query, r.Status, r.Body)
		}
	}
}

func TestFundingRatesWithoutVenue(t *testing.T) {
	for name, source := range map[string]func(context.Context) (*model.FundingRates, error){
		"none": nil,
		"failed": func(context.Context) (*model.FundingRates, error) {
			return nil, &model.Error{Code: model.CodeUpstream, Message: "the venue does not answer"}
		},
	} {
		f := newFixture(t, testOptions{edit: func(o *Options) { o.FundingRates = source }})
		if r := f.do(t, "GET", "/api/v1/funding-rates"); r.Status != 502 || !strings.Contains(string(r.Body), string(model.CodeUpstream)) {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}

// venueRelay answers everything as the venue would and notes what was asked.
type venueRelay struct{ asked []string }

func (v *venueRelay) Do(_ context.Context, q *relay.Request) (*relay.Response, error) {
	v.asked = append(v.asked, string(q.Path)+"?"+string(q.Query))
	if strings.Contains(string(q.Query), "fail") {
		return nil, errors.New("fail")
	}
	return &relay.Response{Status: 200, ContentType: []byte("application/json"), Body: []byte(`{"code":200}`), Cache: relay.LocalAnswer}, nil
}

// On the two shared paths the venue's own calls go to the relay, and ours do not.
func TestSharedPaths(t *testing.T) {
	for _, tt := range []struct {
		plan, path string
		anonymous  bool
		native     bool
		status     int
	}{
		{"none", "/api/v1/funding-rates", true, true, 200},
		{"none", "/api/v1/funding-rates", false, false, 401},
		{"none", "/api/v1/funding-rates?exchange=all", true, false, 401},
		{"none", "/api/v1/funding-rates?api_key=hlt_x", true, false, 401},
		{"enterprise", "/api/v1/funding-rates", true, false, 200},
		{"none", "/api/v1/candles?market_id=0&count_back=1", true, true, 200},
		{"enterprise", "/api/v1/candles?start_timestamp=1&end_timestamp=2", true, true, 200},
		{"enterprise", "/api/v1/candles?market_id=0", true, false, 200},
		{"none", "/api/v1/candles?market_id=0", true, false, 401},
	} {
		v := &venueRelay{}
		f := newFixture(t, testOptions{plan: tt.plan, edit: func(o *Options) { o.Relay, o.AllowAnonymous = v, tt.anonymous }})
		r := f.do(t, "GET", tt.path)
		if r.Status != tt.status || (len(v.asked) == 1) != tt.native {
			t.Errorf("%s as %s: %d %.120s, relayed %q", tt.path, tt.plan, r.Status, r.Body, v.asked)
		}
		if want := map[bool]string{true: "LOCAL"}[tt.native]; r.Header["X-Cache"] != want {
			t.Errorf("%s as %s: X-Cache %q", tt.path, tt.plan, r.Header["X-Cache"])
		}
	}
}

// Who waits for the venue is let go of when the server stops (the fixture does not wait for long), by a context that is
// good for longer than the request.
func TestWaitingEndsWithServer(t *testing.T) {
	asked, answered := make(chan context.Context, 1), make(chan struct{})
	t.Cleanup(func() { <-answered }) // behind the fixture's own, which stops the server
	f := newFixture(t, testOptions{edit: func(o *Options) {
		o.FundingRates = func(ctx context.Context) (*model.FundingRates, error) {
			asked <- ctx
			<-ctx.Done()
			return nil, &model.Error{Code: model.CodeUpstream, Message: "stopped"}
		}
	}})
	go func() {
		defer close(answered)
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI("http://localhost/api/v1/funding-rates")
		_ = f.client.Do(req, resp) // the server may have gone before the answer
	}()
	if _, borrowed := (<-asked).(*fasthttp.RequestCtx); borrowed {
		t.Error("the request itself is handed on")
	}
}
