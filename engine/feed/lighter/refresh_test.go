package lighter

import (
	"testing"

	"github.com/valyala/fasthttp"
)

// What native calls are answered from is handed over as it came, by the name of the call that it answers.
func TestRESTKeepsAnswers(t *testing.T) {
	const list = `{"code":200,"order_books":[{"symbol":"ETH","market_id":0,"status":"active","supported_size_decimals":4,"supported_price_decimals":2}]}`
	details := list
	handler := func(ctx *fasthttp.RequestCtx) {
		switch string(ctx.Path()) {
		case "/api/v1/orderBookDetails":
			if details == "" {
				ctx.SetStatusCode(404)
				ctx.SetBodyString(`{"code":29404,"message":"not found"}`)
				return
			}
			ctx.SetBodyString(details)
		case "/api/v1/orderBooks":
			ctx.SetBodyString(list)
		case "/api/v1/funding-rates":
			ctx.SetBodyString(`{"code":200,"funding_rates":[]}`)
		default:
			ctx.SetStatusCode(400)
			ctx.SetBodyString(`{"code":20001,"message":"invalid param "}`)
		}
	}
	kept := map[string]string{}
	r := serve(t, nil, handler)
	r.o.Keep = func(name string, body []byte) { kept[name] = string(body) }
	if _, err := r.Markets(t.Context()); err != nil || kept["orderBookDetails"] != details || len(kept) != 1 {
		t.Errorf("%v, kept %v", err, kept)
	}
	details = ""
	if _, err := r.Markets(t.Context()); err != nil || kept["orderBooks"] != list {
		t.Errorf("the plain list: %v, kept %v", err, kept)
	}
	if err := r.Refresh(t.Context(), "funding-rates"); err != nil || kept["funding-rates"] == "" {
		t.Errorf("%v, kept %v", err, kept)
	}
	if err := r.Refresh(t.Context(), "exchangeStats"); err == nil || len(kept) != 3 {
		t.Errorf("a refusal: %v, kept %v", err, kept)
	}
}
