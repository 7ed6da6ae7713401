package sim

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// accountRow is a trade of an account.
type accountRow struct {
	market *market
	row    tapeRow
}

func (a *account) remember(r accountRow) {
	a.rows = keepLast(append(a.rows, r), accountRows/2)
}

// touch marks an account whose channels have something to say at the end of the step.
func (x *Exchange) touch(a *account) {
	if !a.touched {
		a.touched = true
		x.touched = append(x.touched, a)
	}
}

// orderChanged tells the owner's order channels about one order.
func (x *Exchange) orderChanged(o *order) {
	if x.hub.private == 0 { // the common case: no names are made for nobody
		return
	}
	a := strconv.FormatInt(o.owner.index, 10)
	if key := o.market.key("account_orders") + ":" + a; len(x.hub.subs[key]) > 0 {
		b := appendInt(x.buf[:0], `{"account":`, o.owner.index)
		b = appendInt(b, `,"channel":"account_orders:`, o.market.id)
		b = appendInt(b, `","nonce":`, x.nonce)
		b = appendInt(b, `,"orders":{"`, o.market.id)
		b = append(x.appendOrder(append(b, `":[`...), o, "0"), `]},"type":"update/account_orders"}`...)
		x.hub.publish(key, b)
		x.buf = b
	}
	if key := "account_all_orders:" + a; len(x.hub.subs[key]) > 0 {
		b := append(append(x.buf[:0], `{"channel":"`...), key...)
		b = appendInt(b, `","orders":{"`, o.market.id)
		b = append(x.appendOrder(append(b, `":[`...), o, "0"), `]},"type":"update/account_all_orders"}`...)
		x.hub.publish(key, b)
		x.buf = b
	}
}

// flushAccounts publishes what changed for the accounts of this step: trades first, positions next, as recorded.
func (x *Exchange) flushAccounts() {
	for _, a := range x.touched {
		a.touched = false
		index := strconv.FormatInt(a.index, 10)
		if key := "account_all:" + index; len(x.hub.subs[key]) > 0 {
			rows := a.fresh(x.clock - stepMicros)
			if len(rows) > 0 {
				b := x.appendAccountAll(x.buf[:0], a, key, "update", nil, rows)
				x.hub.publish(key, b)
				x.buf = b
			}
			b := x.appendAccountAll(x.buf[:0], a, key, "update", a.positions, nil)
			x.hub.publish(key, b)
			x.buf = b
		}
		if key := "account_all_positions:" + index; len(x.hub.subs[key]) > 0 {
			b := x.appendPositionsFrame(x.buf[:0], a, key, "update")
			x.hub.publish(key, b)
			x.buf = b
		}
		if key := "account_all_trades:" + index; len(x.hub.subs[key]) > 0 {
			b := x.appendTradesFrame(x.buf[:0], a, key, "update", a.fresh(x.clock-stepMicros))
			x.hub.publish(key, b)
			x.buf = b
		}
		if key := "user_stats:" + index; len(x.hub.subs[key]) > 0 {
			b := x.appendUserStats(x.buf[:0], a, key, "update")
			x.hub.publish(key, b)
			x.buf = b
		}
	}
	x.touched = x.touched[:0]
}

// fresh returns the account's trades since a moment, newest first.
func (a *account) fresh(since int64) []accountRow {
	var out []accountRow
	for i := len(a.rows) - 1; i >= 0 && a.rows[i].row.ms*1000 >= since/1000*1000; i-- {
		out = append(out, a.rows[i])
	}
	return out
}

// appendRows writes trades as a map from market to rows.
func appendRows(b []byte, rows []accountRow) []byte {
	b = append(b, '{')
	done := make(map[int64]bool)
	for i, r := range rows {
		if done[r.market.id] {
			continue
		}
		if len(done) > 0 {
			b = append(b, ',')
		}
		done[r.market.id] = true
		b = append(strconv.AppendInt(append(b, '"'), r.market.id, 10), `":[`...)
		first := true
		for _, o := range rows[i:] {
			if o.market != r.market {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(b, o.row.text...)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (x *Exchange) appendAccountAll(b []byte, a *account, key, kind string, positions []*position, rows []accountRow) []byte {
	full := kind == "subscribed"
	b = appendInt(b, `{"account":`, a.index)
	b = append(append(b, `,"channel":"`...), key...)
	b = append(b, '"')
	if full {
		b = appendInt(b, `,"daily_trades_count":`, a.trades)
		b = appendNumber(b, `,"daily_volume":`, int64(a.volume), num.USDScale)
	}
	b = append(b, `,"funding_histories":{}`...)
	if full {
		b = appendInt(b, `,"monthly_trades_count":`, a.trades)
		b = appendNumber(b, `,"monthly_volume":`, int64(a.volume), num.USDScale)
	}
	b = appendPositionMap(append(b, `,"positions":`...), positions)
	b = append(b, `,"shares":[]`...)
	if full {
		b = appendInt(b, `,"total_trades_count":`, a.trades)
		b = appendNumber(b, `,"total_volume":`, int64(a.volume), num.USDScale)
	}
	b = appendRows(append(b, `,"trades":`...), rows)
	b = append(append(b, `,"type":"`...), kind...)
	b = append(b, `/account_all"`...)
	if full {
		b = appendInt(b, `,"weekly_trades_count":`, a.trades)
		b = appendNumber(b, `,"weekly_volume":`, int64(a.volume), num.USDScale)
		b = a.appendAssets(append(b, `,"assets":`...))
	}
	return append(b, '}')
}

func (a *account) appendAssets(b []byte) []byte {
	b = appendUSD(append(b, `{"3":{"symbol":"USDC","asset_id":3,"balance":"`...), a.collateral)
	return append(b, `","locked_balance":"0.000000","margin_mode":"enabled","margin_balance":"0.000000"}}`...)
}

func appendPositionMap(b []byte, positions []*position) []byte {
	b = append(b, '{')
	for i, p := range positions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, '"'), p.market.id, 10), `":`...)
		b = p.append(b)
	}
	return append(b, '}')
}

