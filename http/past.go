package http

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/book"
	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Past is the record at a moment; *past.View is one. Nothing that it gives was received later.
type Past interface {
	History
	// Markets returns the markets that were known, with the decimals that they had.
	Markets(ctx context.Context) ([]*model.Market, error)
	// Book returns the book at the moment; history.ErrNoData where none is held.
	Book(ctx context.Context, m *model.Market) (*book.View, error)
	// FundingRates returns the rates that the venue had told.
	FundingRates(ctx context.Context) (*model.FundingRates, error)
	// Heatmap returns the last whole heatmap that had been computed; history.ErrNoData where none is held.
	Heatmap(ctx context.Context, m model.MarketID) (*model.Heatmap, error)
	// ExchangeStats returns the statistics of those markets that were known, their 24 hours those before the moment.
	ExchangeStats(ctx context.Context, markets []*model.Market) ([]exchange.MarketStats, error)
	// ExchangeMetrics returns a series by ascending time; history.ErrNoData where none is held of that kind and period.
	ExchangeMetrics(ctx context.Context, q exchange.MetricsQuery) ([]exchange.Metric, error)
	// Native answers a call of the venue's own in its form, refusals too.
	Native(ctx context.Context, name string, query func(name string) (string, bool)) (status int, body []byte, err error)
}

// pastPrefix is below which paths are answered as of a replay's clock. What follows /replay is a path of ours or of the
// venue, so that a client needs another base URL and nothing else.
var (
	pastPrefix = []byte("/replay/api/v1/")
	pastRoot   = "/replay"
	headerAt   = []byte("X-Replay-At")
	errPastGet = &model.Error{Code: model.CodeMethodNotAllowed, Message: "the past takes GET, HEAD, OPTIONS"}
	errNoPast  = model.NotFound("no book is held at that time")
	errNoMap   = model.NotFound("no heatmap is held of that time")
	errNoSums  = model.NotFound("of that kind and period no past is held, only the venue tells it: ask for volume or another that trades tell")
	errClock   = model.BadRequest("at", "at is required, or session of a running /replay/stream")
	errClocks  = model.BadRequest("session", "several sessions of /replay/stream run, name one by session")
	errSession = &model.Error{Code: model.CodeNotFound, Message: "no such session of /replay/stream runs", Details: map[string]any{"field": "session"}}
)

// firstCalls are the venue's calls that clients make before they connect. Without a clock they are answered without the
// figures that depend on it.
var firstCalls = []string{"orderBooks", "orderBookDetails", "assetDetails"}

// pastRoutes returns the twins of the routes that have a past, and the route of the venue's own calls. A twin only sets
// the clock before the route's own handler runs.
func pastRoutes(table []*route) (twins map[*route]*route, native *route) {
	twins = map[*route]*route{}
	for _, r := range table {
		if !r.past {
			continue
		}
		twins[r] = &route{method: r.method, pattern: pastRoot + r.pattern, auth: authData, credits: r.credits,
			answer: func(c *call, dst []byte) ([]byte, meta, error) {
				if err := c.enterPast(); err != nil {
					return dst, meta{}, err
				}
				return r.answer(c, dst)
			}}
	}
	return twins, &route{method: "GET", pattern: "/replay/api/v1/{call}", auth: authData, credits: creditStandard, raw: answerPastNative}
}

// pastOnly returns the routes of a server that plays the past and nothing else.
func pastOnly(table []*route) []*route {
	return slices.DeleteFunc(slices.Clone(table), func(r *route) bool {
		return !strings.HasPrefix(r.pattern, pastRoot) && !slices.Contains([]string{"/health", "/healthz", "/ws/replay"}, r.pattern)
	})
}

// matchPast finds the route of a path below /replay.
func (s *Server) matchPast(c *call, method, path []byte) (*route, error) {
	switch string(method) {
	case fasthttp.MethodGet, fasthttp.MethodHead:
	case fasthttp.MethodOptions:
		c.ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD, OPTIONS")
		c.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
		return s.unmatched, nil
	default:
		c.ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD, OPTIONS")
		return s.unmatched, errPastGet
	}
	inner := path[len(pastRoot):]
	if end := s.everything.find(inner, &c.pathParams); end != nil {
		r := end.route(method)
		switch twin := s.pasts[r]; {
		case twin == nil:
			return s.unmatched, errNoPath
		case r.native == nil || !isNativeCandles(c):
			return twin, nil
		}
	} else if !forwardable(inner) {
		return s.unmatched, errNoPath
	}
	return s.pastNative, nil
}

