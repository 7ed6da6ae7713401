package exposure

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// Defaults are the parameters of a heatmap that was asked for without any.
var Defaults = risk.HeatmapQuery{RangePct: num.Decimal{Mant: 20}, Buckets: model.HeatmapBuckets, AtRiskPct: num.Decimal{Mant: 5}}

// forms are the heatmaps of a snapshot as JSON text, for whoever sends the same to many.
type forms struct {
	at       model.Millis
	heatmaps map[model.MarketID][]byte
}

func encodeForms(s *Snapshot) *forms {
	f := &forms{at: s.At, heatmaps: make(map[model.MarketID][]byte, len(s.markets))}
	for id, m := range s.markets {
		if text, err := m.AppendHeatmap(nil, Defaults); err == nil {
			f.heatmaps[id] = text
		}
	}
	return f
}

// Heatmap returns a market's newest heatmap with the default parameters as JSON text, nil where there is none. The bytes
// are never changed again.
func (d *Desk) Heatmap(id model.MarketID) []byte { return d.forms.Load().heatmaps[id] }

// AppendHeatmap computes a heatmap and appends the contract's object (2.4.3).
func (m *Market) AppendHeatmap(dst []byte, q risk.HeatmapQuery) ([]byte, error) {
	h, err := m.heatmap(q)
	if err != nil {
		return dst, err
	}
	return m.appendHeatmap(dst, h, q), nil
}

func (m *Market) appendHeatmap(dst []byte, h *risk.Heatmap, q risk.HeatmapQuery) []byte {
	dst = m.appendHead(dst)
	dst = q.RangePct.Append(append(dst, `,"range_pct":"`...))
	dst = appendPrice(append(dst, `","bucket_size":`...), h.Width)
	dst = append(dst, `,"buckets":[`...)
	for i := range h.Buckets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendBucket(dst, &h.Buckets[i])
	}
	dst = appendMoney(append(dst, `],"long_at_risk":`...), h.LongAtRisk)
	dst = appendMoney(append(dst, `,"short_at_risk":`...), h.ShortAtRisk)
	dst = q.AtRiskPct.Append(append(dst, `,"at_risk_pct":"`...))
	dst = strconv.AppendInt(append(dst, `","position_count":`...), int64(h.Positions), 10)
	dst = appendMoney(append(dst, `,"outside_range":{"long_notional":`...), h.LongOut)
	dst = appendMoney(append(dst, `,"short_notional":`...), h.ShortOut)
	dst = m.AppendCoverage(append(dst, `},"coverage":`...))
	dst = strconv.AppendInt(append(dst, `,"computed_at":`...), int64(m.At), 10)
	return append(dst, '}')
}

func (m *Market) heatmap(q risk.HeatmapQuery) (*risk.Heatmap, error) {
	if q == Defaults && m.standard != nil {
		return m.standard, nil
	}
	mark, err := m.mark()
	if err != nil {
		return nil, err
	}
	return m.Map.Heatmap(mark, q)
}

// mark returns the mark price at the scale of the rules.
func (m *Market) mark() (int64, error) {
	return num.Rescale(m.Mark.Mant, m.Mark.Scale, risk.PriceScale)
}

// appendHead opens an object with the members that all answers about a market begin with.
func (m *Market) appendHead(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"market_id":`...), m.Info.Native, 10)
	dst = model.AppendString(append(dst, `,"symbol":`...), m.Info.Symbol)
	return append(m.Mark.Append(append(dst, `,"mark_price":"`...)), '"')
}

func (m *Market) appendBucket(dst []byte, b *risk.Bucket) []byte {
	dst = appendPrice(append(dst, `{"price_low":`...), b.Low)
	dst = appendPrice(append(dst, `,"price_high":`...), b.High)
	dst = appendPrice(append(dst, `,"price":`...), b.Middle)
	dst = m.appendSum(dst, `,"long_`, &b.Long)
	dst = m.appendSum(dst, `,"short_`, &b.Short)
	dst = appendMoney(append(dst, `,"cumulative_long_notional":`...), b.CumulativeLong)
	dst = appendMoney(append(dst, `,"cumulative_short_notional":`...), b.CumulativeShort)
	return append(dst, '}')
}

func (m *Market) appendSum(dst []byte, prefix string, s *risk.Sum) []byte {
	dst = num.Append(append(append(dst, prefix...), `size":"`...), s.Size, m.Info.SizeScale)
	dst = appendMoney(append(append(append(dst, '"'), prefix...), `notional":`...), s.Notional)
	return strconv.AppendInt(append(append(dst, prefix...), `count":`...), int64(s.Count), 10)
}

// AppendCoverage appends how much of the market's open interest the known accounts explain.
func (m *Market) AppendCoverage(dst []byte) []byte {
	dst = num.Append(append(dst, `{"tracked_open_interest":"`...), int64(m.Tracked), m.Info.SizeScale)
	base, ratio, ok := m.openInterest()
	if !ok {
		return append(dst, `","market_open_interest":null,"ratio":null}`...)
	}
	dst = num.AppendTrim(append(dst, `","market_open_interest":"`...), base, quotientScale)
	dst = num.AppendTrim(append(dst, `","ratio":"`...), ratio, quotientScale)
	return append(dst, `"}`...)
}

// quotientScale is the number of decimals of quotients.
const quotientScale = 8

// openInterest returns the venue's open interest in units of base, and the share of it that is tracked; false where the
// venue told none.
func (m *Market) openInterest() (base, ratio int64, ok bool) {
	if !m.HasOpenInterest || m.OpenInterest.Mant <= 0 {
		return 0, 0, false
	}
	base, ok = quotient(m.OpenInterest, m.Mark)
	if !ok || base <= 0 {
		return 0, 0, false
	}
	ratio, ok = quotient(num.Decimal{Mant: int64(m.Tracked), Scale: m.Info.SizeScale}, num.Decimal{Mant: base, Scale: quotientScale})
	return base, ratio, ok
}

// Share returns which part of the venue's open interest a position's size is, with 8 decimals, half-even; false where the
// venue told no open interest.
func (m *Market) Share(size num.Size) (int64, bool) {
	base, _, ok := m.openInterest()
	if !ok {
		return 0, false
	}
	return quotient(num.Decimal{Mant: int64(max(size, -size)), Scale: m.Info.SizeScale}, num.Decimal{Mant: base, Scale: quotientScale})
}

// quotient divides two decimals, half-even, to quotientScale decimals; false where that does not fit.
func quotient(a, b num.Decimal) (int64, bool) {
	if b.Mant <= 0 {
		return 0, false
	}
	// a/10^sa / (b/10^sb) = a x 10^sb / b, with sa decimals.
	var n num.Acc
	n.AddProduct(a.Mant, num.Pow10(b.Scale))
	if a.Scale > quotientScale {
		return 0, false
	}
	v, err := n.DivRound(b.Mant, a.Scale, quotientScale)
	return v, err == nil
}

func appendPrice(dst []byte, price int64) []byte {
	return append(num.AppendTrim(append(dst, '"'), price, risk.PriceScale), '"')
}

func appendMoney(dst []byte, v num.USD) []byte {
	return append(num.AppendTrim(append(dst, '"'), int64(v), num.USDScale), '"')
}
