package relay

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// BenchmarkLocal measures one answer of each call with 230 markets, a full page where there are pages.
func BenchmarkLocal(b *testing.B) {
	const markets = 230
	r := newLocalRig(b, markets)
	details, books, stats, rates := make([]string, markets), make([]string, markets), make([]string, markets), make([]string, 0, 4*markets)
	for i := range markets {
		common := fmt.Sprintf(`{"symbol":"M%d","market_id":%d,"market_type":"perp","base_asset_id":0,"quote_asset_id":0,"status":"active","taker_fee":"0.0000","is_taker_fee_enabled":true,"maker_fee":"0.0000","is_maker_fee_enabled":true,"liquidation_fee":"1.0000","min_base_amount":"0.0050","min_quote_amount":"10.000000","order_quote_limit":"281474976.710655","supported_size_decimals":4,"supported_price_decimals":2,"supported_quote_decimals":6`, i, i)
		books[i] = common + `,"created_at":"1737098461100","multiplier":"1.000000000000000000"}`
		details[i] = common + `,"size_decimals":4,"price_decimals":2,"quote_multiplier":1,"default_initial_margin_fraction":500,"min_initial_margin_fraction":200,"maintenance_margin_fraction":120,"closeout_margin_fraction":80,"last_trade_price":2361.31,"daily_trades_count":428074,"daily_base_token_volume":195399.1521,"daily_quote_token_volume":460664167.955905,"daily_price_low":2313.36,"daily_price_high":2398,"daily_price_change":-0.5215684126709949,"open_interest":27350.8981,"daily_chart":{},"market_config":{"market_margin_mode":0,"insurance_fund_account_index":281474976710655,"liquidation_mode":0,"force_reduce_only":false,"trading_hours":"","funding_fee_discounts_enabled":false,"hidden":false,"rfq_enabled":true},"strategy_index":2}`
		stats[i] = fmt.Sprintf(`{"symbol":"M%d","last_trade_price":2361.31,"daily_trades_count":428074,"daily_base_token_volume":195399.1521,"daily_quote_token_volume":460664167.955905,"daily_price_change":-0.5215684126709949}`, i)
		for _, exchange := range []string{"binance", "bybit", "hyperliquid", "lighter"} {
			rates = append(rates, fmt.Sprintf(`{"market_id":%d,"exchange":"%s","symbol":"M%d","rate":0.00009599999999999999}`, i, exchange, i))
		}
	}
	r.busy(0, 700, 3)
	for range 100 {
		r.clock.Add(3)
		r.trade(0, 250_000, 3)
	}
	r.flush()
	minute := int64(r.millis()) / 60_000 * 60_000
	// The fullest run of minutes with trades in them.
	from, run := int64(0), int64(0)
	with := map[int64]bool{}
	for _, t := range r.trades[0] {
		with[int64(t.Time)/60_000*60_000] = true
	}
	for m, n := int64(localBegin), int64(0); m < minute; m += 60_000 {
		if n++; !with[m] {
			n = 0
		}
		if n > run {
			run, from = n, m-(n-1)*60_000
		}
	}
	for i := range 100 {
		r.tell(0, &model.Funding{Time: localBegin + model.Millis(i-100)*hour, Rate: 4_000_000, Value: num.Decimal{Mant: 92448, Scale: 8}, LongPays: true})
	}
	r.flush()
	r.keep("orderBooks", `{"code":200,"order_books":[`+strings.Join(books, ",")+`]}`)
	r.keep("orderBookDetails", `{"code":200,"order_book_details":[`+strings.Join(details, ",")+`],"spot_order_book_details":[]}`)
	r.keep("exchangeStats", `{"code":200,"total":230,"order_book_stats":[`+strings.Join(stats, ",")+`],"daily_usd_volume":1.5,"daily_trades_count":5}`)
	r.keep("funding-rates", `{"code":200,"funding_rates":[`+strings.Join(rates, ",")+`]}`)
	r.clock.Add(1)
	for i := range markets {
		r.tell(model.MarketID(i), benchStats)
	}
	r.tell(model.NoMarket, &model.Height{Height: 299_820_553})
	for _, bb := range []struct{ name, call, query string }{
		{"orderBooks", "orderBooks", ""}, {"orderBooks/one", "orderBooks", "market_id=7"},
		{"orderBookDetails", "orderBookDetails", ""}, {"orderBookDetails/one", "orderBookDetails", "market_id=7"},
		{"orderBookDetails/changed", "orderBookDetails", ""},
		{"exchangeStats", "exchangeStats", ""}, {"exchangeStats/changed", "exchangeStats", ""},
		{"funding-rates", "funding-rates", ""}, {"currentHeight", "currentHeight", ""},
		{"recentTrades/100", "recentTrades", "market_id=0&limit=100"}, {"recentTrades/1", "recentTrades", "market_id=0&limit=1"},
		{fmt.Sprintf("candles/%d", run), "candles", fmt.Sprintf("market_id=0&resolution=1m&start_timestamp=%d&end_timestamp=%d&count_back=0", from, from+(run-1)*60_000)},
		{"fundings/99", "fundings", fmt.Sprintf("market_id=0&resolution=1h&start_timestamp=%d&end_timestamp=%d&count_back=0", localBegin-99*hour, localBegin-hour)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			q := ParseQuery([]byte(bb.query))
			b.ReportAllocs()
			for b.Loop() {
				if strings.HasSuffix(bb.name, "changed") {
					r.live.changes.Add(1)
				}
				body, ok := r.local.Answer(context.Background(), bb.call, q)
				if !ok {
					b.Fatal("not answered")
				}
				b.SetBytes(int64(len(body)))
			}
		})
	}
}

var benchStats = &model.Stats{
	Has:       model.HasLastTrade | model.HasDailyBase | model.HasDailyQuote | model.HasDailyLow | model.HasDailyHigh | model.HasDailyChange,
	LastTrade: num.Decimal{Mant: 236131, Scale: 2}, DailyBase: num.Decimal{Mant: 1953991521, Scale: 4},
	DailyQuote: num.Decimal{Mant: 460664167955905, Scale: 6}, DailyLow: num.Decimal{Mant: 231336, Scale: 2}, DailyHigh: num.Decimal{Mant: 2398},
	DailyChange: num.Decimal{Mant: -5215684126709949, Scale: 16},
}
