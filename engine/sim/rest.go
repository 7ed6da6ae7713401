package sim

import (
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// route is one native operation that the simulator answers.
type route struct {
	weight int
	auth   bool // refused without a token
	post   bool
}

var routes = map[string]route{
	"account":               {weight: 300},
	"accountActiveOrders":   {weight: 300, auth: true},
	"accountsByL1Address":   {weight: 300},
	"accountLimits":         {weight: 300, auth: true},
	"apikeys":               {weight: 150},
	"assetDetails":          {weight: 300},
	"candles":               {weight: 300},
	"currentHeight":         {weight: 300},
	"exchangeMetrics":       {weight: 300},
	"exchangeStats":         {weight: 300},
	"funding-rates":         {weight: 300},
	"fundings":              {weight: 300},
	"nextNonce":             {weight: 6},
	"orderBookDetails":      {weight: 300},
	"orderBookOrders":       {weight: 300},
	"orderBooks":            {weight: 300},
	"positionFunding":       {weight: 300, auth: true},
	"recentTrades":          {weight: 600},
	"sendTx":                {weight: 6, post: true},
	"sendTxBatch":           {weight: 6, post: true},
	"systemConfig":          {weight: 300},
	"trades":                {weight: 600},
	"transferFeeInfo":       {weight: 500, auth: true},
	"withdrawalDelay":       {weight: 300},
	"publicPoolsMetadata":   {weight: 300},
	"layer1BasicInfo":       {weight: 300},
	"announcement":          {weight: 300},
	"accountMetadata":       {weight: 300},
	"accountInactiveOrders": {weight: 100, auth: true},
	"liquidations":          {weight: 300, auth: true},
}

// query is a request's parameters; form fields of a POST and the query string look alike.
type query struct{ args *fasthttp.Args }

func (q query) text(name string) string { return string(q.args.Peek(name)) }

// int reads an integer parameter: def where it is absent, false where it is no integer.
func (q query) int(name string, def int64) (int64, bool) {
	b := q.args.Peek(name)
	if len(b) == 0 {
		return def, true
	}
	v, err := strconv.ParseInt(string(b), 10, 64)
	return v, err == nil
}

// limit reads a required count of 1..top.
func (q query) limit(top int64) (int, bool) {
	v, ok := q.int("limit", 0)
	return int(v), ok && v >= 1 && v <= top
}

// rest answers one REST request. Rate windows come before anything else, as at the venue.
func (s *server) rest(ctx *fasthttp.RequestCtx, path string) {
	name := strings.TrimPrefix(path, "/api/v1/")
	r, ok := routes[name]
	if path == "/" || path == "/info" {
		name, r, ok = path, route{weight: 300}, true
	}
	if !ok || r.post != ctx.IsPost() || !r.post && !ctx.IsGet() && !ctx.IsHead() {
		writeForbidden(ctx)
		return
	}
	token := string(ctx.Request.Header.Peek("Authorization"))
	q := query{args: ctx.QueryArgs()}
	if r.post {
		q.args = ctx.PostArgs()
	}
	if token != "" {
		q.args.Set("auth", token) // from here on a header and a parameter are the same
	}
	token = q.text("auth")
	if token == "" && !r.post && !s.clients.request(ctx.RemoteIP().String(), s.limits, r.weight, s.now()) {
		writeError(ctx, errTooManyRequests)
		return
	}
	if r.auth {
		if token == "" {
			writeError(ctx, errNoAuth)
			return
		}
		account, _ := q.int("account_index", -1)
		if e := checkToken(token, account, s.src.now()); e != nil {
			writeError(ctx, e)
			return
		}
	}
	body, e := s.body(name, q, ctx)
	if e != nil {
		writeError(ctx, e)
		return
	}
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(body)
}

// body answers what is the same for every source, and asks the source for the rest.
func (s *server) body(name string, q query, ctx *fasthttp.RequestCtx) ([]byte, *venueError) {
	switch name {
	case "/":
		b := strconv.AppendInt([]byte(`{"status":200,"network_id":1,"timestamp":`), s.src.now().Unix(), 10)
		return append(b, '}'), nil
	case "/info":
		return []byte(`{"contract_address":"0x0000000000000000000000000000000000000304"}`), nil
	case "systemConfig":
		return []byte(systemConfig), nil
	case "assetDetails":
		return []byte(assetDetails), nil
	case "withdrawalDelay":
		return []byte(`{"seconds":1805}`), nil // the one success without a code
	case "layer1BasicInfo":
		return []byte(`{"code":200,"l1_providers":[],"l1_providers_health":true,"validator_info":[],"contract_addresses":[],"latest_l1_generic_block":0,"latest_l1_governance_block":0,"latest_l1_desert_block":0}`), nil
	case "announcement":
		return []byte(`{"code":200,"announcements":[]}`), nil
	case "transferFeeInfo":
		return []byte(`{"code":200,"transfer_fee_usdc":3000000}`), nil
	case "sendTx":
		return s.sendTx(q.args.Peek("tx_type"), q.args.Peek("tx_info"))
	case "sendTxBatch":
		return s.sendTxBatch(q.args.Peek("tx_types"), q.args.Peek("tx_infos"))
	case "nextNonce":
		return s.nextNonce(q)
	}
	h := s.src.stream()
	h.mu.Lock()
	defer h.mu.Unlock()
	return s.src.answer(nil, name, q)
}

func writeError(ctx *fasthttp.RequestCtx, e *venueError) {
	ctx.ResetBody()
	ctx.SetStatusCode(e.status)
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(e.appendBody(nil))
}

// writeForbidden is what the CDN in front of the venue says to an unknown path or an odd client: no JSON at all.
func writeForbidden(ctx *fasthttp.RequestCtx) {
	ctx.SetStatusCode(fasthttp.StatusForbidden)
	ctx.SetContentType("text/html")
	ctx.SetBodyString("<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n</body>\r\n</html>\r\n")
}

const systemConfig = `{"code":200,"liquidity_pool_index":281474976710654,"staking_pool_index":281474976624800,"funding_fee_rebate_account_index":713888,"market_maker_incentive_account_index":723106,"liquidity_pool_cooldown_period":300000,"staking_pool_lockup_period":259200000,"max_integrator_spot_taker_fee":10000,"max_integrator_spot_maker_fee":10000,"max_integrator_perps_taker_fee":1000,"max_integrator_perps_maker_fee":1000}`

const assetDetails = `{"code":200,"asset_details":[{"asset_id":1,"symbol":"ETH","l1_decimals":18,"decimals":8,"min_transfer_amount":"0.00100000","min_withdrawal_amount":"0.00100000","margin_mode":"disabled","index_price":"0","l1_address":"0x0000000000000000000000000000000000000000"},{"asset_id":3,"symbol":"USDC","l1_decimals":6,"decimals":6,"min_transfer_amount":"1.000000","min_withdrawal_amount":"1.000000","margin_mode":"enabled","index_price":"1.000000","l1_address":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}]}`
