package http

import (
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

var errNotFunded = &model.Error{Code: model.CodeUpstream, Message: "the account's collateral is not known yet, try again"}

// answerRisk estimates how far an account is from being liquidated.
func answerRisk(c *call, dst []byte) ([]byte, meta, error) {
	d := c.server.accounts
	var a model.Account
	if err := c.account(&a); err != nil {
		return dst, meta{}, err
	}
	if a.Polled == 0 {
		return dst, meta{}, errNotFunded
	}
	m := d.current(c)
	var s risk.Assessment
	s.Assess(&a, m.lookup)
	all := &s.Account
	usage, known := marginUsage(all)
	dst = num.AppendUint(append(dst, `{"account_index":`...), uint64(a.Index))
	dst = append(append(dst, `,"status":"`...), s.State.String()...)
	dst = num.AppendTrim(append(dst, `","risk_score":"`...), riskScore(all, usage, known), quotientScale)
	dst = appendMoney(append(dst, `","account_value":`...), all.Value, true)
	dst = appendMoney(append(dst, `,"collateral":`...), a.Collateral, true)
	dst = appendMoney(append(dst, `,"unrealized_pnl":`...), all.Profit, true)
	dst = appendComputed(append(dst, `,"initial_margin_requirement":`...), all.Initial)
	dst = appendComputed(append(dst, `,"maintenance_margin_requirement":`...), all.Maintenance)
	dst = appendComputed(append(dst, `,"close_out_margin_requirement":`...), all.CloseOut)
	dst = appendQuotient(append(dst, `,"margin_usage":`...), usage, known)
	dst = appendComputed(append(dst, `,"total_notional":`...), all.Notional)
	dst = append(dst, `,"positions":[`...)
	nearest, nearestMarket := int64(math.MaxInt64), int64(-1)
	for i := range s.Exposures {
		if i > 0 {
			dst = append(dst, ',')
		}
		var distance int64
		var priced bool
		e := &s.Exposures[i]
		dst, distance, priced = appendExposure(dst, e, m.of(e.Position.Market))
		if priced && distance < nearest {
			nearest, nearestMarket = distance, e.Market.Info.Native
		}
	}
	dst = num.AppendUint(append(dst, `],"unvalued_positions":`...), uint64(s.Unknown))
	dst = append(dst, `,"nearest_market_id":`...)
	if nearestMarket < 0 {
		dst = append(dst, "null"...)
	} else {
		dst = appendJSONInt(dst, nearestMarket)
	}
	return appendStanding(dst, a.AsOf, a.Source, d.isStale(a.Polled, c.nowMillis())), meta{}, nil
}

// marginUsage returns the maintenance requirement as a share of the value, with quotientScale decimals; false where the
// value is not above zero and there is something to keep.
func marginUsage(p *risk.Pool) (int64, bool) {
	if p.Maintenance == 0 {
		return 0, true
	}
	if p.Value <= 0 {
		return 0, false
	}
	var n num.Acc
	n.AddProduct(int64(p.Maintenance), 1)
	v, err := n.DivRound(int64(p.Value), 0, quotientScale)
	return v, err == nil
}

// riskScore is the usage between 0 and 1; 1 where nothing is left.
func riskScore(p *risk.Pool, usage int64, known bool) int64 {
	one := num.Pow10(quotientScale)
	switch {
	case !p.Exposed:
		return 0
	case p.Value <= 0 || !known:
		return one
	}
	return min(usage, one)
}

// appendQuotient writes a quotient of ours; null where there is none.
func appendQuotient(dst []byte, v int64, known bool) []byte {
	if !known {
		return append(dst, "null"...)
	}
	return append(num.AppendTrim(append(dst, '"'), v, quotientScale), '"')
}

// appendExposure writes a position of 2.1.8 and returns how far its forced close is, in percent of the mark; negative where
// the mark is past it.
func appendExposure(dst []byte, e *risk.Exposure, k *mark) (_ []byte, distancePct int64, priced bool) {
	p := e.Position
	_, ss := k.Info.ScaleAt(p.Epoch)
	dst = append(dst, k.head...)
	side := `"long","position":"`
	if p.Size < 0 {
		side = `"short","position":"`
	}
	dst = append(dst, side...)
	dst = num.Append(dst, int64(max(p.Size, -p.Size)), ss)
	dst = e.Market.Mark.Append(append(dst, `","mark_price":"`...))
	dst = appendLiquidationPrice(append(dst, `","liquidation_price":`...), e, true)
	distance, pct, priced := distanceOf(e)
	dst = appendQuotient(append(dst, `,"distance_usd":`...), distance, priced)
	dst = appendQuotient(append(dst, `,"distance_pct":`...), pct, priced)
	dst = appendComputed(append(dst, `,"notional":`...), e.Notional)
	dst = appendComputed(append(dst, `,"maintenance_margin":`...), e.Maintenance)
	if p.Isolated {
		dst = append(dst, `,"margin_mode":1}`...)
	} else {
		dst = append(dst, `,"margin_mode":0}`...)
	}
	return dst, pct, priced
}

// distanceOf returns how far the mark may go before the position is closed by force: in quote money and in percent, both
// with quotientScale decimals.
func distanceOf(e *risk.Exposure) (distance, pct int64, ok bool) {
	price, ok := e.Price()
	if !ok {
		return 0, 0, false
	}
	mark, err := num.Rescale(e.Market.Mark.Mant, e.Market.Mark.Scale, risk.PriceScale)
	if err != nil {
		return 0, 0, false
	}
	distance = mark - price.Mant
	if e.Position.Size < 0 {
		distance = -distance
	}
	var n num.Acc
	n.AddProduct(distance, 100)
	pct, err = n.DivRound(mark, 0, quotientScale)
	return distance, pct, err == nil
}
