package ws

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/replay"
)

// statsMember is a member of a market_stats object: the venue's name, and where the value stands.
type statsMember struct {
	name string
	has  model.StatsMask
	get  func(*model.Stats) num.Decimal
}

// statsMembers are the members that are decimal texts, in the venue's order.
var statsMembers = []statsMember{
	{"index_price", model.HasIndex, func(s *model.Stats) num.Decimal { return s.Index }},
	{"mark_price", model.HasMark, func(s *model.Stats) num.Decimal { return s.Mark }},
	{"mid_price", model.HasMid, func(s *model.Stats) num.Decimal { return s.Mid }},
	{"best_ask_price", model.HasBestAsk, func(s *model.Stats) num.Decimal { return s.BestAsk }},
	{"best_bid_price", model.HasBestBid, func(s *model.Stats) num.Decimal { return s.BestBid }},
	{"open_interest", model.HasOpenInterest, func(s *model.Stats) num.Decimal { return s.OpenInterest }},
	{"last_trade_price", model.HasLastTrade, func(s *model.Stats) num.Decimal { return s.LastTrade }},
	{"daily_base_token_volume", model.HasDailyBase, func(s *model.Stats) num.Decimal { return s.DailyBase }},
	{"daily_quote_token_volume", model.HasDailyQuote, func(s *model.Stats) num.Decimal { return s.DailyQuote }},
	{"daily_price_low", model.HasDailyLow, func(s *model.Stats) num.Decimal { return s.DailyLow }},
	{"daily_price_high", model.HasDailyHigh, func(s *model.Stats) num.Decimal { return s.DailyHigh }},
	{"daily_price_change", model.HasDailyChange, func(s *model.Stats) num.Decimal { return s.DailyChange }},
}

// appendStats writes a row of statistics: the venue's names, decimals as text, rates as hourly fractions, and only the
// members that the venue sent.
func appendStats(b []byte, m *model.Market, s *model.Stats, recv model.Micros) []byte {
	b = append(b, `{"market_id":`...)
	b = strconv.AppendInt(b, m.Native, 10)
	b = append(b, `,"symbol":`...)
	b = model.AppendString(b, m.Symbol)
	for i := range statsMembers {
		if x := &statsMembers[i]; s.Has&x.has != 0 {
			b = appendDecimal(b, x.name, x.get(s))
		}
	}
	if s.Has&model.HasCurrentFundingRate != 0 {
		b = appendRate(b, "current_funding_rate", s.CurrentFundingRate)
	}
	if s.Has&model.HasFundingRate != 0 {
		b = appendRate(b, "funding_rate", s.FundingRate)
	}
	if s.Has&model.HasFundingTime != 0 {
		b = append(b, `,"funding_timestamp":`...)
		b = appendInt(b, s.FundingTime)
	}
	b = append(b, `,"recv_ts":`...)
	return append(appendRecv(b, recv), '}')
}

func appendDecimal(b []byte, name string, d num.Decimal) []byte {
	b = append(append(append(b, `,"`...), name...), `":"`...)
	return append(d.Append(b), '"')
}

func appendRate(b []byte, name string, r num.Rate) []byte {
	b = append(append(append(b, `,"`...), name...), `":"`...)
	return append(num.AppendTrim(b, int64(r), num.RateScale), '"')
}

// appendFunding writes a settled funding row as /funding-rates/history does, with its market.
func appendFunding(b []byte, m *model.Market, f *model.Funding) []byte {
	b = append(b, `{"market_id":`...)
	b = strconv.AppendInt(b, m.Native, 10)
	b = append(b, `,"symbol":`...)
	b = model.AppendString(b, m.Symbol)
	b = append(b, `,"timestamp":`...)
	b = appendInt(b, f.Time)
	b = appendRate(b, "rate", f.Rate)
	b = appendDecimal(b, "value", f.Value)
	if f.Rate >= 0 {
		return append(b, `,"direction":"long"}`...)
	}
	return append(b, `,"direction":"short"}`...)
}

// appendLiveRow writes the frame of an event that has no channel of /ws, in the form that the channels have, without its
// last brace: the type is named after the channel, and so is the member that holds the object.
func appendLiveRow(b []byte, name string, ev *replay.Event, seq uint64) []byte {
	kind := ev.Kind.String()
	b = append(b, `{"type":"`...)
	b = append(b, kind...)
	b = append(b, `_update","channel":"`...)
	b = append(b, name...)
	b = append(b, `","`...)
	b = append(b, kind...)
	b = append(b, `":`...)
	if ev.Kind == replay.Stats {
		b = appendStats(b, ev.Market, ev.Stats, ev.TS)
	} else {
		b = appendFunding(b, ev.Market, ev.Funding)
	}
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"timestamp":`...)
	return append(appendInt(b, ev.TS.Millis()), '}')
}
