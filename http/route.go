package http

import (
	"strings"

	"hyperlight/engine/access"
)

// authClass says who may call a route. Every request counts in a window: that of its caller, or, where nobody is behind
// it (public routes, refused credentials), that of its address.
type authClass uint8

const (
	authNone     authClass = iota // everybody; a credential is not looked at
	authData                      // a key, a token, or the local caller
	authUser                      // a key or a token: whoever has a user
	authJWT                       // a token only: what a leaked key must not reach
	authOptional                  // everybody; a credential that is shown must be good
	authRelay                     // the same, where anonymous native calls are allowed; a bearer token may be the venue's
	authSocket                    // the socket's handler authenticates
	authSigned                    // whoever has a link to the path
)

// creditClass says what a call costs (contract 1.10).
type creditClass uint8

const (
	creditFree     creditClass = 0
	creditStandard creditClass = 1
	creditBatch    creditClass = 25 // many accounts, whatever their number
	creditHeavy    creditClass = 50 // the same over a range of the record
)

// handler appends an answer's data object to dst.
type handler func(c *call, dst []byte) ([]byte, meta, error)

// route is one row of the table. Either answer (enveloped data) or raw (the handler owns the response) is set.
type route struct {
	method  string
	pattern string // segments in braces are parameters
	auth    authClass
	window  access.IPClass // per address, where nobody is behind the call
	credits creditClass
	plan    string // lowest plan that may call it; "" for every plan
	// needs, where set, tells whether a plan has what the route is part of.
	needs   func(*access.Plan) bool
	status  int  // of a success; 0 means 200
	replays bool // an Idempotency-Key is honoured
	answer  handler
	raw     func(c *call)
	relay   bool // answered by the relay
	past    bool // also answered below /replay, as of a moment
	// native, where set, tells whether a call is in the venue's own form and belongs to the relay.
	native func(c *call) bool

	usage  access.RouteID
	meters routeMeters
}

// usageName is how usage rows name the route: as the contract writes patterns, with a colon before a parameter.
func (r *route) usageName() string {
	name := strings.NewReplacer("{", ":", "}", "").Replace(r.pattern)
	if r.method == "" {
		return name
	}
	return r.method + " " + name
}

// nativeRoutes are the rows of whatever the relay answers, which has no patterns of ours: one for each method that the
// venue knows, and one for the rest.
func nativeRoutes() []*route {
	var rows []*route
	for _, method := range []string{"GET", "POST", ""} {
		rows = append(rows, &route{method: method, pattern: "native", auth: authRelay, credits: creditStandard, relay: true})
	}
	return rows
}

// nativeRoute returns the row of a native call.
func (s *Server) nativeRoute(method []byte) *route {
	switch string(method) {
	case "GET", "HEAD":
		return s.natives[0]
	case "POST":
		return s.natives[1]
	}
	return s.natives[2]
}

