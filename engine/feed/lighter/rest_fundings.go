package lighter

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

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
