package export

import (
	"strconv"

	"hyperlight/engine/num"
)

// textColumn is a column as text.
type textColumn[T any] struct {
	name   string
	quoted bool // a text in JSON too
	append func([]byte, *T) []byte
}

func columnsOf[T Row[T]]() []textColumn[T] {
	var zero T
	var columns any
	switch any(zero).(type) {
	case Trade:
		columns = tradeColumns
	case Candle:
		columns = candleColumns
	case FundingRate:
		columns = fundingColumns
	case Snapshot:
		columns = snapshotColumns
	case BookUpdate:
		columns = updateColumns
	case Gap:
		columns = gapColumns
	}
	return columns.([]textColumn[T])
}

func whole[T any](name string, of func(*T) int64) textColumn[T] {
	return textColumn[T]{name, false, func(dst []byte, r *T) []byte { return strconv.AppendInt(dst, of(r), 10) }}
}

// some is a column in which 0 stands for nothing.
func some[T any](name string, of func(*T) int64) textColumn[T] {
	return textColumn[T]{name, false, func(dst []byte, r *T) []byte {
		if v := of(r); v != 0 {
			dst = strconv.AppendInt(dst, v, 10)
		}
		return dst
	}}
}

func words[T any](name string, of func(*T) string) textColumn[T] {
	return textColumn[T]{name, true, func(dst []byte, r *T) []byte { return append(dst, of(r)...) }}
}

func truth[T any](name string, of func(*T) bool) textColumn[T] {
	return textColumn[T]{name, false, func(dst []byte, r *T) []byte { return strconv.AppendBool(dst, of(r)) }}
}

func exact[T any](name string, of func(*T) int64) textColumn[T] {
	return textColumn[T]{name, true, func(dst []byte, r *T) []byte { return appendDecimal(dst, of(r), decimalScale) }}
}

// someExact is exact, of a column in which 0 stands for nothing.
func someExact[T any](name string, of func(*T) int64) textColumn[T] {
	return textColumn[T]{name, true, func(dst []byte, r *T) []byte {
		if v := of(r); v != 0 {
			dst = appendDecimal(dst, v, decimalScale)
		}
		return dst
	}}
}

// levels is a side of a book: [["price","size"],...].
func levels(name string, of func(*Snapshot) []Level) textColumn[Snapshot] {
	return textColumn[Snapshot]{name, false, func(dst []byte, r *Snapshot) []byte {
		dst = append(dst, '[')
		for i, l := range of(r) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendDecimal(append(dst, `["`...), l.Price, decimalScale)
			dst = appendDecimal(append(dst, `","`...), l.Size, decimalScale)
			dst = append(dst, `"]`...)
		}
		return append(dst, ']')
	}}
}

// appendDecimal appends a column's number without the zeros that only its scale adds.
func appendDecimal(dst []byte, mant int64, scale uint8) []byte {
	d := num.Decimal{Mant: mant, Scale: scale}
	for d.Scale > 0 && d.Mant%10 == 0 {
		d.Mant /= 10
		d.Scale--
	}
	return d.Append(dst)
}

var tradeColumns = []textColumn[Trade]{
	whole("timestamp", func(r *Trade) int64 { return r.Timestamp }),
	some("recv_ts", func(r *Trade) int64 { return r.RecvTS }),
	whole("market_id", func(r *Trade) int64 { return int64(r.MarketID) }),
	words("symbol", func(r *Trade) string { return r.Symbol }),
	whole("trade_id", func(r *Trade) int64 { return r.TradeID }),
	words("type", func(r *Trade) string { return r.Type }),
	words("side", func(r *Trade) string { return r.Side }),
	exact("price", func(r *Trade) int64 { return r.Price }),
	exact("size", func(r *Trade) int64 { return r.Size }),
	exact("usd_amount", func(r *Trade) int64 { return r.USDAmount }),
	whole("ask_account_id", func(r *Trade) int64 { return r.AskAccountID }),
	whole("bid_account_id", func(r *Trade) int64 { return r.BidAccountID }),
	whole("ask_id", func(r *Trade) int64 { return r.AskID }),
	whole("bid_id", func(r *Trade) int64 { return r.BidID }),
	truth("is_maker_ask", func(r *Trade) bool { return r.IsMakerAsk }),
	some("taker_fee", func(r *Trade) int64 { return int64(r.TakerFee) }),
	some("maker_fee", func(r *Trade) int64 { return int64(r.MakerFee) }),
	whole("block_height", func(r *Trade) int64 { return r.BlockHeight }),
	words("tx_hash", func(r *Trade) string { return r.TxHash }),
}

