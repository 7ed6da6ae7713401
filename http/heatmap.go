package http

import (
	"errors"

	"hyperlight/engine/exposure"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

var (
	errNoExposure = &model.Error{Code: model.CodeUpstream, Message: "the market has no mark price or no margin rules yet, there is nothing to compute from"}
	errPastMap    = model.BadRequest("range_pct", "the past has heatmaps with the default range_pct, buckets and at_risk_pct only, leave them out")
	errTwoTrigger = model.BadRequest("trigger_price", "trigger_price and move_pct exclude each other")
	errAtMark     = model.BadRequest("trigger_price", "the trigger must be away from the mark price and above zero")
)

// heatmapQuery is what /liquidation-heatmap/{market_id} was asked.
type heatmapQuery struct {
	market *model.Market
	risk.HeatmapQuery
	plain bool // nothing but the defaults
}

func parseHeatmap(c *call) (heatmapQuery, error) {
	m, err := c.pathMarket()
	if err != nil {
		return heatmapQuery{}, err
	}
	p := c.params()
	q := heatmapQuery{market: m, HeatmapQuery: exposure.Defaults}
	q.RangePct = p.percent("range_pct", q.RangePct, num.Decimal{Mant: 1}, num.Decimal{Mant: 90})
	q.AtRiskPct = p.percent("at_risk_pct", q.AtRiskPct, num.Decimal{Mant: 1, Scale: 1}, num.Decimal{Mant: 50})
	q.Buckets = p.strictly("buckets", q.Buckets, 10, 500)
	q.plain = q.HeatmapQuery == exposure.Defaults
	if c.past != nil && !q.plain && p.err == nil {
		p.err = errPastMap
	}
	return q, p.err
}

// maxPercentDecimals is how many decimals a percentage may have.
const maxPercentDecimals = 6

// percent reads a decimal between two others.
func (p *params) percent(name string, byDefault, lowest, highest num.Decimal) num.Decimal {
	v, ok := p.get(name)
	if !ok {
		return byDefault
	}
	d, err := num.ParseDecimal(v)
	if err != nil || d.Scale > maxPercentDecimals || d.Cmp(lowest) < 0 || d.Cmp(highest) > 0 {
		p.fault(name, name+" must be a decimal number from "+lowest.String()+" to "+highest.String())
		return byDefault
	}
	return d
}

// strictly reads an integer between two others.
func (p *params) strictly(name string, byDefault, lowest, highest int) int {
	v, ok := p.get(name)
	if !ok {
		return byDefault
	}
	n, ok := parseInt(v)
	if !ok || n < int64(lowest) || n > int64(highest) {
		p.fault(name, string(num.Append(append(num.Append(append([]byte(name), " must be an integer from "...), int64(lowest), 0), " to "...), int64(highest), 0)))
		return byDefault
	}
	return int(n)
}

// exposed returns the market's part of the newest snapshot.
func (c *call) exposed(m *model.Market) (*exposure.Market, error) {
	d := c.server.accounts
	if d.Exposure == nil {
		return nil, errNoAccountsHere
	}
	if e := d.Exposure.Latest().Market(m.ID); e != nil {
		return e, nil
	}
	return nil, errNoExposure
}

func answerHeatmap(c *call, dst []byte, q heatmapQuery) ([]byte, meta, error) {
	if c.past != nil {
		return c.appendPastHeatmap(dst, q.market)
	}
	e, err := c.exposed(q.market)
	if err != nil {
		return dst, meta{}, err
	}
	if q.plain {
		if text := c.server.accounts.Exposure.Heatmap(q.market.ID); text != nil {
			return append(dst, text...), meta{}, nil
		}
	}
	dst, err = e.AppendHeatmap(dst, q.HeatmapQuery)
	return dst, meta{}, err
}

// appendPastHeatmap writes the last heatmap that had been computed at the call's clock.
func (c *call) appendPastHeatmap(dst []byte, m *model.Market) ([]byte, meta, error) {
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	h, err := c.past.Heatmap(ctx, m.ID)
	if errors.Is(err, history.ErrNoData) {
		return dst, meta{}, errNoMap
	}
	if err != nil {
		return dst, meta{}, err
	}
	dst, err = exposure.AppendKept(dst, m, h)
	return dst, meta{}, err
}

// cascadeQuery is what /liquidation-heatmap/{market_id}/cascade was asked.
type cascadeQuery struct {
	market  *model.Market
	trigger int64         // at risk.PriceScale; 0: moves say
	moves   []num.Decimal // percent
	steps   int
}

// defaultMoves are the scenarios of a cascade that was asked for without one.
var defaultMoves = []num.Decimal{{Mant: -5}, {Mant: 5}}

func parseCascade(c *call) (cascadeQuery, error) {
	m, err := c.pathMarket()
	if err != nil {
		return cascadeQuery{}, err
	}
	p := c.params()
	q := cascadeQuery{market: m, steps: p.strictly("max_steps", 50, 1, 500), moves: defaultMoves}
	price, byPrice := p.get("trigger_price")
	_, byMove := p.get("move_pct")
	switch {
	case byPrice && byMove:
		if p.err == nil {
			p.err = errTwoTrigger
		}
	case byPrice:
		d, err := num.ParseDecimal(price)
		if err == nil {
			q.trigger, err = num.Rescale(d.Mant, d.Scale, risk.PriceScale)
		}
		if err != nil || q.trigger <= 0 {
			p.fault("trigger_price", "trigger_price must be a price above zero with at most 8 decimals")
		}
	case byMove:
		move := p.percent("move_pct", num.Decimal{}, num.Decimal{Mant: -90}, num.Decimal{Mant: 90})
		if move.Mant == 0 {
			p.fault("move_pct", "move_pct must not be zero")
		}
		q.moves = []num.Decimal{move}
	}
	return q, p.err
}

func answerCascade(c *call, dst []byte, q cascadeQuery) ([]byte, meta, error) {
	e, err := c.exposed(q.market)
	if err != nil {
		return dst, meta{}, err
	}
	triggers := []int64{q.trigger}
	if q.trigger == 0 {
		triggers = triggers[:0]
		for _, move := range q.moves {
			t, err := e.Trigger(move)
			if err != nil {
				return dst, meta{}, err
			}
			triggers = append(triggers, t)
		}
	}
	v, err := c.server.engine.Book(c.waiting(), q.market)
	if err != nil {
		return dst, meta{}, err
	}
	dst, err = e.AppendCascade(dst, v, q.market, triggers, q.steps)
	if errors.Is(err, exposure.ErrTrigger) {
		err = errAtMark
	}
	return dst, meta{}, err
}
