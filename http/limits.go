package http

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// admit makes the checks that can refuse a call before its handler, in the contract's order (1.6): authentication, rate
// limit, quota, tier.
func (s *Server) admit(c *call) error {
	refused := c.authenticate()
	crowded := s.admitConnection(c)
	if err := c.count(refused != nil); err != nil {
		return err
	}
	if crowded != nil {
		return crowded
	}
	if refused != nil {
		return refused
	}
	if err := c.reserve(); err != nil {
		return err
	}
	return s.checkPlan(c)
}

// count takes the request out of its window: the caller's, or the address's where nobody is behind the request or its
// credential was refused. The window's state goes into the answer's headers whether it is the last straw or not.
func (c *call) count(refused bool) error {
	rules, now := c.server.access, c.nowMillis()
	var d access.Decision
	switch {
	case refused:
		d = rules.TakeIP(c.client, access.IPFailed, now)
	case c.principal != nil:
		d = rules.Take(c.principal, now)
	case c.route.auth == authSocket:
		// Its handler counts. The public window is shown, and not used up: who reconnects with many sockets at once must
		// not lose the public routes by it.
		d = rules.PeekIP(c.client, access.IPPublic, now)
		d.OK = true
	case c.route.auth == authRelay:
		d = rules.TakeIP(c.client, access.IPRelay, now)
	default:
		d = rules.TakeIP(c.client, c.route.window, now)
	}
	c.rateHeaders(&d)
	if d.OK {
		return nil
	}
	return &model.Error{Code: model.CodeRateLimit, Message: "rate limit exceeded",
		Details: map[string]any{"limit": d.Limit, "retry_after": int(max(1, c.secondsTo(d.Reset)))}}
}

// countFault takes a request that never reached a route out of the public window of its address. It is answered in any
// case: a refusal would cost as much.
func (c *call) countFault() {
	d := c.server.access.TakeIP(c.client, access.IPPublic, c.nowMillis())
	c.rateHeaders(&d)
}

// reserve takes the call's price out of the account's month. settle gives it back where the call fails.
func (c *call) reserve() error {
	if c.principal == nil || c.route.credits == creditFree {
		return nil
	}
	var err error
	c.credits, err = c.server.access.Reserve(c.principal, int64(c.route.credits), c.nowMillis())
	c.metered = true
	if err != nil {
		c.credits.Cost = 0
	}
	return err
}

// settle counts an answered call, and tells the caller of a metered one what it cost. What failed costs nothing.
func (c *call) settle(status int) {
	if c.principal == nil {
		return
	}
	now := c.nowMillis()
	c.server.access.Settle(c.principal, access.Use{Route: c.route.usage, Status: status, Cost: c.credits.Cost, Reserved: now}, now)
	if !c.metered {
		return
	}
	if status >= fasthttp.StatusBadRequest {
		c.credits.Used -= c.credits.Cost
		c.credits.Cost = 0
	}
	c.creditHeaders()
}

// creditHeaders tells what a metered call cost, and what the account has left.
func (c *call) creditHeaders() {
	h := &c.ctx.Response.Header
	h.SetCanonical(headerCreditsCost, strconv.AppendInt(c.scratch[:0], c.credits.Cost, 10))
	h.SetCanonical(headerCreditsUsed, strconv.AppendInt(c.scratch[:0], c.credits.Used, 10))
	h.SetCanonical(headerCreditsLimit, strconv.AppendInt(c.scratch[:0], c.credits.Limit, 10))
}

// rateHeaders tells the state of a window, in the form of the contract and in that of the IETF draft. A window without
// a limit has nothing to say in the latter.
func (c *call) rateHeaders(d *access.Decision) {
	h := &c.ctx.Response.Header
	reset := secondsUp(d.Reset)
	h.SetCanonical(headerRateLimit, strconv.AppendInt(c.scratch[:0], int64(d.Limit), 10))
	h.SetCanonical(headerRateRemaining, strconv.AppendInt(c.scratch[:0], int64(d.Remaining), 10))
	h.SetCanonical(headerRateReset, strconv.AppendInt(c.scratch[:0], reset, 10))
	if d.Limit < 0 {
		return
	}
	b := append(c.scratch[:0], `"minute";q=`...)
	b = append(strconv.AppendInt(b, int64(d.Limit), 10), ";w=60"...)
	h.SetCanonical(headerPolicy, b)
	b = append(c.scratch[:0], `"minute";r=`...)
	b = append(strconv.AppendInt(b, int64(d.Remaining), 10), ";t="...)
	h.SetCanonical(headerRate, strconv.AppendInt(b, min(60, max(0, c.secondsTo(d.Reset))), 10))
}

// secondsTo returns how many whole seconds after the request a moment has come. It is counted from the request itself:
// between two rounded times there may be a second more than there is.
func (c *call) secondsTo(t model.Millis) int64 { return secondsUp(t - c.nowMillis()) }

// secondsUp returns a time in seconds, rounded up.
func secondsUp(t model.Millis) int64 { return (int64(t) + 999) / 1000 }

var (
	headerRateLimit     = []byte("X-RateLimit-Limit")
	headerRateRemaining = []byte("X-RateLimit-Remaining")
	headerRateReset     = []byte("X-RateLimit-Reset")
	headerPolicy        = []byte("RateLimit-Policy")
	headerRate          = []byte("RateLimit")
	headerCreditsCost   = []byte("X-Credits-Cost")
	headerCreditsUsed   = []byte("X-Credits-Used")
	headerCreditsLimit  = []byte("X-Credits-Limit")
)

// checkPlan refuses a plan below the route's, or without what the route is part of.
func (s *Server) checkPlan(c *call) error {
	r := c.route
	if c.principal == nil {
		return nil
	}
	if r.plan != "" {
		if plan, ok := s.access.Plan(r.plan); !ok || c.principal.Plan.Rank < plan.Rank {
			return errTier(r.plan)
		}
	}
	if r.needs == nil || r.needs(c.principal.Plan) {
		return nil
	}
	for _, plan := range s.access.Plans() {
		if r.needs(plan) {
			return errTier(plan.Slug)
		}
	}
	return &model.Error{Code: model.CodeForbidden, Message: "this endpoint is part of no tier"}
}

func errTier(need string) *model.Error {
	return &model.Error{Code: model.CodeForbidden, Message: "this endpoint requires the " + need + " tier or above",
		Details: map[string]any{"required_tier": need}}
}