var candleColumns = []textColumn[Candle]{
	whole("timestamp", func(r *Candle) int64 { return r.Timestamp }),
	whole("market_id", func(r *Candle) int64 { return int64(r.MarketID) }),
	words("symbol", func(r *Candle) string { return r.Symbol }),
	words("resolution", func(r *Candle) string { return r.Resolution }),
	exact("open", func(r *Candle) int64 { return r.Open }),
	exact("high", func(r *Candle) int64 { return r.High }),
	exact("low", func(r *Candle) int64 { return r.Low }),
	exact("close", func(r *Candle) int64 { return r.Close }),
	exact("volume", func(r *Candle) int64 { return r.Volume }),
	exact("quote_volume", func(r *Candle) int64 { return r.QuoteVolume }),
	exact("vwap", func(r *Candle) int64 { return r.VWAP }),
	some("trade_count", func(r *Candle) int64 { return r.TradeCount }),
}

var fundingColumns = []textColumn[FundingRate]{
	whole("timestamp", func(r *FundingRate) int64 { return r.Timestamp }),
	whole("market_id", func(r *FundingRate) int64 { return int64(r.MarketID) }),
	words("symbol", func(r *FundingRate) string { return r.Symbol }),
	{"rate", true, func(dst []byte, r *FundingRate) []byte { return appendDecimal(dst, r.Rate, rateScale) }},
	exact("value", func(r *FundingRate) int64 { return r.Value }),
	words("direction", func(r *FundingRate) string { return r.Direction }),
}

var snapshotColumns = []textColumn[Snapshot]{
	whole("timestamp", func(r *Snapshot) int64 { return r.Timestamp }),
	whole("recv_ts", func(r *Snapshot) int64 { return r.RecvTS }),
	whole("market_id", func(r *Snapshot) int64 { return int64(r.MarketID) }),
	words("symbol", func(r *Snapshot) string { return r.Symbol }),
	whole("nonce", func(r *Snapshot) int64 { return r.Nonce }),
	someExact("best_bid", func(r *Snapshot) int64 { return r.BestBid }),
	someExact("best_ask", func(r *Snapshot) int64 { return r.BestAsk }),
	someExact("mid_price", func(r *Snapshot) int64 { return r.MidPrice }),
	someExact("spread", func(r *Snapshot) int64 { return r.Spread }),
	levels("bids", func(r *Snapshot) []Level { return r.Bids }),
	levels("asks", func(r *Snapshot) []Level { return r.Asks }),
}

var updateColumns = []textColumn[BookUpdate]{
	whole("timestamp", func(r *BookUpdate) int64 { return r.Timestamp }),
	whole("recv_ts", func(r *BookUpdate) int64 { return r.RecvTS }),
	whole("market_id", func(r *BookUpdate) int64 { return int64(r.MarketID) }),
	words("symbol", func(r *BookUpdate) string { return r.Symbol }),
	whole("nonce", func(r *BookUpdate) int64 { return r.Nonce }),
	truth("snapshot", func(r *BookUpdate) bool { return r.Snapshot }),
	words("side", func(r *BookUpdate) string { return r.Side }),
	exact("price", func(r *BookUpdate) int64 { return r.Price }),
	exact("size", func(r *BookUpdate) int64 { return r.Size }),
}

var gapColumns = []textColumn[Gap]{
	whole("market_id", func(r *Gap) int64 { return int64(r.MarketID) }),
	words("symbol", func(r *Gap) string { return r.Symbol }),
	words("kind", func(r *Gap) string { return r.Kind }),
	whole("from", func(r *Gap) int64 { return r.From }),
	whole("to", func(r *Gap) int64 { return r.To }),
	words("cause", func(r *Gap) string { return r.Cause }),
}
