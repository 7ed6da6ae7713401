package lighter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// text is a scalar that may come as text, as a number or not at all.
type text string

// UnmarshalJSON keeps a number's own spelling; null is empty.
func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		*t = ""
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case b[0] == '{' || b[0] == '[':
		return errors.New("expected a scalar")
	default:
		*t = text(b)
	}
	return nil
}

func decodeJSON(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return &feed.UpstreamError{Reason: "an answer of an unexpected shape"}
	}
	return nil
}

// seconds reads a time in seconds; the venue mixes units, and nothing of it is older than 1973 in milliseconds.
func seconds(t text) (model.Millis, bool) {
	v, ok := signed([]byte(t))
	if v < 100_000_000_000 {
		v *= 1000
	}
	return model.Millis(v), ok && v > 0
}

type marketRow struct {
	Symbol                 text `json:"symbol"`
	MarketID               text `json:"market_id"`
	MarketType             text `json:"market_type"`
	Status                 text `json:"status"`
	TakerFee               text `json:"taker_fee"`
	MakerFee               text `json:"maker_fee"`
	LiquidationFee         text `json:"liquidation_fee"`
	MinBaseAmount          text `json:"min_base_amount"`
	MinQuoteAmount         text `json:"min_quote_amount"`
	SizeDecimals           text `json:"size_decimals"`
	PriceDecimals          text `json:"price_decimals"`
	SupportedSizeDecimals  text `json:"supported_size_decimals"`
	SupportedPriceDecimals text `json:"supported_price_decimals"`
	DefaultInitialMargin   text `json:"default_initial_margin_fraction"`
	MinInitialMargin       text `json:"min_initial_margin_fraction"`
	MaintenanceMargin      text `json:"maintenance_margin_fraction"`
	CloseOutMargin         text `json:"closeout_margin_fraction"`
	DailyQuoteVolume       text `json:"daily_quote_token_volume"`
}

// ParseMarkets reads an orderBookDetails or an orderBooks answer. Rows without an id or without decimals are left out;
// an answer without any usable row is an error.
func ParseMarkets(body []byte) ([]model.Market, error) {
	var answer struct {
		Perps  []marketRow `json:"order_book_details"`
		Spots  []marketRow `json:"spot_order_book_details"`
		Simple []marketRow `json:"order_books"`
	}
	if err := decodeJSON(body, &answer); err != nil {
		return nil, err
	}
	var markets []model.Market
	add := func(rows []marketRow, kind string) {
		for _, row := range rows {
			if m, ok := row.market(kind); ok {
				markets = append(markets, m)
			}
		}
	}
	add(answer.Perps, "perp")
	add(answer.Spots, "spot")
	add(answer.Simple, "")
	if len(markets) == 0 {
		return nil, unexpected("market")
	}
	return markets, nil
}

// market turns a row into a market; kind is used where the row names none. The index of ids from 2^23 up is given by
// the registry: until then they are model.NoMarket.
func (r *marketRow) market(kind string) (model.Market, bool) {
	native, ok := signed([]byte(r.MarketID))
	price, ok2 := scale(cmp.Or(r.PriceDecimals, r.SupportedPriceDecimals))
	size, ok3 := scale(cmp.Or(r.SizeDecimals, r.SupportedSizeDecimals))
	if r.MarketID == "" || !ok || !ok2 || !ok3 || native < 0 {
		return model.Market{}, false
	}
	id := model.NoMarket
	if native < 1<<23 {
		id = model.MarketID(native)
	}
	m := model.Market{
		ID: id, Native: native, Symbol: string(r.Symbol), Type: string(cmp.Or(r.MarketType, text(kind))),
		Active: r.Status == "active", PriceScale: price, SizeScale: size, Scales: []model.Scale{{Price: price, Size: size}},
		DefaultInitialMargin: fraction(r.DefaultInitialMargin), MinInitialMargin: fraction(r.MinInitialMargin),
		MaintenanceMargin: fraction(r.MaintenanceMargin), CloseOutMargin: fraction(r.CloseOutMargin),
		TakerFee: string(r.TakerFee), MakerFee: string(r.MakerFee), LiquidationFee: string(r.LiquidationFee),
		MinBaseAmount: string(r.MinBaseAmount), MinQuoteAmount: string(r.MinQuoteAmount),
	}
	if d, err := loose([]byte(r.DailyQuoteVolume)); err == nil {
		var a num.Acc
		a.AddProduct(d.Mant, 1)
		if v, err := a.Round(d.Scale, num.USDScale); err == nil {
			m.DailyQuoteVolume = num.USD(v)
		}
	}
	return m, true
}

func scale(t text) (uint8, bool) {
	v, ok := signed([]byte(t))
	return uint8(v), ok && t != "" && v >= 0 && v <= num.MaxScale
}

