package http

import (
	"errors"
	"slices"
	"strconv"

	"hyperlight/engine/access"
	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const (
	metricsLimit     = 500
	mostMetricsLimit = 5000
)

// metricsQuery is what /exchange/metrics was asked.
type metricsQuery struct {
	exchange.MetricsQuery
	limit, offset int
	descending    bool
}

func parseExchangeMetrics(c *call) (metricsQuery, error) {
	p := c.params()
	var q metricsQuery
	q.Kind = p.word("kind", exchange.Kinds[:]...)
	q.Period = p.word("period", exchange.Periods[:]...)
	q.Market = p.market("market_id")
	var from, to bool
	q.From, from = p.moment("start")
	q.To, to = p.moment("end")
	q.limit = p.integer("limit", metricsLimit, 1, mostMetricsLimit)
	q.offset = p.integer("offset", 0, 0, maxOffset+1)
	q.descending = p.word("order", "asc", "desc") == "desc"
	now := c.nowMillis()
	switch {
	case p.err != nil:
	case q.offset > maxOffset:
		p.fault("offset", "offset must not be above 100000, ask for a later start")
	case from && to && q.From >= q.To:
		p.fault("start", "start must be before end")
	case to && q.To == 0:
		p.fault("end", "end must be after 1970")
	case from:
		p.reach("start", q.From, now)
	case c.principal != nil && c.principal.Plan.HistoryDepthDays != access.Unlimited:
		q.From = now - model.Millis(c.principal.Plan.HistoryDepthDays)*day // the series as far as the plan reaches
	}
	return q, p.err
}

func answerExchangeMetrics(c *call, dst []byte, q metricsQuery) ([]byte, meta, error) {
	rows, err := c.exchangeMetrics(q.MetricsQuery)
	if err != nil {
		return dst, meta{}, err
	}
	m := meta{Paged: true, Total: int64(len(rows)), Limit: q.limit, Offset: q.offset}
	if q.descending {
		rows = slices.Clone(rows)
		slices.Reverse(rows)
	}
	rows = rows[min(q.offset, len(rows)):]
	rows = rows[:min(q.limit, len(rows))]
	dst = append(append(append(dst, `{"kind":"`...), q.Kind...), `","period":"`...)
	dst = append(append(dst, q.Period...), `","market_id":`...)
	if q.Market == nil {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, q.Market.Native, 10)
	}
	dst = append(dst, `,"metrics":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"timestamp":`...), int64(rows[i].Time), 10)
		dst = append(rows[i].Value.Append(append(dst, `,"value":"`...)), '"')
		dst = append(appendSource(dst, rows[i].Source), '}')
	}
	return append(dst, "]}"...), m, nil
}

// exchangeMetrics is the series that a handler takes for the current one.
func (c *call) exchangeMetrics(q exchange.MetricsQuery) ([]exchange.Metric, error) {
	if c.past == nil {
		if c.server.exchange == nil {
			return nil, errNoExchange
		}
		return c.server.exchange.ExchangeMetrics(c.waiting(), q)
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := c.past.ExchangeMetrics(ctx, q)
	if errors.Is(err, history.ErrNoData) {
		return nil, errNoSums
	}
	return rows, err
}
