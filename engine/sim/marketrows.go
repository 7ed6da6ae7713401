package sim

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// appendMarkets answers orderBooks and orderBookDetails; id 255 means all.
func appendMarkets(b []byte, markets []*market, id int64, filter string, details bool) ([]byte, *venueError) {
	if filter != "" && filter != "all" && filter != "spot" && filter != "perp" {
		return nil, errInvalidParam
	}
	b = append(b, ok200...)
	if details {
		b = append(b, `,"order_book_details":[`...)
	} else {
		b = append(b, `,"order_books":[`...)
	}
	first := true
	for _, m := range markets {
		if filter == "spot" || id != 255 && m.id != id {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = m.append(b, details)
	}
	b = append(b, ']')
	if details {
		b = append(b, `,"spot_order_book_details":[]`...)
	}
	return append(b, '}'), nil
}

// append writes a market row; the form of details is that of 2026-05 with the members added since.
func (m *market) append(b []byte, details bool) []byte {
	b = model.AppendString(append(b, `{"symbol":`...), m.symbol)
	b = appendInt(b, `,"market_id":`, m.id)
	b = append(b, `,"market_type":"perp","base_asset_id":0,"quote_asset_id":0,"status":"`...)
	if m.inactive {
		b = append(b, `in`...)
	}
	b = append(b, `active","taker_fee":"0.0000","is_taker_fee_enabled":true,"maker_fee":"0.0000","is_maker_fee_enabled":true,"liquidation_fee":"1.0000","min_base_amount":"`...)
	b = append(b, m.minBase...)
	b = append(b, `","min_quote_amount":"10.000000","order_quote_limit":"281474976.710655"`...)
	b = appendInt(b, `,"supported_size_decimals":`, int64(m.sizeDecimals))
	b = appendInt(b, `,"supported_price_decimals":`, int64(m.priceDecimals()))
	b = append(b, `,"supported_quote_decimals":6`...)
	if !details {
		b = appendInt(b, `,"created_at":"`, 1_737_098_461_100+m.id*86_400_000)
		return append(b, `","multiplier":"1.000000000000000000"}`...)
	}
	d := &m.stats.day
	pd := m.priceDecimals()
	b = appendInt(b, `,"size_decimals":`, int64(m.sizeDecimals))
	b = appendInt(b, `,"price_decimals":`, int64(pd))
	b = appendInt(b, `,"quote_multiplier":1,"default_initial_margin_fraction":`, m.initial)
	b = appendInt(b, `,"min_initial_margin_fraction":`, m.smallest)
	b = appendInt(b, `,"maintenance_margin_fraction":`, m.maintenance)
	b = appendInt(b, `,"closeout_margin_fraction":`, m.closeOut)
	b = appendNumber(b, `,"last_trade_price":`, int64(m.last), pd)
	b = appendInt(b, `,"daily_trades_count":`, d.trades)
	b = appendNumber(b, `,"daily_base_token_volume":`, int64(d.base), m.sizeDecimals)
	b = appendNumber(b, `,"daily_quote_token_volume":`, int64(d.quote), num.USDScale)
	b = appendNumber(b, `,"daily_price_low":`, int64(min(d.low, m.last)), pd)
	b = appendNumber(b, `,"daily_price_high":`, int64(max(d.high, m.last)), pd)
	b = appendNumber(b, `,"daily_price_change":`, d.change(m.last), 12)
	b = appendNumber(b, `,"open_interest":`, int64(m.openInterest()), m.sizeDecimals)
	b = appendInt(b, `,"daily_chart":{},"market_config":{"market_margin_mode":0,"insurance_fund_account_index":`, insuranceIndex)
	b = append(b, `,"liquidation_mode":0,"force_reduce_only":false,"trading_hours":"","funding_fee_discounts_enabled":false,"hidden":false,"rfq_enabled":true},"strategy_index":2,"funding_clamp_small":"0.0500","funding_clamp_big":"4.0000","base_interest_rate":"0.0100"`...)
	b = appendInt(b, `,"created_at":"`, 1_737_098_461_100+m.id*86_400_000)
	b = m.appendPrice(append(b, `","multiplier":"1.000000000000000000","mark_price":"`...), m.mark)
	b = m.appendPrice(append(b, `","index_price":"`...), m.index)
	return append(b, `"}`...)
}
