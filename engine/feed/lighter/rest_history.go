package lighter

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// TradePage is the most trades of one call of Trades.
	TradePage = 100
	// CandlePage is the most candles of one call of Candles.
	CandlePage = 500
	// FundingPage is the most settled fundings asked for in one call; clients disagree whether a page holds 100 or 750.
	FundingPage = 100
)

// Trades returns a page of a market's past trades as a history batch ascending by id: the newest ones for an empty cursor,
// else those before the page that gave it. next is empty where the venue has nothing older.
func (r *REST) Trades(ctx context.Context, m *model.Market, cursor string, p feed.Priority) (page model.TradeBatch, next string, err error) {
	query := fmt.Sprintf("?market_id=%d&sort_by=timestamp&limit=%d", m.Native, TradePage)
	if cursor != "" {
		query += "&cursor=" + url.QueryEscape(cursor)
	}
	body, _, err := r.body(ctx, "/api/v1/trades", query, p, weightRecentTrades)
	if err == nil {
		page, err = ParseTrades(body, m)
	}
	if err == nil {
		next, err = nextCursor(body)
	}
	if err != nil {
		return model.TradeBatch{}, "", fmt.Errorf("fetch trades: %w", err)
	}
	return page, next, nil
}

// nextCursor reads the top-level next_cursor.
func nextCursor(body []byte) (string, error) {
	var answer struct {
		Next text `json:"next_cursor"`
	}
	err := decodeJSON(body, &answer)
	return string(answer.Next), err
}

// candleWords are the venue's names of the lengths that are stored.
var candleWords = map[time.Duration]string{time.Minute: "1m", time.Hour: "1h", 24 * time.Hour: "1d"}

// Candles returns the candles of a market that open in [from, to), oldest first. The span must not have more than CandlePage
// of them.
func (r *REST) Candles(ctx context.Context, m *model.Market, resolution time.Duration, from, to model.Millis, p feed.Priority) ([]model.Candle, error) {
	query := fmt.Sprintf("?market_id=%d&resolution=%s&start_timestamp=%d&end_timestamp=%d&count_back=%d",
		m.Native, candleWords[resolution], from, to-1, CandlePage)
	body, _, err := r.body(ctx, "/api/v1/candles", query, p, weightRead)
	if err != nil {
		return nil, fmt.Errorf("fetch candles: %w", err)
	}
	rows, err := ParseCandles(body, m, resolution)
	if err != nil {
		return nil, fmt.Errorf("fetch candles: %w", err)
	}
	return slices.DeleteFunc(rows, func(c model.Candle) bool { return c.Time < from || c.Time >= to }), nil
}

// ParseCandles reads a candles answer, oldest first and each bucket once. The numbers are JSON floats: prices and volumes are
// taken at the market's decimals, money at six, rounded half-even where the text has more.
func ParseCandles(body []byte, m *model.Market, resolution time.Duration) ([]model.Candle, error) {
	var answer struct {
		C []struct {
			// Both cases of a letter are members, and the decoder would take one for the other where only one is there.
			Open        text `json:"o"`
			High        text `json:"h"`
			Low         text `json:"l"`
			Close       text `json:"c"`
			RawOpen     text `json:"O"`
			RawHigh     text `json:"H"`
			RawLow      text `json:"L"`
			RawClose    text `json:"C"`
			Volume      text `json:"v"`
			QuoteVolume text `json:"V"`
			Time        text `json:"t"`
			LastID      text `json:"i"`
		} `json:"c"`
	}
	if err := decodeJSON(bytes.TrimSpace(body), &answer); err != nil {
		return nil, err
	}
	length := model.Millis(resolution.Milliseconds())
	rows := make([]model.Candle, 0, len(answer.C))
	for i := range answer.C {
		c := &answer.C[i]
		at, ok := seconds(c.Time)
		last, ok2 := signed([]byte(cmp.Or(c.LastID, "0")))
		open, err1 := candleNumber(c.Open, m.PriceScale)
		high, err2 := candleNumber(c.High, m.PriceScale)
		low, err3 := candleNumber(c.Low, m.PriceScale)
		closing, err4 := candleNumber(c.Close, m.PriceScale)
		volume, err5 := candleNumber(c.Volume, m.SizeScale)
		quote, err6 := candleNumber(c.QuoteVolume, num.USDScale)
		if !ok || !ok2 || last < 0 || at%length != 0 || cmp.Or(err1, err2, err3, err4, err5, err6) != nil {
			return nil, unexpected("candle")
		}
		if low > min(open, closing) || high < max(open, closing) || low < 0 || volume < 0 || quote < 0 {
			return nil, unexpected("candle")
		}
		if volume == 0 && quote == 0 {
			continue // a bucket without a trade has no candle
		}
		rows = append(rows, model.Candle{
			Resolution: resolution, Time: at, Epoch: m.Epoch, Open: num.Price(open), High: num.Price(high), Low: num.Price(low),
			Close: num.Price(closing), Volume: num.Size(volume), QuoteVolume: num.USD(quote), LastID: uint64(last),
		})
	}
	slices.SortStableFunc(rows, func(a, b model.Candle) int { return cmp.Compare(a.Time, b.Time) })
	return slices.CompactFunc(rows, func(a, b model.Candle) bool { return a.Time == b.Time }), nil
}

// candleNumber reads a number that may have an exponent or more digits than the scale; nothing is 0.
func candleNumber(t text, scale uint8) (int64, error) {
	d, err := loose([]byte(cmp.Or(t, "0")))
	if err != nil {
		return 0, err
	}
	var a num.Acc
	a.AddProduct(d.Mant, 1)
	return a.Round(d.Scale, scale)
}

// FundingRows returns the settled hourly fundings of a market in [from, to), oldest first, in one call. The span must not
// have more than FundingPage hours.
func (r *REST) FundingRows(ctx context.Context, m *model.Market, from, to model.Millis, p feed.Priority) ([]model.Funding, error) {
	query := fmt.Sprintf("?market_id=%d&resolution=1h&start_timestamp=%d&end_timestamp=%d&count_back=%d", m.Native, from, to-1, FundingPage)
	body, _, err := r.body(ctx, "/api/v1/fundings", query, p, weightRead)
	if err != nil {
		return nil, fmt.Errorf("fetch fundings: %w", err)
	}
	rows, err := ParseFundings(body)
	if err != nil {
		return nil, fmt.Errorf("fetch fundings: %w", err)
	}
	// A page may hold more than was asked for.
	rows = slices.DeleteFunc(rows, func(f model.Funding) bool { return f.Time < from || f.Time >= to })
	slices.SortStableFunc(rows, func(a, b model.Funding) int { return cmp.Compare(a.Time, b.Time) })
	return slices.CompactFunc(rows, func(a, b model.Funding) bool { return a.Time == b.Time }), nil
}
