package past

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// Query returns the decoded value of a member of a native call's query.
type Query = func(name string) (value string, ok bool)

// venueLighter is the venue's number in a model.MarketID.
const venueLighter = 0

// Codes of the venue's refusals.
const (
	codeInvalid   = 20001
	codeNotFound  = 29404
	candlesMost   = 500 // bars in an answer, as at the venue
	recentMost    = 100 // trades in an answer, as at the venue
	fundingsMost  = 750
	secondsBelow  = 100_000_000_000 // smaller times are in seconds
	nativeTimeMax = 5_000_000_000_000
)

// refusal is the venue's form of an error.
type refusal struct {
	code    int
	message string
}

func (r *refusal) Error() string { return r.message }

func invalid(message string) error { return &refusal{codeInvalid, "invalid param : " + message} }

// natives are the calls that are answered, by the last part of their path.
var natives = map[string]func(*View, context.Context, Query) ([]byte, error){
	"orderBooks": (*View).orderBooks, "orderBookDetails": (*View).orderBookDetails, "recentTrades": (*View).recentTrades,
	"candles": (*View).nativeCandles, "fundings": (*View).nativeFundings, "funding-rates": (*View).fundingRates,
	"exchangeStats": (*View).exchangeStats, "currentHeight": (*View).currentHeight, "orderBookOrders": (*View).orderBookOrders,
	"assetDetails": (*View).assetDetails,
}

// Native answers a call of the venue's own, named by what follows /api/v1/, in its form, refusals too, as it would have been answered at the clock. An
// error is one of the store or of ctx.
func (v *View) Native(ctx context.Context, name string, q Query) (status int, body []byte, err error) {
	answer := natives[name]
	if answer == nil {
		return refused(&refusal{codeNotFound, "not recorded: this call has no answer of the past"})
	}
	body, err = answer(v, ctx, q)
	if r, ok := errors.AsType[*refusal](err); ok {
		return refused(r)
	}
	return 200, body, err
}

func refused(r *refusal) (int, []byte, error) {
	b := strconv.AppendInt([]byte(`{"code":`), int64(r.code), 10)
	b = model.AppendString(append(b, `,"message":`...), r.message)
	return 400, append(b, '}'), nil
}

func integer(q Query, name string) (int64, error) {
	text, ok := q(name)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return 0, invalid(name)
	}
	return n, nil
}

func (v *View) market(ctx context.Context, q Query) (*model.Market, error) {
	id, err := integer(q, "market_id")
	if err != nil {
		return nil, err
	}
	m, ok := v.markets.ByNative(venueLighter, id)
	if ok {
		m, ok, err = v.knows(ctx, m)
	}
	if !ok && err == nil {
		err = invalid("market_id")
	}
	return m, err
}

// moment reads a time in seconds or milliseconds.
func moment(q Query, name string) (model.Millis, error) {
	n, err := integer(q, name)
	if err != nil || n < 0 || n > nativeTimeMax {
		return 0, invalid(name)
	}
	if n < secondsBelow {
		n *= 1000
	}
	return model.Millis(n), nil
}

func (v *View) recentTrades(ctx context.Context, q Query) ([]byte, error) {
	m, err := v.market(ctx, q)
	if err != nil {
		return nil, err
	}
	limit, err := integer(q, "limit")
	if err != nil || limit < 1 || limit > recentMost {
		return nil, invalid("limit")
	}
	rows, err := v.lastTrades(ctx, m, int(limit), func(*model.Trade) bool { return true })
	if err != nil {
		return nil, err
	}
	return lighter.AppendRecentTrades(make([]byte, 0, 1100*len(rows)), m, rows), nil
}

// lastTrades returns the newest trades that pass, newest first.
func (v *View) lastTrades(ctx context.Context, m *model.Market, most int, pass func(*model.Trade) bool) ([]model.Trade, error) {
	rows := make([]model.Trade, 0, most)
	for t, err := range v.Trades(ctx, m.ID, history.Span{To: v.now() + clockSkew}, history.TradeQuery{Columns: record.All, Reverse: true}) {
		if err != nil {
			return nil, err
		}
		if pass(t) {
			rows = append(rows, *t)
		}
		if len(rows) == most {
			break
		}
	}
	slices.SortFunc(rows, func(a, b model.Trade) int { return cmp.Compare(b.ID, a.ID) })
	return rows, nil
}

