package sim

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// open checks a channel: its market or account must exist.
func (x *Exchange) open(ch channel) *venueError {
	if ch.market >= 0 && x.byID[ch.market] == nil || ch.market >= 0 && ch.family == "spot_market_stats" {
		return errUnknownMarket
	}
	if ch.account >= 0 && x.byIndex[ch.account] == nil {
		return errUnknownAccount
	}
	return nil
}

// snapshot writes the frame that answers a subscribe.
func (x *Exchange) snapshot(b []byte, ch channel) []byte {
	const kind = "subscribed"
	m, a := x.byID[ch.market], x.byIndex[ch.account]
	switch ch.family {
	case "height":
		return x.appendHeight(b, kind)
	case "order_book":
		return x.appendBook(b, m)
	case "ticker":
		x.checkTop(m)
		return x.appendTicker(b, m, kind)
	case "trade":
		b = append(append(b, `{"channel":"`...), ch.key...)
		b = m.forced.appendNewest(append(b, `","liquidation_trades":[`...), replayRows)
		b = appendInt(b, `],"nonce":`, x.nonce)
		b = m.recent.appendNewest(append(b, `,"trades":[`...), replayRows)
		return append(b, `],"type":"subscribed/trade"}`...)
	case "market_stats":
		if m == nil {
			return x.appendStatsMap(b, x.markets, kind)
		}
		return x.appendStatsFrame(b, ch.key, m.stats.text, kind)
	case "candle", "mark_price_candle":
		return x.appendCandles(b, m, ch, kind)
	case "account_all":
		return x.appendAccountAll(b, a, ch.key, kind, a.positions, nil)
	case "account_all_positions":
		return x.appendPositionsFrame(b, a, ch.key, kind)
	case "account_all_trades":
		return x.appendTradesFrame(b, a, ch.key, kind, nil)
	case "account_all_assets":
		b = append(append(b, `{"assets":`...), a.appendAssets(nil)...)
		b = append(append(b, `,"channel":"`...), ch.key...)
		b = appendInt(b, `","timestamp":`, x.clock/1000)
		return append(b, `,"type":"subscribed/account_all_assets"}`...)
	case "user_stats":
		return x.appendUserStats(b, a, ch.key, kind)
	case "account_all_orders":
		b = append(append(b, `{"channel":"`...), ch.key...)
		b = x.appendOrderMap(append(b, `","orders":`...), a, nil)
		return append(b, `,"type":"subscribed/account_all_orders"}`...)
	case "account_orders":
		b = appendInt(b, `{"account":`, a.index)
		b = appendInt(b, `,"channel":"account_orders:`, m.id)
		b = appendInt(b, `","nonce":`, x.nonce)
		b = x.appendOrderMap(append(b, `,"orders":`...), a, m)
		return append(b, `,"type":"subscribed/account_orders"}`...)
	}
	// The remaining families have no content here: their frame is the empty state.
	b = append(append(b, `{"channel":"`...), ch.key...)
	b = append(append(b, `","type":"subscribed/`...), ch.family...)
	return append(b, `"}`...)
}

// appendOrderMap writes open orders as a map from market to rows; only nil means every market.
func (x *Exchange) appendOrderMap(b []byte, a *account, only *market) []byte {
	b = append(b, '{')
	first := true
	for _, m := range x.markets {
		if only != nil && m != only {
			continue
		}
		open := false
		for _, o := range a.orders {
			if o.market != m {
				continue
			}
			switch {
			case open:
				b = append(b, ',')
			case first:
				b = append(strconv.AppendInt(append(b, '"'), m.id, 10), `":[`...)
			default:
				b = append(strconv.AppendInt(append(b, `,"`...), m.id, 10), `":[`...)
			}
			open, first = true, false
			b = x.appendOrder(b, o, "")
		}
		if open {
			b = append(b, ']')
		}
	}
	return append(b, '}')
}

// appendOrder writes an order row. The integrator texts are "" in a snapshot and "0" in an update, as recorded.
func (x *Exchange) appendOrder(b []byte, o *order, integrator string) []byte {
	m := o.market
	status := o.ended
	if status == "" {
		status = "open"
	}
	b = appendInt(b, `{"order_index":`, o.index)
	b = appendInt(b, `,"client_order_index":`, o.client)
	b = appendInt(b, `,"order_id":"`, o.index)
	b = appendInt(b, `","client_order_id":"`, o.client)
	b = appendInt(b, `","market_index":`, m.id)
	b = appendInt(b, `,"owner_account_index":`, o.owner.index)
	b = m.appendSize(append(b, `,"initial_base_amount":"`...), o.initial)
	b = m.appendPrice(append(b, `","price":"`...), o.price)
	b = appendInt(b, `","nonce":`, o.index&(1<<48-1))
	b = m.appendSize(append(b, `,"remaining_base_amount":"`...), o.left)
	b = strconv.AppendBool(append(b, `","is_ask":`...), o.side == model.Ask)
	b = appendInt(b, `,"base_size":`, int64(o.left))
	b = appendInt(b, `,"base_price":`, int64(o.price))
	b = m.appendSize(append(b, `,"filled_base_amount":"`...), o.filled)
	b = appendUSD(append(b, `","filled_quote_amount":"`...), worth(o.price, o.filled))
	b = append(b, `","side":"","type":"limit","time_in_force":"post-only","reduce_only":false,"trigger_price":"`...)
	b = num.Append(b, 0, m.priceDecimals())
	b = appendInt(b, `","order_expiry":`, o.expiry)
	b = append(append(b, `,"status":"`...), status...)
	b = append(b, `","trigger_status":"na","trigger_time":0,"parent_order_index":0,"parent_order_id":"0","to_trigger_order_id_0":"0","to_trigger_order_id_1":"0","to_cancel_order_id_0":"0","integrator_fee_collector_index":"`...)
	b = append(append(b, integrator...), `","integrator_taker_fee":"`...)
	b = append(append(b, integrator...), `","integrator_maker_fee":"`...)
	b = append(append(b, integrator...), `","order_flags":0`...)
	b = appendInt(b, `,"block_height":`, x.height())
	b = appendInt(b, `,"timestamp":`, x.clock/1_000_000)
	b = appendInt(b, `,"created_at":`, o.created/1_000_000)
	b = appendInt(b, `,"updated_at":`, x.clock/1_000_000)
	return append(appendInt(b, `,"transaction_time":`, x.clock), '}')
}