// enterPast sets the call's clock: the moment that `at` names, that of the session, or that of the caller's only session.
func (c *call) enterPast() error {
	s := c.server
	if c.principal.Plan.ReplayWindowDays == 0 {
		return &model.Error{Code: model.CodeForbidden, Message: "replay is not part of the " + c.principal.Plan.Slug + " tier"}
	}
	p := c.params()
	id, named := p.get("session")
	at, given := p.moment("at")
	switch {
	case p.err != nil:
		return p.err
	case given && !named:
		if at > c.nowMillis() {
			return model.BadRequest("at", "at must not lie in the future")
		}
		if p.reach("at", at, c.nowMillis()); p.err != nil {
			return p.err
		}
		c.setPast(at.Micros())
		return nil
	}
	running, clock := 0, model.Micros(0)
	if s.clocks != nil {
		clock, running = s.clocks(c.principal.Account, string(id))
	}
	switch {
	case running == 1:
		c.setPast(clock)
		return nil
	case running > 1:
		return errClocks
	case named:
		return errSession
	}
	return errClock
}

// setPast puts the call's clock to a moment, and tells the client.
func (c *call) setPast(at model.Micros) {
	c.past, c.pastAt = c.server.past(at), at
	c.ctx.Response.Header.SetCanonical(headerAt, strconv.AppendInt(nil, int64(c.clock()), 10))
}

// clock is the time that a handler takes for now: that of the request, or that of the replay, rounded up.
func (c *call) clock() model.Millis {
	if c.past != nil {
		return (c.pastAt + 999).Millis()
	}
	return c.nowMillis()
}

// history is the record that a handler reads.
func (c *call) history() History {
	if c.past != nil {
		return c.past
	}
	return c.server.history
}

// markets are those that a handler takes for all.
func (c *call) markets() ([]*model.Market, error) {
	if c.past == nil {
		return c.server.engine.Markets(), nil
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.past.Markets(ctx)
}

// book is the book that a handler takes for the current one.
func (c *call) book(m *model.Market) (*book.View, error) {
	if c.past == nil {
		return c.server.engine.Book(c.waiting(), m)
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return nil, err
	}
	defer leave()
	v, err := c.past.Book(ctx, m)
	if errors.Is(err, history.ErrNoData) {
		return nil, errNoPast
	}
	return v, err
}

// fundingRates are the rates that a handler takes for the current ones.
func (c *call) fundingRates() (*model.FundingRates, error) {
	if c.past == nil {
		if c.server.funding == nil {
			return nil, errNoFunding
		}
		return c.server.funding(c.waiting())
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.past.FundingRates(ctx)
}

// atIsClock tells whether the `at` of a call is its clock and no more: another parameter says what is asked for.
func (c *call) atIsClock(p *params) bool {
	if _, named := p.get("session"); named {
		return false
	}
	for _, name := range []string{"start", "end", "interval", "cursor"} {
		if _, given := p.get(name); given {
			return true
		}
	}
	return false
}

// answerPastNative answers a call of the venue's own.
func answerPastNative(c *call) {
	name := bytes.TrimPrefix(requestPath(c.ctx), pastPrefix)
	if err := c.enterPast(); err != nil {
		if err != errClock || !slices.Contains(firstCalls, string(name)) {
			c.fail(err)
			return
		}
		c.past = c.server.past(0)
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		c.fail(err)
		return
	}
	defer leave()
	args := c.ctx.QueryArgs()
	status, body, err := c.past.Native(ctx, string(name), func(name string) (string, bool) {
		return string(args.Peek(name)), args.Has(name)
	})
	if err != nil {
		c.fail(err)
		return
	}
	c.bytes(status, contentJSON, body)
}
