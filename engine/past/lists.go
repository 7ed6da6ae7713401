package past

import (
	"context"
	"strconv"

	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	allMarkets = 255 // the market_id that asks for every market
	typeSpot   = "spot"
	typePerp   = "perp"
	day        = 24 * hour
)

// listed returns the markets that a list asks for, by their ids.
func (v *View) listed(ctx context.Context, q Query) ([]*model.Market, error) {
	id, filter := int64(allMarkets), "all"
	if _, given := q("market_id"); given {
		var err error
		if id, err = integer(q, "market_id"); err != nil {
			return nil, err
		}
	}
	if f, given := q("filter"); given {
		filter = f
	}
	if filter != "all" && filter != typePerp && filter != typeSpot {
		return nil, invalid("filter")
	}
	markets, err := v.Markets(ctx)
	if err != nil {
		return nil, err
	}
	var out []*model.Market
	for _, m := range markets {
		if (id == allMarkets || m.Native == id) && (filter == "all" || filter == kindOf(m)) {
			out = append(out, m)
		}
	}
	if len(out) == 0 && id != allMarkets {
		return nil, invalid("market_id")
	}
	return out, nil
}

// kindOf is a market's type; one of which only the stream was recorded is a perp.
func kindOf(m *model.Market) string {
	if m.Type == typeSpot {
		return typeSpot
	}
	return typePerp
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// appendMarket writes what both lists say of a market, without the closing brace. What the record does not know stands
// as the venue's usual value.
func appendMarket(b []byte, m *model.Market) []byte {
	b = model.AppendString(append(b, `{"symbol":`...), m.Symbol)
	b = strconv.AppendInt(append(b, `,"market_id":`...), m.Native, 10)
	b = append(append(b, `,"market_type":"`...), kindOf(m)...)
	b = append(b, `","base_asset_id":0,"quote_asset_id":0,"status":"active","taker_fee":`...)
	b = model.AppendString(b, or(m.TakerFee, "0.0000"))
	b = model.AppendString(append(b, `,"maker_fee":`...), or(m.MakerFee, "0.0000"))
	b = model.AppendString(append(b, `,"liquidation_fee":`...), or(m.LiquidationFee, "1.0000"))
	b = model.AppendString(append(b, `,"min_base_amount":`...), or(m.MinBaseAmount, string(num.Append(nil, 1, m.SizeScale))))
	b = model.AppendString(append(b, `,"min_quote_amount":`...), or(m.MinQuoteAmount, string(num.Append(nil, 1, num.USDScale))))
	b = strconv.AppendInt(append(b, `,"order_quote_limit":"","supported_size_decimals":`...), int64(m.SizeScale), 10)
	b = strconv.AppendInt(append(b, `,"supported_price_decimals":`...), int64(m.PriceScale), 10)
	return strconv.AppendInt(append(b, `,"supported_quote_decimals":`...), num.USDScale, 10)
}

func (v *View) orderBooks(ctx context.Context, q Query) ([]byte, error) {
	markets, err := v.listed(ctx, q)
	if err != nil {
		return nil, err
	}
	b := []byte(`{"code":200,"order_books":[`)
	for i, m := range markets {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendMarket(b, m), '}')
	}
	return append(b, "]}"...), nil
}

