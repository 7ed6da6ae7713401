package lighter

import (
	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

type statsRow struct {
	market *model.Market
	stats  model.Stats
}

// settleStats finishes a frame of one market's statistics, or of many. Rows of markets that the resolver refuses are
// left out: a listing may show up here before the list of markets was read again.
func (d *Decoder) settleStats() {
	s := &d.s
	d.stats = d.stats[:0]
	b := bodyStats
	if d.last.Channel.Family == feed.FamilySpotStats {
		b = bodySpotStats
	}
	if !d.at(b) {
		return
	}
	if !s.begin('{') {
		s.fail(ErrValue, "market_stats")
		return
	}
	if d.last.Channel.Native != feed.All {
		d.statsRow(d.last.Channel.Native)
		return
	}
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			return
		}
		native, ok := signed(name)
		if !ok || len(name) == 0 {
			s.fail(ErrValue, "market_stats")
			return
		}
		if s.null() {
			continue
		}
		if !s.begin('{') {
			s.fail(ErrValue, "market_stats")
			return
		}
		if d.statsRow(native); s.err != nil {
			return
		}
	}
}

// statsRow reads the row whose bracket is open; native is the id that the frame gave outside of it.
func (d *Decoder) statsRow(native int64) {
	s := &d.s
	d.stats = append(d.stats, statsRow{})
	row := &d.stats[len(d.stats)-1]
	x := &row.stats
	from := s.pos - 1         // the bracket
	d.scratch = d.scratch[:0] // the symbol
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			break
		}
		switch string(name) {
		case "symbol":
			d.scratch = append(d.scratch[:0], s.text("symbol")...)
		case "market_id":
			if t := s.text("market_id"); len(t) > 0 {
				if native, ok = signed(t); !ok {
					s.fail(ErrValue, "market_id")
				}
			}
		case "mark_price":
			d.price(x, model.HasMark, &x.Mark)
		case "index_price":
			d.price(x, model.HasIndex, &x.Index)
		case "mid_price":
			d.price(x, model.HasMid, &x.Mid)
		case "last_trade_price":
			d.price(x, model.HasLastTrade, &x.LastTrade)
		case "best_bid_price":
			d.price(x, model.HasBestBid, &x.BestBid)
		case "best_ask_price":
			d.price(x, model.HasBestAsk, &x.BestAsk)
		case "daily_price_low":
			d.price(x, model.HasDailyLow, &x.DailyLow)
		case "daily_price_high":
			d.price(x, model.HasDailyHigh, &x.DailyHigh)
		case "open_interest":
			d.amount(x, model.HasOpenInterest, &x.OpenInterest)
		case "daily_base_token_volume":
			d.amount(x, model.HasDailyBase, &x.DailyBase)
		case "daily_quote_token_volume":
			d.amount(x, model.HasDailyQuote, &x.DailyQuote)
		case "daily_price_change":
			d.amount(x, model.HasDailyChange, &x.DailyChange)
		case "funding_rate":
			d.rate(x, model.HasFundingRate, &x.FundingRate)
		case "current_funding_rate":
			d.rate(x, model.HasCurrentFundingRate, &x.CurrentFundingRate)
		case "funding_timestamp":
			if x.FundingTime = model.Millis(d.integer("funding_timestamp")); x.FundingTime != 0 {
				x.Has |= model.HasFundingTime
			}
		default:
			s.skip(3)
		}
		if s.err != nil {
			return
		}
	}
	if s.err != nil {
		return
	}
	symbol := d.scratch
	m, ok := d.resolver.Market(native)
	if !ok || (len(symbol) > 0 && string(symbol) != m.Symbol) {
		if seen, took := d.resolver.Observe(native, string(symbol), 0, 0); took {
			m, ok = seen, true
		}
	}
	if !ok {
		d.stats = d.stats[:len(d.stats)-1]
		return
	}
	row.market = m
	x.Text = d.rowText(native, s.data[from:s.pos])
	if x.Symbol = m.Symbol; len(symbol) > 0 && string(symbol) != m.Symbol {
		x.Symbol = string(symbol)
	}
}

// rowText returns a row's text; one that says what the last one of its market said shares its memory.
func (d *Decoder) rowText(native int64, row []byte) string {
	text := d.texts[native]
	if text != string(row) {
		text = string(row)
		if d.texts == nil {
			d.texts = map[int64]string{}
		}
		d.texts[native] = text
	}
	return text
}

// settleTicker learns the symbol of a market; a recording may tell it nowhere else.
func (d *Decoder) settleTicker() {
	s := &d.s
	native := d.last.Channel.Native
	if native < 0 || !d.at(bodyTicker) || !s.begin('{') {
		return
	}
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			return
		}
		if string(name) != "s" {
			s.skip(2)
			continue
		}
		symbol := s.text("ticker")
		if m, ok := d.resolver.Market(native); len(symbol) > 0 && (!ok || m.Symbol != string(symbol)) {
			d.resolver.Observe(native, string(symbol), 0, 0)
		}
	}
}

// price reads a price of the statistics; "" and zero mean that there is none.
func (d *Decoder) price(x *model.Stats, bit model.StatsMask, dst *num.Decimal) {
	if d.amount(x, bit, dst); dst.Mant == 0 {
		*dst = num.Decimal{}
		x.Has &^= bit
	}
}

// amount reads a figure; one too large to hold counts as none.
func (d *Decoder) amount(x *model.Stats, bit model.StatsMask, dst *num.Decimal) {
	*dst = num.Decimal{}
	x.Has &^= bit
	b := d.s.text("market_stats")
	if len(b) == 0 {
		return
	}
	v, err := loose(b)
	switch err {
	case nil:
		*dst = v
		x.Has |= bit
	case num.ErrSyntax:
		d.s.fail(ErrValue, "market_stats")
	}
}

func (d *Decoder) rate(x *model.Stats, bit model.StatsMask, dst *num.Rate) {
	*dst = 0
	x.Has &^= bit
	b := d.s.text("funding_rate")
	if len(b) == 0 {
		return
	}
	v, err := hourlyRate(b)
	switch err {
	case nil:
		*dst = v
		x.Has |= bit
	case num.ErrSyntax:
		d.s.fail(ErrValue, "funding_rate")
	}
}