// routeTable returns every route there is: the mux, the OpenAPI check and the labels of metrics are made from it. GET
// implies HEAD.
func routeTable(sockets map[string]Handler) []*route {
	table := []*route{
		{method: "GET", pattern: "/health", raw: getHealth},
		{method: "GET", pattern: "/healthz", raw: getAlive},
		{method: "GET", pattern: "/readyz", raw: getReady},
		{method: "GET", pattern: "/status", answer: getStatus},
		{method: "GET", pattern: "/metrics", raw: getMetrics},
		{method: "GET", pattern: "/openapi.yaml", raw: getOpenAPI},
		{method: "GET", pattern: "/openapi-3.0.yaml", raw: getOpenAPI30},
		{method: "GET", pattern: "/api/v1/orderbook/{market_id}", auth: authData, credits: creditStandard, past: true, answer: getBook},
		{method: "GET", pattern: "/api/v1/orderbook/{market_id}/depth", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseDepth, answerDepth)},
		{method: "GET", pattern: "/api/v1/orderbook/{market_id}/snapshots", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseSnapshots, answerSnapshots)},
		{method: "GET", pattern: "/api/v1/trades/by-time", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseTrades, answerTrades)},
		{method: "GET", pattern: "/api/v1/trades/aggregate", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseAggregate, answerAggregate)},
		{method: "GET", pattern: "/api/v1/candles", auth: authData, credits: creditStandard, past: true,
			native: isNativeCandles, answer: typed(parseCandles, answerCandles)},
		{method: "GET", pattern: "/api/v1/liquidations/by-time", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseLiquidations, answerLiquidations)},
		{method: "GET", pattern: "/api/v1/liquidations/recent", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseRecentLiquidations, answerRecentLiquidations)},
		{method: "GET", pattern: "/api/v1/funding-rates", auth: authData, credits: creditStandard, past: true,
			native: isNativeFunding, answer: typed(parseFunding, answerFunding)},
		{method: "GET", pattern: "/api/v1/exchange/stats", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseExchangeStats, answerExchangeStats)},
		{method: "GET", pattern: "/api/v1/exchange/metrics", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseExchangeMetrics, answerExchangeMetrics)},
		{method: "GET", pattern: "/api/v1/funding-rates/history", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseFundingHistory, answerFundingHistory)},
		{method: "GET", pattern: "/api/v1/data-quality/coverage", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseCoverage, answerCoverage)},
		{method: "GET", pattern: "/api/v1/data-quality/gaps", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseGaps, answerGaps)},
		{method: "POST", pattern: "/api/v1/accounts/batch", auth: authData, credits: creditBatch, answer: answerBatch},
		{method: "POST", pattern: "/api/v1/accounts/batch/fills", auth: authData, credits: creditHeavy, answer: answerBatchFills},
		{method: "POST", pattern: "/api/v1/accounts/batch/positions", auth: authData, credits: creditBatch, answer: answerBatchPositions},
		{method: "POST", pattern: "/api/v1/accounts/batch/liquidations", auth: authData, credits: creditHeavy, answer: answerBatchLiquidations},
		{method: "GET", pattern: "/api/v1/accounts/{account_id}/positions", auth: authData, credits: creditStandard,
			answer: typed(parsePositions, answerPositions)},
		{method: "GET", pattern: "/api/v1/accounts/{account_id}/fills", auth: authData, credits: creditStandard,
			answer: typed(parseFills, answerFills)},
		{method: "GET", pattern: "/api/v1/accounts/{account_id}/pnl", auth: authData, credits: creditStandard,
			answer: typed(parsePnL, answerPnL)},
		{method: "GET", pattern: "/api/v1/accounts/{account_id}/liquidation-risk", auth: authData, credits: creditStandard, answer: answerRisk},
		{method: "GET", pattern: "/api/v1/liquidation-heatmap/{market_id}", auth: authData, credits: creditStandard, past: true,
			answer: typed(parseHeatmap, answerHeatmap)},
		{method: "GET", pattern: "/api/v1/liquidation-heatmap/{market_id}/cascade", auth: authData, credits: creditStandard,
			answer: typed(parseCascade, answerCascade)},
		{method: "GET", pattern: "/api/v1/markets/{market_id}/top-accounts", auth: authData, credits: creditStandard,
			answer: typed(parseHolders, answerHolders)},
		{method: "GET", pattern: "/api/v1/exchange/top-accounts", auth: authData, credits: creditStandard,
			answer: typed(parseTotals, answerTotals)},
		{method: "GET", pattern: "/api/v1/data-lake/exports", auth: authData, credits: creditStandard, needs: hasDataLake,
			answer: typed(parseExports, answerExports)},
		{method: "GET", pattern: "/api/v1/data-lake/download/{export_id}", auth: authData, credits: creditStandard, needs: hasDataLake,
			answer: typed(parseDownload, answerDownload)},
		{method: "GET", pattern: "/api/v1/data-lake/listing/{dataset}", auth: authData, credits: creditStandard, needs: hasDataLake, raw: getListing},
		{method: "GET", pattern: "/api/v1/data-lake/files/{file}", auth: authSigned, window: access.IPFiles, raw: getSignedFile},
		{method: "GET", pattern: "/api/v1/data-lake/files/{dataset}/metadata/{name}", auth: authData, needs: hasDataLake, raw: getMetadata},
		{method: "GET", pattern: "/api/v1/data-lake/files/{dataset}/{date}/{part}", auth: authData, needs: hasDataLake, raw: getTreeFile},
		{method: "GET", pattern: "/api/v1/data-lake/files/{dataset}/{market}/{date}/{part}", auth: authData, needs: hasDataLake, raw: getTreeFile},
		{method: "POST", pattern: "/api/v1/keys", auth: authUser, status: 201, replays: true, answer: typed(parseNewKey, answerNewKey)},
		{method: "GET", pattern: "/api/v1/keys", auth: authUser, answer: typed(parseKeys, answerKeys)},
		{method: "PATCH", pattern: "/api/v1/keys/{key_id}", auth: authUser, answer: typed(parseKeyChange, answerKeyChange)},
		{method: "DELETE", pattern: "/api/v1/keys/{key_id}", auth: authUser, answer: typed(parseKeyID, answerRevokedKey)},
		{method: "GET", pattern: "/api/v1/keys/{key_id}/usage", auth: authUser, answer: typed(parseKeyUsage, answerKeyUsage)},
		{method: "POST", pattern: "/api/v1/signals", auth: authUser, credits: creditStandard, status: 201, replays: true,
			answer: typed(parseNewSignal, answerNewSignal)},
		{method: "GET", pattern: "/api/v1/signals", auth: authUser, credits: creditStandard, answer: typed(parseSignals, answerSignals)},
		{method: "GET", pattern: "/api/v1/signals/{signal_id}", auth: authUser, credits: creditStandard, answer: typed(parseSignalID, answerSignal)},
		{method: "PATCH", pattern: "/api/v1/signals/{signal_id}", auth: authUser, credits: creditStandard,
			answer: typed(parseSignalChange, answerSignalChange)},
		{method: "DELETE", pattern: "/api/v1/signals/{signal_id}", auth: authUser, credits: creditStandard,
			answer: typed(parseSignalID, answerDeletedSignal)},
		{method: "GET", pattern: "/api/v1/signals/{signal_id}/backtest", auth: authUser, credits: creditStandard,
			answer: typed(parseBacktest, answerBacktest)},
		{method: "POST", pattern: "/api/v1/signals/{signal_id}/deliveries/{delivery_id}/resend", auth: authUser, credits: creditStandard,
			status: 202, replays: true, answer: typed(parseResending, answerResending)},
		{method: "POST", pattern: "/api/v1/auth/register", window: access.IPSignIn, status: 201, answer: typed(parseSignIn, answerRegister)},
		{method: "POST", pattern: "/api/v1/auth/login", window: access.IPSignIn, answer: typed(parseSignIn, answerLogin)},
		{method: "POST", pattern: "/api/v1/billing/checkout", auth: authJWT, replays: true, answer: refuseBilling},
		{method: "POST", pattern: "/api/v1/billing/portal", auth: authJWT, replays: true, answer: refuseBilling},
		{method: "POST", pattern: "/api/v1/billing/webhook", answer: refuseBilling},
		{method: "GET", pattern: "/setup", raw: getSetup},
		{method: "POST", pattern: "/setup", window: access.IPSignIn, raw: postSetup},
		{method: "GET", pattern: "/assets/{file}", raw: getAsset},
	}
	for _, path := range []string{"/ws", "/ws/replay", "/stream", "/replay/stream"} {
		if h := sockets[path]; h != nil {
			table = append(table, &route{method: "GET", pattern: path, auth: authSocket, raw: func(c *call) { c.openSocket(h) }})
		}
	}
	return table
}

// typed makes a handler of a parser, which only reads the request, and an answer, which only sees what was parsed.
func typed[Q any](parse func(*call) (Q, error), answer func(*call, []byte, Q) ([]byte, meta, error)) handler {
	return func(c *call, dst []byte) ([]byte, meta, error) {
		q, err := parse(c)
		if err != nil {
			return dst, meta{}, err
		}
		return answer(c, dst, q)
	}
}
