package lighter

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The encoders write frames exactly as the venue does: member order, digits and white space as recorded. A decoded frame
// encodes to the same events again; a recorded frame decodes and encodes to the same bytes, as far as the events hold
// all of its members.

// AppendBookFrame appends an order_book frame: subscribed for a snapshot, else update. A book without nonces is written
// as the venue did before it had them.
func AppendBookFrame(dst []byte, m *model.Market, epoch uint8, u *model.BookUpdate, t model.Millis) []byte {
	price, size := m.ScaleAt(epoch)
	dst = append(dst, `{"channel":"order_book:`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, '"')
	if u.UpdatedAt != 0 {
		dst = append(dst, `,"last_updated_at":`...)
		dst = strconv.AppendInt(dst, int64(u.UpdatedAt), 10)
	}
	dst = append(dst, `,"offset":`...)
	dst = num.AppendUint(dst, u.Offset)
	dst = append(dst, `,"order_book":{"code":0,"asks":`...)
	dst = appendLevels(dst, u.Asks, price, size)
	dst = append(dst, `,"bids":`...)
	dst = appendLevels(dst, u.Bids, price, size)
	dst = append(dst, `,"offset":`...)
	dst = num.AppendUint(dst, u.Offset)
	if u.Chained {
		dst = append(dst, `,"nonce":`...)
		dst = num.AppendUint(dst, u.Seq)
		dst = append(dst, `,"last_updated_at":`...)
		dst = strconv.AppendInt(dst, int64(u.UpdatedAt), 10)
		dst = append(dst, `,"begin_nonce":`...)
		dst = num.AppendUint(dst, u.Prev)
	}
	dst = append(dst, '}')
	return appendTail(dst, t, "order_book", u.Snapshot)
}

func appendLevels(dst []byte, levels []model.Level, price, size uint8) []byte {
	dst = append(dst, '[')
	for i, l := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = l.AppendObject(dst, price, size)
	}
	return append(dst, ']')
}

// appendTail closes a frame with its time, where it has one, and its type.
func appendTail(dst []byte, t model.Millis, family string, first bool) []byte {
	if t != 0 {
		dst = append(dst, `,"timestamp":`...)
		dst = strconv.AppendInt(dst, int64(t), 10)
	}
	if first {
		dst = append(dst, `,"type":"subscribed/`...)
	} else {
		dst = append(dst, `,"type":"update/`...)
	}
	dst = append(dst, family...)
	return append(dst, `"}`...)
}

// AppendTickerFrame appends a ticker frame; an empty side is a nil level.
func AppendTickerFrame(dst []byte, m *model.Market, epoch uint8, bid, ask *model.Level, nonce uint64, updated model.Micros, t model.Millis, first bool) []byte {
	price, size := m.ScaleAt(epoch)
	side := func(dst []byte, l *model.Level) []byte {
		if l == nil {
			return append(dst, `{"price":"","size":""}`...)
		}
		return l.AppendObject(dst, price, size)
	}
	dst = append(dst, `{"channel":"ticker:`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `","last_updated_at":`...)
	dst = strconv.AppendInt(dst, int64(updated), 10)
	dst = append(dst, `,"nonce":`...)
	dst = num.AppendUint(dst, nonce)
	dst = append(dst, `,"ticker":{"s":`...)
	dst = model.AppendString(dst, m.Symbol)
	dst = side(append(dst, `,"a":`...), ask)
	dst = side(append(dst, `,"b":`...), bid)
	dst = append(dst, `,"last_updated_at":`...)
	dst = strconv.AppendInt(dst, int64(updated), 10)
	dst = append(dst, '}')
	return appendTail(dst, t, "ticker", first)
}

// AppendHeightFrame appends a height frame.
func AppendHeightFrame(dst []byte, height uint64, t model.Millis, first bool) []byte {
	dst = append(dst, `{"channel":"height","height":`...)
	dst = num.AppendUint(dst, height)
	return appendTail(dst, t, "height", first)
}

// AppendConnectedFrame appends the greeting, the first frame of a connection.
func AppendConnectedFrame(dst []byte, session string) []byte {
	dst = append(dst, `{"session_id":`...)
	dst = model.AppendString(dst, session)
	return append(dst, `,"type":"connected"}`...)
}

// AppendPingFrame appends {"type":"ping"}.
func AppendPingFrame(dst []byte) []byte { return append(dst, `{"type":"ping"}`...) }

// AppendPongFrame appends {"type":"pong"}.
func AppendPongFrame(dst []byte) []byte { return append(dst, `{"type":"pong"}`...) }

