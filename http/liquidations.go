package http

import (
	"context"
	"errors"
	"strconv"

	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Day is what is kept of the last 24 hours; *exchange.Statistics is one.
type Day interface {
	// Forced sums the forced trades that a filter takes, over the 24 hours before now. It must not read the record.
	Forced(now model.Millis, f exchange.ForcedFilter) exchange.Forced
}

// liquidationsQuery is what /liquidations/by-time and /liquidations/recent were asked.
type liquidationsQuery struct {
	market      *model.Market // nil: all
	kind        string        // "all" or the venue's word
	side        string        // "all", "long" or "short": of the position that was closed
	account     model.AccountID
	hasAccount  bool
	minNotional num.Decimal
	span        span
	page        page
}

// forced reads the filters that both calls have.
func (p *params) forced() liquidationsQuery {
	return liquidationsQuery{
		market: p.market("market_id"),
		kind:   p.word("type", "all", model.KindLiquidation.String(), model.KindDeleverage.String()),
		side:   p.word("side", "all", "long", "short"),
	}
}

func parseLiquidations(c *call) (liquidationsQuery, error) {
	p := c.params()
	q := p.forced()
	q.span = p.history(c.clock())
	q.account, q.hasAccount = p.account()
	q.minNotional, _ = p.amount("min_notional")
	q.page = p.page(50, 1000, "asc")
	market, account := int64(-1), int64(-1)
	if q.market != nil {
		market = int64(q.market.ID)
	}
	if q.hasAccount {
		account = int64(q.account)
	}
	f := newFilterHasher("liquidations").addInt(market).add(q.kind).add(q.side).addInt(account).add(q.minNotional.String())
	q.page.bind(&p, f.span(q.span), &q.span)
	return q, p.err
}

// account reads account_index.
func (p *params) account() (id model.AccountID, given bool) {
	v, given := p.get("account_index")
	if !given {
		return 0, false
	}
	n, ok := parseInt(v)
	if !ok || n < 0 {
		p.fault("account_index", "account_index must be an integer that is not negative")
	}
	return model.AccountID(n), true
}

// match tells whether a forced trade passes.
func (q *liquidationsQuery) match(t history.MarketTrade) bool {
	closed, _, side := t.Closed()
	return (q.market == nil || t.Market == q.market.ID) && (q.kind == "all" || q.kind == t.Kind.String()) &&
		(q.side == "all" || q.side == side) && (!q.hasAccount || q.account == closed) &&
		(num.Decimal{Mant: int64(t.USD), Scale: num.USDScale}).Cmp(q.minNotional) >= 0
}

func answerLiquidations(c *call, dst []byte, q liquidationsQuery) ([]byte, meta, error) {
	markets, ids, err := c.marketsOf(q.market)
	if err != nil {
		return dst, meta{}, err
	}
	if q.market != nil { // fetching every market would take the venue's budget for a few rows
		c.fill(model.KindTrades, ids, q.span)
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	sp := history.Span{From: q.span.From, To: q.span.To}
	m := meta{Paged: true, Limit: q.page.Limit, Offset: q.page.Offset}
	var last position
	dst = append(dst, `{"liquidations":[`...)
	skip, sent := q.page.Offset, 0
	rest := sp
	if q.page.Continued { // what lies before the cursor need not be looked at
		if after := model.Millis(q.page.After.Time); q.page.Descending {
			rest.To = min(rest.To, after+1)
		} else {
			rest.From = max(rest.From, after)
		}
	}
	for t, err := range c.history().Liquidations(ctx, rest, q.page.Descending) {
		if err != nil {
			return dst, meta{}, err
		}
		at := position{Time: int64(t.Time), Market: t.Market, ID: t.ID}
		market := markets[t.Market]
		if market == nil || !q.page.follows(at) || !q.match(t) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if sent == q.page.Limit {
			m.NextCursor = q.page.next(c, last)
			break
		}
		if sent > 0 {
			dst = append(dst, ',')
		}
		sent++
		dst = t.AppendLiquidation(dst, market)
		last = at
	}
	dst = append(dst, `],"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, model.KindTrades, ids, sp); err != nil {
		return dst, meta{}, err
	}
	if m.Total, err = c.countLiquidations(ctx, &q, markets, sp); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), m, nil
}

// marketsOf returns one market, or all of them where m is nil, and their ids. It must be called before enterHistory.
func (c *call) marketsOf(m *model.Market) (map[model.MarketID]*model.Market, []model.MarketID, error) {
	all := []*model.Market{m}
	if m == nil {
		var err error
		if all, err = c.markets(); err != nil {
			return nil, nil, err
		}
	}
	markets, ids := make(map[model.MarketID]*model.Market, len(all)), make([]model.MarketID, 0, len(all))
	for _, m := range all {
		markets[m.ID] = m
		ids = append(ids, m.ID)
	}
	return markets, ids, nil
}

// countLiquidations returns how many forced trades of the whole range match, or unknownTotal where that would take
// decoding more rows than the limit, or longer than the deadline.
func (c *call) countLiquidations(ctx context.Context, q *liquidationsQuery, markets map[model.MarketID]*model.Market, sp history.Span) (int64, error) {
	var total int64
	rows := 0
	for t, err := range c.history().Liquidations(ctx, sp, false) {
		if errors.Is(err, context.DeadlineExceeded) {
			return unknownTotal, nil
		}
		if err != nil {
			return 0, err
		}
		if rows++; rows > c.server.countLimit {
			return unknownTotal, nil
		}
		if markets[t.Market] != nil && q.match(t) {
			total++
		}
	}
	return total, nil
}

func parseRecentLiquidations(c *call) (liquidationsQuery, error) {
	p := c.params()
	q := p.forced()
	q.page.Limit = p.integer("limit", 50, 1, 500)
	q.page.Descending = true
	q.span.To = c.clock() + clockAhead
	return q, p.err
}

// clockAhead is how far the venue's clock may be ahead of ours: the newest trade may bear a later time.
const clockAhead = model.Millis(2_000)

// answerRecentLiquidations lists the newest forced trades, however old they are, and sums those of a day.
func answerRecentLiquidations(c *call, dst []byte, q liquidationsQuery) ([]byte, meta, error) {
	markets, _, err := c.marketsOf(q.market)
	if err != nil {
		return dst, meta{}, err
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	dst = append(dst, `{"liquidations":[`...)
	sent, rows := 0, 0
	reach := c.reachOf(c.nowMillis())
	for t, err := range c.history().Liquidations(ctx, history.Span{From: reach, To: q.span.To}, true) {
		if err != nil {
			return dst, meta{}, err
		}
		if rows++; rows > c.server.countLimit {
			break
		}
		market := markets[t.Market]
		if market == nil || !q.match(t) {
			continue
		}
		if sent > 0 {
			dst = append(dst, ',')
		}
		dst = t.AppendLiquidation(dst, market)
		if sent++; sent == q.page.Limit {
			break
		}
	}
	sum, err := c.forcedOfDay(ctx, &q, markets)
	if err != nil {
		return dst, meta{}, err
	}
	dst = append(dst, `],"summary_24h":{"count":`...)
	dst = strconv.AppendUint(dst, sum.Count, 10)
	dst = append(dst, `,"long_notional":"`...)
	dst = num.Append(dst, int64(sum.Long), num.USDScale)
	dst = append(dst, `","short_notional":"`...)
	dst = num.Append(dst, int64(sum.Short), num.USDScale)
	dst = append(dst, `","total_notional":"`...)
	dst = num.Append(dst, int64(sum.Long+sum.Short), num.USDScale)
	return append(dst, `"}}`...), meta{Paged: true, Total: unknownTotal, Limit: q.page.Limit}, nil
}

// forcedOfDay sums the forced trades of the 24 hours before the clock that the filters take: kept sums where there are
// any, else from the record.
func (c *call) forcedOfDay(ctx context.Context, q *liquidationsQuery, markets map[model.MarketID]*model.Market) (sum exchange.Forced, err error) {
	if c.past == nil && c.server.day != nil {
		f := exchange.ForcedFilter{Market: q.market, Kind: model.KindTrade}
		if q.kind != "all" {
			f.Kind = model.ParseTradeKind(q.kind)
		}
		if q.side != "all" {
			f.Side = q.side
		}
		return c.server.day.Forced(c.clock(), f), nil
	}
	for t, err := range c.history().Liquidations(ctx, history.Span{From: max(0, exchange.WindowStart(c.clock())), To: q.span.To}, false) {
		if err != nil {
			return sum, err
		}
		if markets[t.Market] == nil || !q.match(t) {
			continue
		}
		sum.Count++
		if _, _, side := t.Closed(); side == "long" {
			sum.Long += t.USD
		} else {
			sum.Short += t.USD
		}
	}
	return sum, nil
}
