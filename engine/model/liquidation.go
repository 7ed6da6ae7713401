package model

import (
	"strconv"

	"hyperlight/engine/num"
)

// Forced tells whether a trade closed somebody's position against his will: a liquidation or a deleverage.
func (t *Trade) Forced() bool { return t.Kind == KindLiquidation || t.Kind == KindDeleverage }

// Closed returns whose position a forced trade closed, who took it over, and which side the position was on: "long" or
// "short". The closed account is the taker, so one that sold was long.
func (t *Trade) Closed() (account, counterparty AccountID, side string) {
	if t.TakerBuys() {
		return t.BidAccount, t.AskAccount, "short"
	}
	return t.AskAccount, t.BidAccount, "long"
}

// AppendLiquidation writes the contract's Liquidation object (section 2.0) of a forced trade.
func (t *Trade) AppendLiquidation(dst []byte, m *Market) []byte {
	ps, ss := m.ScaleAt(t.Epoch)
	closed, other, side := t.Closed()
	dst = append(dst, `{"liquidation_id":"`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, t.ID, 10)
	dst = append(dst, `","trade_id":`...)
	dst = strconv.AppendUint(dst, t.ID, 10)
	dst = append(dst, `,"market_id":`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `,"symbol":`...)
	dst = AppendString(dst, m.Symbol)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, t.Kind.String()...)
	dst = append(dst, `","account_index":`...)
	dst = strconv.AppendUint(dst, uint64(closed), 10)
	dst = append(dst, `,"side":"`...)
	dst = append(dst, side...)
	dst = append(dst, `","price":"`...)
	dst = num.Append(dst, int64(t.Price), ps)
	dst = append(dst, `","size":"`...)
	dst = num.Append(dst, int64(t.Size), ss)
	dst = append(dst, `","usd_amount":"`...)
	dst = num.Append(dst, int64(t.USD), num.USDScale)
	dst = append(dst, `","counterparty_account_index":`...)
	dst = strconv.AppendUint(dst, uint64(other), 10)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(t.Time), 10)
	dst = append(dst, `,"recv_ts":`...)
	if t.Recv == 0 {
		return append(dst, "null}"...)
	}
	return append(strconv.AppendInt(dst, int64(t.Recv), 10), '}')
}
