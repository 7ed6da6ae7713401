package http

import "hyperlight/engine/access"

// authClass says who may call a route. Every request counts in a window: that of its caller, or, where nobody is behind
// it (public routes, refused credentials), that of its address.
type authClass uint8

const (
	authNone   authClass = iota // everybody; a credential is not looked at
	authData                    // a key, a token, or the local caller
	authUser                    // a key or a token: whoever has a user
	authToken                   // a token only: what a leaked key must not reach
	authRelay                   // a credential is optional, a bad one is refused
	authSocket                  // the socket's handler authenticates
)

// creditClass says what a call costs (contract 1.10).
type creditClass uint8

const (
	creditFree     creditClass = 0
	creditStandard creditClass = 1
)

// handler appends an answer's data object to dst.
type handler func(c *call, dst []byte) ([]byte, meta, error)

// route is one row of the table. Either answer (enveloped data) or raw (the handler owns the response) is set.
type route struct {
	method  string
	pattern string // segments in braces are parameters
	auth    authClass
	window  access.IPClass // per address, where auth is authNone
	credits creditClass
	plan    string // lowest plan that may call it; "" for every plan
	status  int    // of a success; 0 means 200
	replays bool   // an Idempotency-Key is honoured
	answer  handler
	raw     func(c *call)
	// native, where set, tells whether a call is in the venue's own form and belongs to the relay.
	native func(c *call) bool

	meters routeMeters
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
		{method: "GET", pattern: "/api/v1/orderbook/{market_id}", auth: authData, credits: creditStandard, answer: getBook},
		{method: "GET", pattern: "/api/v1/orderbook/{market_id}/depth", auth: authData, credits: creditStandard,
			answer: typed(parseDepth, answerDepth)},
		{method: "GET", pattern: "/api/v1/orderbook/{market_id}/snapshots", auth: authData, credits: creditStandard,
			answer: typed(parseSnapshots, answerSnapshots)},
		{method: "GET", pattern: "/api/v1/trades/by-time", auth: authData, credits: creditStandard,
			answer: typed(parseTrades, answerTrades)},
		{method: "GET", pattern: "/api/v1/candles", auth: authData, credits: creditStandard,
			answer: typed(parseCandles, answerCandles)},
		{method: "GET", pattern: "/api/v1/data-quality/coverage", auth: authData, credits: creditStandard,
			answer: typed(parseCoverage, answerCoverage)},
		{method: "GET", pattern: "/api/v1/data-quality/gaps", auth: authData, credits: creditStandard,
			answer: typed(parseGaps, answerGaps)},
	}
	for _, path := range []string{"/ws", "/ws/replay"} {
		if h := sockets[path]; h != nil {
			table = append(table, &route{method: "GET", pattern: path, auth: authSocket, raw: func(c *call) { h(c.ctx) }})
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