func fraction(t text) int32 {
	v, ok := signed([]byte(t))
	if !ok || int64(int32(v)) != v {
		return 0
	}
	return int32(v)
}

// Markets lists all markets, perp and spot. Where the detailed list is refused, the plain one serves, without margins
// and volumes.
func (r *REST) Markets(ctx context.Context) ([]model.Market, error) {
	name := "orderBookDetails"
	body, _, err := r.body(ctx, "/api/v1/"+name, "?filter=all", feed.Refresh, weightRead)
	if ue := (*feed.UpstreamError)(nil); errors.As(err, &ue) && ue.Status != 0 && ue.Status < 500 && ue.Status != 429 {
		name = "orderBooks"
		body, _, err = r.body(ctx, "/api/v1/"+name, "", feed.Refresh, weightRead)
	}
	if err != nil {
		return nil, fmt.Errorf("list markets: %w", err)
	}
	markets, err := ParseMarkets(body)
	if err != nil {
		return nil, fmt.Errorf("list markets: %w", err)
	}
	if r.o.Keep != nil {
		r.o.Keep(name, body)
	}
	return markets, nil
}

// Refresh calls one of the venue's reads that need no parameters, for instance "funding-rates", and hands the answer to
// the Keep of the options.
func (r *REST) Refresh(ctx context.Context, name string) error {
	body, _, err := r.body(ctx, "/api/v1/"+name, "", feed.Refresh, weightRead)
	if err != nil {
		return fmt.Errorf("refresh %s: %w", name, err)
	}
	if r.o.Keep != nil {
		r.o.Keep(name, body)
	}
	return nil
}

// known is a Resolver of one market that never changes.
type known struct{ m *model.Market }

func (k known) Market(int64) (*model.Market, bool)                        { return k.m, true }
func (k known) Observe(int64, string, uint8, uint8) (*model.Market, bool) { return nil, false }

// RecentTrades returns the last trades of a market, at most 100, as a history batch ascending by id.
func (r *REST) RecentTrades(ctx context.Context, m *model.Market, limit int) (model.TradeBatch, error) {
	query := fmt.Sprintf("?market_id=%d&limit=%d", m.Native, min(max(limit, 1), 100))
	body, _, err := r.body(ctx, "/api/v1/recentTrades", query, feed.Refresh, weightRecentTrades)
	if err != nil {
		return model.TradeBatch{}, fmt.Errorf("fetch recent trades: %w", err)
	}
	b, err := ParseTrades(body, m)
	if err != nil {
		return model.TradeBatch{}, fmt.Errorf("fetch recent trades: %w", err)
	}
	return b, nil
}

// ParseTrades reads a recentTrades or a trades answer.
func ParseTrades(body []byte, m *model.Market) (model.TradeBatch, error) {
	d := NewDecoder(known{m})
	d.s.reset(body)
	d.market = m
	if !d.s.begin('{') {
		d.s.fail(ErrMalformed, "expected an object")
	}
	for first := true; d.s.err == nil; first = false {
		name, ok := d.s.member(first)
		if !ok {
			break
		}
		if string(name) == "trades" {
			d.later(bodyTrades)
		} else {
			d.s.skip(1)
		}
	}
	if d.s.end() {
		d.readTrades(0)
		d.widen()
		d.finishTrades()
	}
	if d.s.err != nil {
		return model.TradeBatch{}, &feed.UpstreamError{Reason: "damaged trades", Err: d.s.err}
	}
	return model.TradeBatch{Rows: d.batch.Rows, History: true, REST: true}, nil
}

// fundingPage is the span of one fundings call; clients disagree whether a page holds 100 or 750 rows.
const fundingPage = model.Millis(100 * 3600 * 1000)

// Fundings returns the settled hourly fundings of a market in [from, to], oldest first. It takes one call for each 100
// hours.
func (r *REST) Fundings(ctx context.Context, m *model.Market, from, to model.Millis) ([]model.Funding, error) {
	var all []model.Funding
	for from <= to {
		end := min(from+fundingPage-1, to)
		query := fmt.Sprintf("?market_id=%d&resolution=1h&start_timestamp=%d&end_timestamp=%d&count_back=%d", m.Native, from, end, (end-from)/3_600_000+1)
		body, _, err := r.body(ctx, "/api/v1/fundings", query, feed.Backfill, weightRead)
		if err != nil {
			return nil, fmt.Errorf("fetch fundings: %w", err)
		}
		rows, err := ParseFundings(body)
		if err != nil {
			return nil, fmt.Errorf("fetch fundings: %w", err)
		}
		for _, row := range rows {
			// A page may hold more than was asked for.
			if row.Time >= from && row.Time <= end {
				all = append(all, row)
			}
		}
		from = end + 1
	}
	slices.SortStableFunc(all, func(a, b model.Funding) int { return cmp.Compare(a.Time, b.Time) })
	return slices.CompactFunc(all, func(a, b model.Funding) bool { return a.Time == b.Time }), nil
}

