package http

import (
	"context"
	"strconv"

	"hyperlight/engine/exchange"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Exchange tells what concerns the exchange as a whole; *engine.Engine is one.
type Exchange interface {
	// ExchangeStats returns the statistics of a market, or of all where m is nil, from memory.
	ExchangeStats(m *model.Market) ([]exchange.MarketStats, error)
	// ExchangeMetrics returns a series by ascending time. It may ask the venue.
	ExchangeMetrics(ctx context.Context, q exchange.MetricsQuery) ([]exchange.Metric, error)
}

var errNoExchange = &model.Error{Code: model.CodeUpstream, Message: "the venue is not followed, there are no figures of the exchange"}

// exchangeStatsQuery is what /exchange/stats was asked.
type exchangeStatsQuery struct {
	market *model.Market // nil: all
}

func parseExchangeStats(c *call) (exchangeStatsQuery, error) {
	p := c.params()
	q := exchangeStatsQuery{market: p.market("market_id")}
	return q, p.err
}

func answerExchangeStats(c *call, dst []byte, q exchangeStatsQuery) ([]byte, meta, error) {
	rows, err := c.exchangeStats(q.market)
	if err != nil {
		return dst, meta{}, err
	}
	sum, err := exchange.Sum(rows)
	if err != nil {
		return dst, meta{}, err
	}
	dst = appendFigure(append(dst, `{"daily_usd_volume":`...), sum.DailyQuote)
	dst = appendCount(append(dst, `,"daily_trades_count":`...), sum.DailyTrades, sum.HasTrades)
	dst = appendFigure(append(dst, `,"open_interest_usd":`...), sum.OpenInterestUSD)
	dst = strconv.AppendInt(append(dst, `,"market_count":`...), int64(len(rows)), 10)
	dst = append(dst, `,"markets":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMarketStats(dst, &rows[i])
	}
	dst = append(dst, `],"updated_at":`...)
	if sum.UpdatedAt == 0 {
		return append(dst, "null}"...), meta{}, nil
	}
	return append(strconv.AppendInt(dst, int64(sum.UpdatedAt), 10), '}'), meta{}, nil
}

// exchangeStats are the statistics that a handler takes for the current ones.
func (c *call) exchangeStats(m *model.Market) ([]exchange.MarketStats, error) {
	if c.past == nil {
		if c.server.exchange == nil {
			return nil, errNoExchange
		}
		return c.server.exchange.ExchangeStats(m)
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return nil, err
	}
	defer leave()
	markets := []*model.Market{m}
	if m == nil {
		markets = c.server.engine.Markets()
	}
	rows, err := c.past.ExchangeStats(ctx, markets)
	if err == nil && m != nil && len(rows) == 0 {
		err = errNoMarket
	}
	return rows, err
}

func appendMarketStats(dst []byte, r *exchange.MarketStats) []byte {
	dst = strconv.AppendInt(append(dst, `{"market_id":`...), r.Market.Native, 10)
	dst = model.AppendString(append(dst, `,"symbol":`...), r.Market.Symbol)
	if r.Market.Active {
		dst = append(dst, `,"status":"active"`...)
	} else {
		dst = append(dst, `,"status":"inactive"`...)
	}
	dst = appendFigure(append(dst, `,"last_trade_price":`...), r.LastTrade)
	dst = appendFigure(append(dst, `,"mark_price":`...), r.Mark)
	dst = appendFigure(append(dst, `,"index_price":`...), r.Index)
	dst = appendFigure(append(dst, `,"daily_base_token_volume":`...), r.DailyBase)
	dst = appendFigure(append(dst, `,"daily_quote_token_volume":`...), r.DailyQuote)
	dst = appendCount(append(dst, `,"daily_trades_count":`...), r.DailyTrades, r.HasTrades)
	dst = appendFigure(append(dst, `,"daily_price_low":`...), r.DailyLow)
	dst = appendFigure(append(dst, `,"daily_price_high":`...), r.DailyHigh)
	dst = appendFigure(append(dst, `,"daily_price_change":`...), r.DailyChange)
	dst = appendFigure(append(dst, `,"open_interest":`...), r.OpenInterest)
	dst = appendFigure(append(dst, `,"open_interest_usd":`...), r.OpenInterestUSD)
	dst = appendFigure(append(dst, `,"funding_rate":`...), r.FundingRate)
	return append(appendSource(dst, r.Source), '}')
}

func appendSource(dst []byte, s exchange.Source) []byte {
	if s == exchange.Unknown {
		return append(dst, `,"source":null`...)
	}
	return append(append(append(dst, `,"source":"`...), s...), '"')
}

func appendFigure(dst []byte, f exchange.Figure) []byte {
	switch {
	case !f.Known:
		return append(dst, "null"...)
	case f.Trim:
		return append(num.AppendTrim(append(dst, '"'), f.Mant, f.Scale), '"')
	}
	return append(f.Append(append(dst, '"')), '"')
}

func appendCount(dst []byte, n uint64, known bool) []byte {
	if !known {
		return append(dst, "null"...)
	}
	return strconv.AppendUint(dst, n, 10)
}