// append writes a position row; REST and stream use the same.
func (p *position) append(b []byte) []byte {
	m := p.market
	b = appendInt(b, `{"market_id":`, m.id)
	b = model.AppendString(append(b, `,"symbol":`...), m.symbol)
	b = num.Append(append(b, `,"initial_margin_fraction":"`...), p.fraction, 2)
	b = appendInt(b, `","open_order_count":`, p.orders)
	b = append(b, `,"pending_order_count":0,"position_tied_order_count":0,"sign":`...)
	value, entry := p.value(), num.Price(0)
	if p.size < 0 {
		b = append(b, `-1`...)
	} else {
		b = append(b, '1')
	}
	if p.size != 0 {
		var a num.Acc
		a.AddProduct(int64(p.entry), 1)
		if e, err := a.DivRound(int64(abs(p.size)), 0, 0); err == nil {
			entry = num.Price(e)
		}
	}
	b = m.appendSize(append(b, `,"position":"`...), abs(p.size))
	b = m.appendPrice(append(b, `","avg_entry_price":"`...), entry)
	b = append(b, `","position_value":"`...)
	if p.size == 0 {
		b = append(b, '-')
	}
	b = appendUSD(b, value)
	b = appendUSD(append(b, `","unrealized_pnl":"`...), p.pnl())
	b = appendUSD(append(b, `","realized_pnl":"`...), p.realized)
	b = append(append(b, `","liquidation_price":"`...), p.liquidationPrice()...)
	if p.paid != 0 {
		b = appendUSD(append(b, `","total_funding_paid_out":"`...), p.paid)
	}
	b = append(b, `","margin_mode":`...)
	if p.isolated {
		b = append(b, '1')
	} else {
		b = append(b, '0')
	}
	return append(appendUSD(append(b, `,"allocated_margin":"`...), p.allocated), `"}`...)
}

func (x *Exchange) appendPositionsFrame(b []byte, a *account, key, kind string) []byte {
	b = append(append(b, `{"channel":"`...), key...)
	b = appendPositionMap(append(b, `","positions":`...), a.positions)
	b = append(append(b, `,"shares":[],"type":"`...), kind...)
	return append(b, `/account_all_positions"}`...)
}

func (x *Exchange) appendTradesFrame(b []byte, a *account, key, kind string, rows []accountRow) []byte {
	b = append(append(b, `{"channel":"`...), key...)
	b = appendNumber(b, `","total_volume":`, int64(a.volume), num.USDScale)
	b = appendRows(append(b, `,"trades":`...), rows)
	b = append(append(b, `,"type":"`...), kind...)
	return append(b, `/account_all_trades"}`...)
}

// total returns the whole account: cross pool and isolated positions together.
func (a *account) total() (value num.USD, cross health) {
	cross = a.cross()
	value = cross.value
	for _, p := range a.positions {
		if p.isolated {
			value += p.allocated + p.pnl()
		}
	}
	return value, cross
}

func (x *Exchange) appendUserStats(b []byte, a *account, key, kind string) []byte {
	_, h := a.total()
	var notional num.USD
	for _, p := range a.positions {
		if !p.isolated {
			notional += p.value()
		}
	}
	ratio := func(v, of num.USD, factor int64) int64 {
		var s num.Acc
		s.AddProduct(int64(v), factor)
		r, err := s.DivRound(max(1, int64(of)), 0, 2)
		if err != nil {
			return 0
		}
		return r
	}
	body := func(b []byte) []byte {
		b = appendUSD(append(b, `"available_balance":"`...), max(0, a.free()))
		b = append(b, `","buying_power":"0","collateral":"`...)
		b = appendUSD(b, a.collateral)
		b = num.Append(append(b, `","leverage":"`...), ratio(notional, h.value, 1), 2)
		b = num.Append(append(b, `","margin_usage":"`...), ratio(h.initial, h.value, 100), 2)
		return append(appendUSD(append(b, `","portfolio_value":"`...), h.value), '"')
	}
	b = append(append(b, `{"channel":"`...), key...)
	b = body(append(b, `","stats":{"account_trading_mode":0,`...))
	b = body(append(b, `,"cross_stats":{`...))
	b = body(append(b, `},"total_stats":{`...))
	b = appendInt(b, `}},"timestamp":`, x.clock/1000)
	b = append(append(b, `,"type":"`...), kind...)
	return append(b, `/user_stats"}`...)
}
