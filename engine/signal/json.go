package signal

import (
	"hyperlight/engine/num"
)

// AppendJSON writes the rule_definition with plain decimals, as a number or a string as it was given; ParseRule reads it back.
func (r Rule) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"conditions":[`...)
	for i := range r.Conditions {
		c := &r.Conditions[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c.appendStart(dst)
		if c.Quoted {
			dst = appendQuoted(dst, c.Value, true)
		} else {
			dst = c.Value.Append(dst)
		}
		dst = append(dst, '}')
	}
	if r.Any {
		return append(dst, `],"logic":"OR"}`...)
	}
	return append(dst, `],"logic":"AND"}`...)
}

// appendStart writes a condition up to its value.
func (c *Condition) appendStart(dst []byte) []byte {
	dst = append(dst, `{"field":"`...)
	dst = append(dst, c.Field.String()...)
	dst = append(dst, `","op":"`...)
	dst = append(dst, c.Op.String()...)
	return append(dst, `","value":`...)
}

// AppendMatches writes matched_conditions.
func AppendMatches(dst []byte, matched []Match) []byte {
	dst = append(dst, '[')
	for i := range matched {
		m := &matched[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.Condition.appendStart(dst)
		dst = appendQuoted(dst, m.Condition.Value, true)
		dst = append(dst, `,"actual":`...)
		dst = appendQuoted(dst, m.Actual, true)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendJSON writes the context of a delivery; what is not known is null.
func (c *Context) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"trade":`...)
	if t := c.Trade; t != nil {
		dst = append(dst, `{"trade_id":`...)
		dst = num.AppendUint(dst, t.TradeID)
		dst = append(dst, `,"price":`...)
		dst = appendQuoted(dst, t.Values[TradePrice], true)
		dst = append(dst, `,"size":`...)
		dst = appendQuoted(dst, t.Values[TradeSize], true)
		dst = append(dst, `,"usd_amount":`...)
		dst = appendQuoted(dst, t.Values[TradeNotional], true)
		if t.TakerBuys {
			dst = append(dst, `,"side":"buy"}`...)
		} else {
			dst = append(dst, `,"side":"sell"}`...)
		}
	} else {
		dst = append(dst, `null`...)
	}
	dst = append(dst, `,"best_bid":`...)
	dst = appendQuoted(dst, c.BestBid, c.HasBid)
	dst = append(dst, `,"best_ask":`...)
	dst = appendQuoted(dst, c.BestAsk, c.HasAsk)
	dst = append(dst, `,"spread":`...)
	dst = appendQuoted(dst, c.Spread, c.HasSpread)
	dst = append(dst, `,"funding_rate":`...)
	dst = appendQuoted(dst, c.FundingRate, c.HasFundingRate)
	return append(dst, '}')
}

// appendQuoted writes a decimal as a string, null where it is not known.
func appendQuoted(dst []byte, d num.Decimal, known bool) []byte {
	if !known {
		return append(dst, `null`...)
	}
	dst = append(dst, '"')
	return append(d.Append(dst), '"')
}