// span reads what candles and fundings ask for: both ends belong to it. A client asks for the latest rows by its own clock,
// which is far ahead of this one: it gets the count_back latest of the clock.
func (v *View) span(q Query, length model.Millis) (from, to model.Millis, err error) {
	if from, err = moment(q, "start_timestamp"); err != nil {
		return 0, 0, err
	}
	if to, err = moment(q, "end_timestamp"); err != nil {
		return 0, 0, err
	}
	if to < from {
		return 0, 0, invalid("end_timestamp")
	}
	if from > v.now() {
		back, err := integer(q, "count_back")
		if err != nil || back < 1 || back > candlesMost {
			back = candlesMost
		}
		from = max(v.now()-model.Millis(back)*length, 0)
	}
	return from, min(to, v.now()), nil
}

// lengths are the venue's resolutions.
var lengths = map[string]time.Duration{
	"1m": time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "30m": 30 * time.Minute, "1h": time.Hour,
	"4h": 4 * time.Hour, "12h": 12 * time.Hour, "1d": 24 * time.Hour, "1w": 7 * 24 * time.Hour,
}

// nativeCandles answers with the newest bars of the range, the running one as it was.
func (v *View) nativeCandles(ctx context.Context, q Query) ([]byte, error) {
	m, err := v.market(ctx, q)
	if err != nil {
		return nil, err
	}
	word, _ := q("resolution")
	length := lengths[word]
	if length == 0 {
		return nil, invalid("resolution")
	}
	if shifted, given := q("set_timestamp_to_end"); given && shifted != "false" {
		return nil, invalid("set_timestamp_to_end is not answered from the record")
	}
	from, to, err := v.span(q, model.Millis(length.Milliseconds()))
	if err != nil {
		return nil, err
	}
	var bars []record.Candle
	for c, err := range v.Candles(ctx, m.ID, length, history.Span{From: from, To: to + 1}, true) {
		if err != nil {
			return nil, err
		}
		if bars = append(bars, c); len(bars) == candlesMost {
			break
		}
	}
	slices.Reverse(bars)
	return lighter.AppendCandles(make([]byte, 0, 64+128*len(bars)), m, word, bars), nil
}

func (v *View) nativeFundings(ctx context.Context, q Query) ([]byte, error) {
	m, err := v.market(ctx, q)
	if err != nil {
		return nil, err
	}
	word, _ := q("resolution")
	if word != "1h" {
		return nil, invalid("resolution: only 1h is recorded")
	}
	from, to, err := v.span(q, hour)
	if err != nil {
		return nil, err
	}
	var rows []model.Funding
	for f, err := range v.Fundings(ctx, m.ID, history.Span{From: from, To: to + 1}) {
		if err != nil {
			return nil, err
		}
		if rows = append(rows, f); len(rows) == fundingsMost {
			break
		}
	}
	return lighter.AppendFundings(nil, word, rows), nil
}

// currentHeight answers with the newest block of a trade: heights themselves are not recorded.
func (v *View) currentHeight(ctx context.Context, _ Query) ([]byte, error) {
	height, err := v.Height(ctx)
	if err != nil {
		return nil, err
	}
	if height == 0 {
		return nil, &refusal{codeNotFound, "not recorded: no trade tells the height of that time"}
	}
	return lighter.AppendHeight(nil, height), nil
}

// heightReach is how far back the trade may lie that tells the block height.
const heightReach = hour

// Height returns the greatest block of the trades of the last hour, 0 where there is none.
func (v *View) Height(ctx context.Context) (height uint64, err error) {
	sp := history.Span{From: v.now() - heightReach, To: v.now() + clockSkew}
	for _, m := range v.markets.All() {
		for t, err := range v.Trades(ctx, m.ID, sp, history.TradeQuery{Columns: record.All, Reverse: true}) {
			if err != nil {
				return 0, err
			}
			height = max(height, t.Block)
			break
		}
	}
	return height, nil
}

// assetDetails answers with no asset: they are not recorded, and clients only look names up in the list.
func (v *View) assetDetails(context.Context, Query) ([]byte, error) {
	return []byte(`{"code":200,"asset_details":[]}`), nil
}

func (v *View) orderBookOrders(context.Context, Query) ([]byte, error) {
	return nil, &refusal{codeNotFound, "not recorded: single resting orders of the past are not held, use /replay/api/v1/orderbook/{market_id}"}
}