// ParseFundings reads a fundings answer in its own order. The rate is percent per hour, without a sign; direction names
// the side that pays.
func ParseFundings(body []byte) ([]model.Funding, error) {
	var answer struct {
		Fundings []struct {
			Timestamp text `json:"timestamp"`
			Value     text `json:"value"`
			Rate      text `json:"rate"`
			Direction text `json:"direction"`
		} `json:"fundings"`
	}
	if err := decodeJSON(body, &answer); err != nil {
		return nil, err
	}
	rows := make([]model.Funding, 0, len(answer.Fundings))
	for _, f := range answer.Fundings {
		at, ok := seconds(f.Timestamp)
		rate, err := hourlyRate([]byte(cmp.Or(f.Rate, "0")))
		value, err2 := loose([]byte(cmp.Or(f.Value, "0")))
		if !ok || err != nil || err2 != nil {
			return nil, unexpected("funding row")
		}
		row := model.Funding{Time: at, Rate: rate, Value: value, LongPays: f.Direction == "long" || f.Direction == "" && rate > 0}
		if row.LongPays != (rate > 0) && f.Direction != "" {
			row.Rate = -rate
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// FundingRate is an exchange's current funding rate of a market.
type FundingRate struct {
	Native   int64
	Exchange string // "lighter", "binance", "bybit", "hyperliquid"
	Symbol   string
	Rate     num.Rate // hourly fraction
}

// FundingRates returns the current rates of all markets and exchanges.
func (r *REST) FundingRates(ctx context.Context) ([]FundingRate, error) {
	body, _, err := r.body(ctx, "/api/v1/funding-rates", "", feed.Refresh, weightRead)
	if err != nil {
		return nil, fmt.Errorf("fetch funding rates: %w", err)
	}
	rates, err := ParseFundingRates(body)
	if err != nil {
		return nil, fmt.Errorf("fetch funding rates: %w", err)
	}
	return rates, nil
}

// ParseFundingRates reads a funding-rates answer, whose rates are fractions per 8 hours.
func ParseFundingRates(body []byte) ([]FundingRate, error) {
	var answer struct {
		Rates []struct {
			MarketID text `json:"market_id"`
			Exchange text `json:"exchange"`
			Symbol   text `json:"symbol"`
			Rate     text `json:"rate"`
		} `json:"funding_rates"`
	}
	if err := decodeJSON(body, &answer); err != nil {
		return nil, err
	}
	rates := make([]FundingRate, 0, len(answer.Rates))
	for _, f := range answer.Rates {
		native, ok := signed([]byte(f.MarketID))
		d, err := loose([]byte(cmp.Or(f.Rate, "0")))
		if !ok || err != nil {
			return nil, unexpected("funding rate")
		}
		var a num.Acc
		a.AddProduct(d.Mant, 1)
		rate, err := a.DivRound(8, d.Scale, num.RateScale)
		if err != nil {
			return nil, unexpected("funding rate")
		}
		rates = append(rates, FundingRate{Native: native, Exchange: string(f.Exchange), Symbol: string(f.Symbol), Rate: num.Rate(rate)})
	}
	return rates, nil
}

// OrderBook returns the best levels of a market, best first, summed from at most 250 orders a side; the deepest level
// may be partial. The answer has no place in the stream's chain: it never repairs a book.
func (r *REST) OrderBook(ctx context.Context, m *model.Market) (bids, asks []model.Level, err error) {
	query := fmt.Sprintf("?market_id=%d&limit=250", m.Native)
	body, _, err := r.body(ctx, "/api/v1/orderBookOrders", query, feed.Refresh, weightRead)
	if err == nil {
		bids, asks, err = ParseOrders(body, m)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("fetch order book: %w", err)
	}
	return bids, asks, nil
}

// ParseOrders reads an orderBookOrders answer and sums the orders of each price.
func ParseOrders(body []byte, m *model.Market) (bids, asks []model.Level, err error) {
	rows, _, err := ParseOrderRows(body, m)
	if err != nil {
		return nil, nil, err
	}
	var sides [2][]model.Level
	for s := range rows {
		levels := make([]model.Level, 0, len(rows[s]))
		for _, o := range rows[s] {
			if n := len(levels); n > 0 && levels[n-1].Price == o.Price {
				levels[n-1].Size += o.Size
			} else {
				levels = append(levels, model.Level{Price: o.Price, Size: o.Size})
			}
		}
		sides[s] = levels
	}
	return sides[model.Bid], sides[model.Ask], nil
}
