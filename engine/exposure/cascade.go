package exposure

import (
	"errors"
	"strconv"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// ErrTrigger reports a trigger price that pushes nowhere: the mark itself, or not above zero.
var ErrTrigger = errors.New("trigger price is not away from the mark")

// Trigger returns the price that lies a signed percentage away from the mark, at risk.PriceScale.
func (m *Market) Trigger(movePct num.Decimal) (int64, error) {
	mark, err := m.mark()
	if err != nil {
		return 0, err
	}
	var a num.Acc
	a.AddProduct(mark, movePct.Mant)
	off, err := a.Round(movePct.Scale+2, 0)
	return mark + off, err
}

// AppendCascade computes a scenario for each trigger price (at risk.PriceScale) over a book and appends the contract's
// object (2.4.4). v is nil where the market's book is not in sync: nothing can be sold into it then. info is the market as
// it is now, which knows the scales of the book even where they came after the snapshot.
func (m *Market) AppendCascade(dst []byte, v *book.View, info *model.Market, triggers []int64, maxSteps int) ([]byte, error) {
	mark, err := m.mark()
	if err != nil {
		return dst, err
	}
	dst = append(m.appendHead(dst), `,"scenarios":[`...)
	for i, trigger := range triggers {
		if trigger <= 0 || trigger == mark {
			return dst, ErrTrigger
		}
		c, err := m.Map.Cascade(mark, trigger, levels(v, info, trigger < mark), maxSteps)
		if err != nil {
			return dst, err
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendScenario(dst, mark, c)
	}
	dst = m.AppendCoverage(append(dst, `],"coverage":`...))
	dst = strconv.AppendInt(append(dst, `,"computed_at":`...), int64(m.At), 10)
	return append(dst, '}'), nil
}

// levels returns the side of the book that forced closes hit: bids on the way down, asks on the way up.
func levels(v *book.View, info *model.Market, down bool) risk.Levels {
	if v == nil {
		return risk.Levels{}
	}
	side := model.Ask
	if down {
		side = model.Bid
	}
	ps, ss := info.ScaleAt(v.Epoch)
	return risk.Levels{Levels: v.Append(nil, side, v.Len(side)), PriceScale: ps, SizeScale: ss}
}

func (m *Market) appendScenario(dst []byte, mark int64, c *risk.Cascade) []byte {
	direction := "up"
	if c.Down {
		direction = "down"
	}
	initial, total := movePct(mark, c.Trigger), movePct(mark, c.Final)
	dst = append(append(dst, `{"direction":"`...), direction...)
	dst = appendPrice(append(dst, `","trigger_price":`...), c.Trigger)
	dst = num.AppendTrim(append(dst, `,"initial_move_pct":"`...), initial, quotientScale)
	dst = appendPrice(append(dst, `","final_price":`...), c.Final)
	dst = num.AppendTrim(append(dst, `,"total_move_pct":"`...), total, quotientScale)
	// Both moves have one sign, and the first is never zero.
	amplification, _ := quotient(num.Decimal{Mant: max(c.Final-mark, mark-c.Final)}, num.Decimal{Mant: max(c.Trigger-mark, mark-c.Trigger)})
	dst = num.AppendTrim(append(dst, `","amplification":"`...), amplification, quotientScale)
	dst = strconv.AppendInt(append(dst, `","positions_liquidated":`...), int64(c.Closed.Count), 10)
	dst = num.Append(append(dst, `,"liquidated_size":"`...), c.Closed.Size, m.Info.SizeScale)
	dst = appendMoney(append(dst, `","liquidated_notional":`...), c.Closed.Notional)
	dst = strconv.AppendBool(append(dst, `,"book_exhausted":`...), c.Exhausted)
	dst = append(dst, `,"steps":[`...)
	for i := range c.Steps {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendStep(dst, i+1, &c.Steps[i])
	}
	return append(dst, "]}"...)
}

func (m *Market) appendStep(dst []byte, n int, s *risk.Step) []byte {
	dst = strconv.AppendInt(append(dst, `{"step":`...), int64(n), 10)
	dst = appendPrice(append(dst, `,"price_from":`...), s.From)
	dst = appendPrice(append(dst, `,"price_to":`...), s.To)
	dst = strconv.AppendInt(append(dst, `,"positions":`...), int64(s.Closed.Count), 10)
	dst = num.Append(append(dst, `,"liquidated_size":"`...), s.Closed.Size, m.Info.SizeScale)
	dst = appendMoney(append(dst, `","liquidated_notional":`...), s.Closed.Notional)
	dst = appendMoney(append(dst, `,"cumulative_notional":`...), s.Cumulative)
	return append(dst, '}')
}

// movePct is how far a price lies from the mark, in percent of it, signed.
func movePct(mark, price int64) int64 {
	var a num.Acc
	a.AddProduct(price-mark, 100)
	v, err := a.DivRound(mark, 0, quotientScale)
	if err != nil {
		return 0
	}
	return v
}