// AppendErrorFrame appends an error frame.
func AppendErrorFrame(dst []byte, code int, message string) []byte {
	dst = append(dst, `{"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	dst = model.AppendString(dst, message)
	return append(dst, `}}`...)
}

// AppendUnsubscribedFrame appends the answer to an unsubscribe; channel as the venue writes it ("order_book:0"). This
// frame alone has spaces.
func AppendUnsubscribedFrame(dst []byte, channel string) []byte {
	dst = append(dst, `{"type": "unsubscribed", "channel": `...)
	dst = model.AppendString(dst, channel)
	return append(dst, '}')
}

// StatsExtra holds members of a statistics row that model.Stats has no place for; empty ones are left out.
type StatsExtra struct {
	OpenInterestLimit, FundingClampSmall, FundingClampBig, BaseInterestRate string
}

// StatsRow is one market's row of a market_stats frame.
type StatsRow struct {
	Market *model.Market
	Stats  *model.Stats
	Extra  StatsExtra
}

// AppendStatsFrame appends the market_stats frame of one market.
func AppendStatsFrame(dst []byte, r StatsRow, t model.Millis, first bool) []byte {
	dst = append(dst, `{"channel":"market_stats:`...)
	dst = strconv.AppendInt(dst, r.Market.Native, 10)
	dst = append(dst, `","market_stats":`...)
	dst = appendStats(dst, r)
	return appendTail(dst, t, "market_stats", first)
}

// AppendStatsAllFrame appends the market_stats:all frame; the venue writes rows in order of their ids as text.
func AppendStatsAllFrame(dst []byte, rows []StatsRow, t model.Millis, first bool) []byte {
	dst = append(dst, `{"channel":"market_stats:all","market_stats":{`...)
	for i, r := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, r.Market.Native, 10)
		dst = append(dst, `":`...)
		dst = appendStats(dst, r)
	}
	dst = append(dst, '}')
	return appendTail(dst, t, "market_stats", first)
}

// appendStats writes a row. Members that the row has not are left out; rows of 2025 have no symbol.
func appendStats(dst []byte, r StatsRow) []byte {
	s := r.Stats
	dst = append(dst, '{')
	if s.Symbol != "" {
		dst = append(dst, `"symbol":`...)
		dst = model.AppendString(dst, s.Symbol)
		dst = append(dst, ',')
	}
	dst = append(dst, `"market_id":`...)
	dst = strconv.AppendInt(dst, r.Market.Native, 10)
	text := func(bit model.StatsMask, name string, d num.Decimal) {
		if s.Has&bit != 0 {
			dst = d.Append(append(append(dst, name...), '"'))
			dst = append(dst, '"')
		}
	}
	float := func(bit model.StatsMask, name string, d num.Decimal) {
		if s.Has&bit != 0 {
			dst = num.AppendTrim(append(dst, name...), d.Mant, d.Scale)
		}
	}
	rate := func(bit model.StatsMask, name string, v num.Rate) {
		if s.Has&bit != 0 {
			dst = append(appendPercent(append(append(dst, name...), '"'), v), '"')
		}
	}
	extra := func(name, v string) {
		if v != "" {
			dst = model.AppendString(append(dst, name...), v)
		}
	}
	text(model.HasIndex, `,"index_price":`, s.Index)
	text(model.HasMark, `,"mark_price":`, s.Mark)
	text(model.HasMid, `,"mid_price":`, s.Mid)
	text(model.HasBestAsk, `,"best_ask_price":`, s.BestAsk)
	text(model.HasBestBid, `,"best_bid_price":`, s.BestBid)
	text(model.HasOpenInterest, `,"open_interest":`, s.OpenInterest)
	extra(`,"open_interest_limit":`, r.Extra.OpenInterestLimit)
	extra(`,"funding_clamp_small":`, r.Extra.FundingClampSmall)
	extra(`,"funding_clamp_big":`, r.Extra.FundingClampBig)
	text(model.HasLastTrade, `,"last_trade_price":`, s.LastTrade)
	rate(model.HasCurrentFundingRate, `,"current_funding_rate":`, s.CurrentFundingRate)
	rate(model.HasFundingRate, `,"funding_rate":`, s.FundingRate)
	if s.Has&model.HasFundingTime != 0 {
		dst = strconv.AppendInt(append(dst, `,"funding_timestamp":`...), int64(s.FundingTime), 10)
	}
	float(model.HasDailyBase, `,"daily_base_token_volume":`, s.DailyBase)
	float(model.HasDailyQuote, `,"daily_quote_token_volume":`, s.DailyQuote)
	float(model.HasDailyLow, `,"daily_price_low":`, s.DailyLow)
	float(model.HasDailyHigh, `,"daily_price_high":`, s.DailyHigh)
	float(model.HasDailyChange, `,"daily_price_change":`, s.DailyChange)
	extra(`,"base_interest_rate":`, r.Extra.BaseInterestRate)
	return append(dst, '}')
}

// appendPercent writes an hourly fraction as the venue's percent text: four decimals, more only where they count.
func appendPercent(dst []byte, r num.Rate) []byte {
	mant, scale := int64(r), uint8(num.RateScale-2)
	for scale > 4 && mant%10 == 0 {
		mant /= 10
		scale--
	}
	return num.Append(dst, mant, scale)
}
