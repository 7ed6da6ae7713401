package http

import (
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// aggregateQuery is what /trades/aggregate was asked.
type aggregateQuery struct {
	market *model.Market
	word   string // the interval as it was given
	grid   history.Grid
	span   span
	fill   bool
	page   page
}

func parseAggregate(c *call) (aggregateQuery, error) {
	var q aggregateQuery
	p := c.params()
	q.market = p.requiredMarket()
	q.word, q.grid = p.interval("interval", "1h")
	q.fill = p.boolean("fill")
	q.span = p.history(c.clock())
	q.page = p.page(500, 5000, "asc")
	if p.err != nil {
		return q, p.err
	}
	f := newFilterHasher("aggregate").addInt(int64(q.market.ID)).add(q.word).add(strconv.FormatBool(q.fill)).span(q.span)
	p.openWhole(&q.span, q.grid)
	q.page.bind(&p, f, &q.span)
	if p.err == nil && (q.grid.Start(q.span.To-1)-q.grid.Start(q.span.From))/q.grid.Length >= maxBuckets {
		p.fault("start", "the range has more than 100000 buckets, ask for a shorter one or a longer interval")
	}
	return q, p.err
}

// requiredMarket reads market_id, which must be given.
func (p *params) requiredMarket() *model.Market {
	if _, given := p.get("market_id"); !given {
		p.fault("market_id", "market_id is required")
	}
	return p.market("market_id")
}

func answerAggregate(c *call, dst []byte, q aggregateQuery) ([]byte, meta, error) {
	ids := []model.MarketID{q.market.ID}
	c.fill(model.KindTrades, ids, q.span)
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	sp := history.Span{From: q.span.From, To: q.span.To}
	held, err := c.history().Coverage(ctx, model.KindTrades, q.market.ID, sp)
	if err != nil {
		return dst, meta{}, err
	}
	w := bucketPage[history.Aggregate]{grid: q.grid, span: q.span, page: &q.page, now: c.clock(), fill: q.fill, held: held,
		dst: append(appendMarket(dst, q.market), `,"interval":"`+q.word+`","aggregates":[`...)}
	w.write = func(dst []byte, t model.Millis, a *history.Aggregate, held bool) []byte {
		dst = append(dst, `{"timestamp":`...)
		dst = strconv.AppendInt(dst, int64(t), 10)
		dst = appendOHLC(dst, q.market, a)
		return appendSums(dst, q.market, a, held)
	}
	w.begin(true)
	var sum history.Aggregate
	for a, err := range c.history().Aggregates(ctx, q.market.ID, q.grid, sp, q.page.Descending) {
		if err == nil {
			err = history.MergeAggregate(&sum, &a, q.market)
		}
		if err != nil {
			return dst, meta{}, err
		}
		w.row(a.Time, &a)
	}
	w.end()
	dst = append(w.dst, `],"summary":{`...)
	if sum.Trades > 0 {
		dst = appendSums(dst, q.market, &sum, true)
	} else {
		dst = appendSums(dst, q.market, nil, heldWhole(held, sp.From, sp.To, w.now))
	}
	dst = append(dst, `,"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, model.KindTrades, ids, sp); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), w.meta(c), nil
}

// appendOHLC writes the prices of a bucket and the comma behind them; a is nil for an empty one.
func appendOHLC(dst []byte, m *model.Market, a *history.Aggregate) []byte {
	if a == nil {
		return append(dst, `,"open":null,"high":null,"low":null,"close":null,`...)
	}
	ps, _ := m.ScaleAt(a.Epoch)
	dst = append(dst, `,"open":`...)
	dst = appendPrice(dst, a.Open, ps, true)
	dst = append(dst, `,"high":`...)
	dst = appendPrice(dst, a.High, ps, true)
	dst = append(dst, `,"low":`...)
	dst = appendPrice(dst, a.Low, ps, true)
	dst = append(dst, `,"close":`...)
	dst = appendPrice(dst, a.Close, ps, true)
	return append(dst, ',')
}

// appendSums writes the sums of a bucket or of a range and closes the object. Where a is nil there is no trade, and no
// volume only where the record is held whole: elsewhere nobody knows.
func appendSums(dst []byte, m *model.Market, a *history.Aggregate, held bool) []byte {
	if a == nil {
		if !held {
			return append(dst, `"vwap":null,"volume":null,"quote_volume":null,"buy_volume":null,"sell_volume":null,"trade_count":null}`...)
		}
		a = &history.Aggregate{}
		a.Epoch = m.Epoch
	}
	_, ss := m.ScaleAt(a.Epoch)
	dst = append(dst, `"vwap":`...)
	if vwap, ok := a.VWAP(m, quotientScale); ok {
		dst = append(num.AppendTrim(append(dst, '"'), vwap.Mant, vwap.Scale), '"')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"volume":"`...)
	dst = num.Append(dst, int64(a.Volume), ss)
	dst = append(dst, `","quote_volume":"`...)
	dst = num.Append(dst, int64(a.QuoteVolume), num.USDScale)
	dst = append(dst, `","buy_volume":"`...)
	dst = num.Append(dst, int64(a.BuyVolume), ss)
	dst = append(dst, `","sell_volume":"`...)
	dst = num.Append(dst, int64(a.Volume-a.BuyVolume), ss)
	dst = append(dst, `","trade_count":`...)
	return append(strconv.AppendUint(dst, a.Trades, 10), '}')
}