func (v *View) orderBookDetails(ctx context.Context, q Query) ([]byte, error) {
	markets, err := v.listed(ctx, q)
	if err != nil {
		return nil, err
	}
	b := []byte(`{"code":200,"order_book_details":[`)
	for _, kind := range []string{typePerp, typeSpot} {
		if kind == typeSpot {
			b = append(b, `],"spot_order_book_details":[`...)
		}
		first := true
		for _, m := range markets {
			if kindOf(m) != kind {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			if b, err = v.appendDetails(ctx, b, m); err != nil {
				return nil, err
			}
		}
	}
	return append(b, "]}"...), nil
}

func (v *View) appendDetails(ctx context.Context, b []byte, m *model.Market) ([]byte, error) {
	f, err := v.figures(ctx, m)
	if err != nil {
		return nil, err
	}
	b = appendMarket(b, m)
	b = strconv.AppendInt(append(b, `,"size_decimals":`...), int64(m.SizeScale), 10)
	b = strconv.AppendInt(append(b, `,"price_decimals":`...), int64(m.PriceScale), 10)
	if kindOf(m) == typePerp {
		b = strconv.AppendInt(append(b, `,"quote_multiplier":1,"default_initial_margin_fraction":`...), int64(m.DefaultInitialMargin), 10)
		b = strconv.AppendInt(append(b, `,"min_initial_margin_fraction":`...), int64(m.MinInitialMargin), 10)
		b = strconv.AppendInt(append(b, `,"maintenance_margin_fraction":`...), int64(m.MaintenanceMargin), 10)
		b = strconv.AppendInt(append(b, `,"closeout_margin_fraction":`...), int64(m.CloseOutMargin), 10)
	}
	b = f.append(b)
	b = appendFloat(append(b, `,"daily_price_low":`...), f.stats.DailyLow)
	b = appendFloat(append(b, `,"daily_price_high":`...), f.stats.DailyHigh)
	b = append(b, `,"daily_chart":{}`...)
	if kindOf(m) == typePerp {
		b = appendFloat(append(b, `,"open_interest":`...), openBase(&f.stats, m.SizeScale))
		b = append(f.stats.Mark.Append(append(b, `,"mark_price":"`...)), '"')
		b = append(f.stats.Index.Append(append(b, `,"index_price":"`...)), '"')
	}
	return append(b, '}'), nil
}

// openBase is the open interest in units of base, which statistics tell in money: 0 without a price.
func openBase(s *model.Stats, scale uint8) num.Decimal {
	if s.Mark.Mant <= 0 || s.Mark.Scale > num.MaxScale {
		return num.Decimal{}
	}
	var a num.Acc
	a.AddProduct(s.OpenInterest.Mant, num.Pow10(s.Mark.Scale))
	mant, err := a.DivRound(s.Mark.Mant, s.OpenInterest.Scale, scale)
	if err != nil {
		return num.Decimal{}
	}
	return num.Decimal{Mant: mant, Scale: scale}
}

func appendFloat(b []byte, d num.Decimal) []byte { return num.AppendTrim(b, d.Mant, d.Scale) }

// figures are a market's statistics of the last day.
type figures struct {
	stats  model.Stats
	trades uint64
}

func (v *View) figures(ctx context.Context, m *model.Market) (f figures, err error) {
	s, err := v.LastStats(ctx, m.ID)
	if err != nil {
		return f, err
	}
	if s != nil {
		f.stats = s.Stats
	}
	f.trades, _, err = v.CountTrades(ctx, m.ID, history.Span{From: v.now() - day, To: v.now()})
	return f, err
}

// append writes the figures that both lists of them have.
func (f *figures) append(b []byte) []byte {
	b = appendFloat(append(b, `,"last_trade_price":`...), f.stats.LastTrade)
	b = strconv.AppendUint(append(b, `,"daily_trades_count":`...), f.trades, 10)
	b = appendFloat(append(b, `,"daily_base_token_volume":`...), f.stats.DailyBase)
	b = appendFloat(append(b, `,"daily_quote_token_volume":`...), f.stats.DailyQuote)
	return appendFloat(append(b, `,"daily_price_change":`...), f.stats.DailyChange)
}

func (v *View) exchangeStats(ctx context.Context, _ Query) ([]byte, error) {
	markets, err := v.Markets(ctx)
	if err != nil {
		return nil, err
	}
	b := []byte(`{"code":200,"total":`)
	var rows []byte
	var n, trades int64
	var volume num.Decimal
	for _, m := range markets {
		f, err := v.figures(ctx, m)
		if err != nil {
			return nil, err
		}
		if n++; n > 1 {
			rows = append(rows, ',')
		}
		rows = model.AppendString(append(rows, `{"symbol":`...), m.Symbol)
		rows = append(f.append(rows), '}')
		trades += int64(f.trades)
		quote, err := exchange.Money(f.stats.DailyQuote)
		if err == nil {
			quote.Mant, err = num.Rescale(quote.Mant, quote.Scale, num.USDScale)
		}
		if err == nil {
			volume = num.Decimal{Mant: volume.Mant + quote.Mant, Scale: num.USDScale}
		}
	}
	b = append(append(strconv.AppendInt(b, n, 10), `,"order_book_stats":[`...), rows...)
	b = appendFloat(append(b, `],"daily_usd_volume":`...), volume)
	return append(strconv.AppendInt(append(b, `,"daily_trades_count":`...), trades, 10), '}'), nil
}

// lookBack is how far back the last statistics of a market are looked for, in steps: rows are read forward.
var lookBack = []model.Millis{minute, 10 * minute, hour, day}

// LastStats returns the last statistics of a market that had been received, nil where there are none of the last day.
func (v *View) LastStats(ctx context.Context, m model.MarketID) (*history.StatsRow, error) {
	to := v.now()
	for _, back := range lookBack {
		var last *history.StatsRow
		for row, err := range v.Stats(ctx, m, history.Span{From: max(v.now()-back, 0), To: to}) {
			if err != nil {
				return nil, err
			}
			kept := *row
			last = &kept
		}
		if last != nil {
			return last, nil
		}
		to = max(v.now()-back, 0)
	}
	return nil, nil
}

// eightHours turns an hourly rate into the form of funding-rates.
const eightHours = 8

// FundingRates returns the rates of the running hour that the venue had told, and the same in its own form.
func (v *View) FundingRates(ctx context.Context) (*model.FundingRates, error) {
	markets, err := v.Markets(ctx)
	if err != nil {
		return nil, err
	}
	out := &model.FundingRates{Venue: []byte{'['}}
	for _, m := range markets {
		if kindOf(m) != typePerp {
			continue
		}
		row, err := v.LastStats(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		if row == nil || row.Stats.Has&(model.HasCurrentFundingRate|model.HasFundingRate) == 0 {
			continue
		}
		s := &row.Stats
		r := model.FundingRate{Native: m.Native, Symbol: m.Symbol, Exchange: "lighter", Rate: s.CurrentFundingRate,
			Mark: s.Mark, Index: s.Index, UpdatedAt: row.Time}
		if s.Has&model.HasCurrentFundingRate == 0 {
			r.Rate = s.FundingRate
		}
		r.HasPrices = s.Has&(model.HasMark|model.HasIndex) == model.HasMark|model.HasIndex
		if len(out.Rows) > 0 {
			out.Venue = append(out.Venue, ',')
		}
		out.Rows = append(out.Rows, r)
		out.Venue = strconv.AppendInt(append(out.Venue, `{"market_id":`...), m.Native, 10)
		out.Venue = model.AppendString(append(out.Venue, `,"exchange":"lighter","symbol":`...), m.Symbol)
		out.Venue = append(num.AppendTrim(append(out.Venue, `,"rate":`...), int64(r.Rate)*eightHours, num.RateScale), '}')
	}
	out.Venue = append(out.Venue, ']')
	return out, nil
}

func (v *View) fundingRates(ctx context.Context, _ Query) ([]byte, error) {
	rates, err := v.FundingRates(ctx)
	if err != nil {
		return nil, err
	}
	b := append([]byte(`{"code":200,"funding_rates":`), rates.Venue...)
	return append(b, '}'), nil
}
