package http

import (
	"cmp"
	"slices"
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	hour         = model.Millis(3_600_000)
	hoursPerYear = 8760
)

var errNoFunding = &model.Error{Code: model.CodeUpstream, Message: "the venue is not followed, there are no funding rates"}

// fundingQuery is what /funding-rates was asked.
type fundingQuery struct {
	market   *model.Market // nil: all
	exchange string        // "all": every one
}

func parseFunding(c *call) (fundingQuery, error) {
	p := c.params()
	q := fundingQuery{
		market:   p.market("market_id"),
		exchange: p.word("exchange", "lighter", "all", "binance", "bybit", "hyperliquid"),
	}
	return q, p.err
}

// isNativeFunding tells whether a call of /funding-rates is the venue's own (contract 9.8, ruling 15): nobody is behind it,
// and it asks for nothing that only we know.
func isNativeFunding(c *call) bool {
	if args := c.ctx.QueryArgs(); !c.server.anonymous || args.Has("market_id") || args.Has("exchange") {
		return false
	}
	r := c.credentials()
	if !ours(r.Bearer) {
		r.Bearer = "" // the venue's own token
	}
	if _, shown := r.Credential(); shown {
		return false
	}
	_, err := c.server.access.Authenticate(r)
	return err != nil
}

// answerFunding answers with a superset (contract 7.3): beside our data stand the members of the venue's own answer.
func answerFunding(c *call, dst []byte, q fundingQuery) ([]byte, meta, error) {
	rates, err := c.fundingRates()
	if err != nil {
		return dst, meta{}, err
	}
	rows := make([]*model.FundingRate, 0, len(rates.Rows))
	for i := range rates.Rows {
		r := &rates.Rows[i]
		if (q.market == nil || q.market.Native == r.Native) && (q.exchange == "all" || q.exchange == r.Exchange) {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b *model.FundingRate) int { return cmp.Compare(a.Native, b.Native) })
	next := (c.clock()/hour + 1) * hour
	dst = append(dst, `{"rates":[`...)
	for i, r := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFundingRate(dst, r, next)
	}
	dst = append(dst, `]},"code":200,"funding_rates":`...)
	return append(dst, rates.Venue...), meta{}, nil
}

func appendFundingRate(dst []byte, r *model.FundingRate, next model.Millis) []byte {
	dst = append(dst, `{"market_id":`...)
	dst = strconv.AppendInt(dst, r.Native, 10)
	dst = append(dst, `,"symbol":`...)
	dst = model.AppendString(dst, r.Symbol)
	dst = append(dst, `,"exchange":`...)
	dst = model.AppendString(dst, r.Exchange)
	dst = append(dst, `,"rate":"`...)
	dst = num.AppendTrim(dst, int64(r.Rate), num.RateScale)
	dst = append(dst, `","annualized_rate":`...)
	var year num.Acc
	year.AddProduct(int64(r.Rate), hoursPerYear)
	if v, err := year.Int64(); err == nil {
		dst = append(num.AppendTrim(append(dst, '"'), v, num.RateScale), '"')
	} else {
		dst = append(dst, "null"...)
	}
	if r.HasPrices {
		dst = r.Mark.Append(append(dst, `,"mark_price":"`...))
		dst = append(r.Index.Append(append(dst, `","index_price":"`...)), '"')
	} else {
		dst = append(dst, `,"mark_price":null,"index_price":null`...)
	}
	dst = append(dst, `,"next_funding_at":`...)
	dst = strconv.AppendInt(dst, int64(next), 10)
	dst = append(dst, `,"updated_at":`...)
	return append(strconv.AppendInt(dst, int64(r.UpdatedAt), 10), '}')
}
