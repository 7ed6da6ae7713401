package export

import (
	"fmt"
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// limit is the first mantissa beyond eighteen digits.
const limit = 1_000_000_000_000_000_000

// column brings a mantissa to the scale of a column, exactly.
func column(what string, mant int64, scale, to uint8) (int64, error) {
	v, err := num.Rescale(mant, scale, to)
	if err != nil || v >= limit || v <= -limit {
		return 0, fmt.Errorf("%w: %s %s", ErrFit, what, num.Decimal{Mant: mant, Scale: scale})
	}
	return v, nil
}

// quotient rounds a quotient of a sum (at scale from) to the scale of a column, half-even.
func quotient(what string, sum num.Acc, d int64, from uint8) (int64, error) {
	v, err := sum.DivRound(d, from, decimalScale)
	if err != nil || v >= limit || v <= -limit {
		return 0, fmt.Errorf("%w: %s", ErrFit, what)
	}
	return v, nil
}

// columns collects the first error of many.
type columns struct {
	err           error
	price, amount uint8
}

func (c *columns) exact(what string, mant int64, scale, to uint8) int64 {
	v, err := column(what, mant, scale, to)
	if err != nil && c.err == nil {
		c.err = err
	}
	return v
}

func (c *columns) priceOf(what string, p num.Price) int64 {
	return c.exact(what, int64(p), c.price, decimalScale)
}

func (c *columns) sizeOf(what string, s num.Size) int64 {
	return c.exact(what, int64(s), c.amount, decimalScale)
}

func (c *columns) usdOf(what string, v num.USD) int64 {
	return c.exact(what, int64(v), num.USDScale, decimalScale)
}

func (c *columns) idOf(what string, id uint64) int64 {
	if id > math.MaxInt64 && c.err == nil {
		c.err = fmt.Errorf("%w: %s %d", ErrFit, what, id)
	}
	return int64(id)
}

func (c *columns) market(m *model.Market) int32 {
	if (m.Native < 0 || m.Native > math.MaxInt32) && c.err == nil {
		c.err = fmt.Errorf("%w: market_id %d", ErrFit, m.Native)
	}
	return int32(m.Native)
}

// NewTrade returns the row of a trade; ErrFit where a column cannot hold it.
func NewTrade(m *model.Market, t *model.Trade) (Trade, error) {
	var c columns
	c.price, c.amount = m.ScaleAt(t.Epoch)
	row := Trade{
		Timestamp: int64(t.Time), RecvTS: int64(t.Recv), MarketID: c.market(m), Symbol: m.Symbol, TradeID: c.idOf("trade_id", t.ID),
		Type: t.Kind.String(), Side: "sell", IsMakerAsk: t.MakerAsk,
		Price: c.priceOf("price", t.Price), Size: c.sizeOf("size", t.Size), USDAmount: c.usdOf("usd_amount", t.USD),
		AskAccountID: c.idOf("ask_account_id", uint64(t.AskAccount)), BidAccountID: c.idOf("bid_account_id", uint64(t.BidAccount)),
		AskID: c.idOf("ask_id", t.AskOrder), BidID: c.idOf("bid_id", t.BidOrder),
		TakerFee: t.TakerFee, MakerFee: t.MakerFee, BlockHeight: c.idOf("block_height", t.Block), TxHash: t.TxHash,
	}
	if t.TakerBuys() {
		row.Side = "buy"
	}
	return row, c.err
}

// NewCandle returns the row of a candle; ErrFit where a column cannot hold it. vwap is quote volume by volume, rounded
// half-even, 0 where there is no volume.
func NewCandle(m *model.Market, k *model.Candle, resolution string) (Candle, error) {
	var c columns
	c.price, c.amount = m.ScaleAt(k.Epoch)
	row := Candle{
		Timestamp: int64(k.Time), MarketID: c.market(m), Symbol: m.Symbol, Resolution: resolution,
		Open: c.priceOf("open", k.Open), High: c.priceOf("high", k.High), Low: c.priceOf("low", k.Low), Close: c.priceOf("close", k.Close),
		Volume: c.sizeOf("volume", k.Volume), QuoteVolume: c.usdOf("quote_volume", k.QuoteVolume),
		TradeCount: c.idOf("trade_count", k.Trades),
	}
	if c.err == nil && row.Volume > 0 {
		// Both columns have six decimals, so the quotient of their mantissas has none.
		var sum num.Acc
		sum.AddProduct(row.QuoteVolume, 1)
		row.VWAP, c.err = quotient("vwap", sum, row.Volume, 0)
	}
	return row, c.err
}

// NewFundingRate returns the row of a settled funding; ErrFit where a column cannot hold it.
func NewFundingRate(m *model.Market, f *model.Funding) (FundingRate, error) {
	var c columns
	row := FundingRate{
		Timestamp: int64(f.Time), MarketID: c.market(m), Symbol: m.Symbol, Direction: "short",
		Rate:  c.exact("rate", int64(f.Rate), num.RateScale, rateScale),
		Value: c.exact("value", f.Value.Mant, f.Value.Scale, decimalScale),
	}
	if f.LongPays {
		row.Direction = "long"
	}
	return row, c.err
}

// NewLevels returns the levels of one side of a book, in the order given.
func NewLevels(m *model.Market, epoch uint8, levels []model.Level) ([]Level, error) {
	var c columns
	c.price, c.amount = m.ScaleAt(epoch)
	out := make([]Level, len(levels))
	for i, l := range levels {
		out[i] = Level{Price: c.priceOf("price", l.Price), Size: c.sizeOf("size", l.Size)}
	}
	return out, c.err
}

// NewBookUpdates appends the rows of one update, bids first, as it was sent.
func NewBookUpdates(dst []BookUpdate, m *model.Market, epoch uint8, u *model.BookUpdate, at model.Millis, recv model.Micros) ([]BookUpdate, error) {
	var c columns
	c.price, c.amount = m.ScaleAt(epoch)
	row := BookUpdate{
		Timestamp: int64(at), RecvTS: int64(recv), MarketID: c.market(m), Symbol: m.Symbol, Nonce: c.idOf("nonce", u.Seq), Snapshot: u.Snapshot,
	}
	for _, side := range []struct {
		name   string
		levels []model.Level
	}{{"bid", u.Bids}, {"ask", u.Asks}} {
		row.Side = side.name
		for _, l := range side.levels {
			row.Price, row.Size = c.priceOf("price", l.Price), c.sizeOf("size", l.Size)
			dst = append(dst, row)
		}
	}
	return dst, c.err
}
