package archive

import (
	"bytes"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// record is one line taken apart: the text of each column that it has.
type record struct {
	text [fieldCount][]byte
	has  [fieldCount]bool
	// percent says that rates are percent per hour without a sign, as the venue's fundings are.
	percent bool
}

func (c *record) reset() {
	c.has = [fieldCount]bool{}
	c.percent = false
}

// set notes a column; an empty text and the words for nothing are as if it were not there.
func (c *record) set(f field, text []byte) {
	text = bytes.TrimSpace(text)
	switch string(text) {
	case "", "null", "NULL", "None", "NaN", "nan", `\N`:
		return
	}
	c.text[f], c.has[f] = text, true
}

// fault is why a record makes no row.
type fault struct {
	column field
	reason string
}

// builder makes rows of records.
type builder struct {
	rec    record
	failed *fault
}

// fail keeps the first fault.
func (b *builder) fail(f field, reason string) {
	if b.failed == nil {
		b.failed = &fault{f, reason}
	}
}

// row makes the row of a dataset of the record, or returns why it cannot.
func (b *builder) row(d Dataset, row *Row) *fault {
	b.failed = nil
	*row = Row{Dataset: d, Line: row.Line, Native: NoMarket}
	for _, any := range needs[d] {
		if !b.rec.has[any[0]] && !(len(any) > 1 && b.rec.has[any[1]]) {
			b.fail(any[0], "is missing")
		}
	}
	at := b.micros(fTime)
	row.Time = at.Millis()
	if b.rec.has[fMarket] {
		row.Native = int64(b.id(fMarket))
		if row.Native < 0 || row.Native > 1<<48 {
			b.fail(fMarket, "not a market id")
		}
	}
	if b.rec.has[fSymbol] {
		row.Symbol = string(b.rec.text[fSymbol])
	}
	switch d {
	case Trades:
		b.trade(row)
	case Candles:
		b.candle(row)
	case Funding:
		b.funding(row)
	}
	return b.failed
}

func (b *builder) trade(row *Row) {
	t := &row.Trade
	t.Time = row.Time
	t.ID = b.id(fTradeID)
	if twin := b.id(fTradeIDText); t.ID == 0 {
		t.ID = twin
	}
	if t.ID == 0 {
		b.fail(fTradeID, "is missing")
	}
	row.Price, row.Size = b.exact(fPrice), b.exact(fSize)
	if row.Price.Mant <= 0 && b.failed == nil {
		b.fail(fPrice, "not above 0")
	}
	if row.Size.Mant <= 0 && b.failed == nil {
		b.fail(fSize, "not above 0")
	}
	if b.rec.has[fUSD] {
		t.USD, row.HasUSD = b.money(fUSD), true
	}
	b.taker(t)
	if b.rec.has[fType] {
		t.Kind = model.ParseTradeKind(b.rec.text[fType])
		if t.Kind == model.KindOther {
			t.Extra = string(model.AppendString([]byte(`"type":`), string(b.rec.text[fType])))
		}
	}
	t.AskOrder, t.BidOrder = b.twin(fAskOrder, fAskOrderText), b.twin(fBidOrder, fBidOrderText)
	t.AskAccount, t.BidAccount = model.AccountID(b.id(fAskAccount)), model.AccountID(b.id(fBidAccount))
	t.AskClient, t.BidClient = b.twin(fAskClient, fAskClientText), b.twin(fBidClient, fBidClientText)
	t.HasClients = b.rec.has[fAskClient] || b.rec.has[fBidClient] || b.rec.has[fAskClientText] || b.rec.has[fBidClientText]
	t.TakerFee, t.MakerFee = b.small(fTakerFee), b.small(fMakerFee)
	t.Block = b.id(fBlock)
	if b.rec.has[fTxHash] {
		t.TxHash = string(b.rec.text[fTxHash])
	}
	if b.rec.has[fRecv] {
		t.Recv = b.micros(fRecv)
	}
	if b.rec.has[fTransactionTime] {
		t.TransactionTime = b.micros(fTransactionTime)
	}
	row.TakerBefore = b.before(&t.TakerBefore, fTakerSize, fTakerQuote, fTakerMargin)
	row.MakerBefore = b.before(&t.MakerBefore, fMakerSize, fMakerQuote, fMakerMargin)
	t.TakerSignChanged, t.MakerSignChanged = b.flag(fTakerSign), b.flag(fMakerSign)
}

// taker reads who took: is_maker_ask, or the side of the taker. Where both are told they must agree.
func (b *builder) taker(t *model.Trade) {
	t.MakerAsk = b.flag(fMakerAsk)
	if !b.rec.has[fSide] {
		return
	}
	buys := false
	switch string(bytes.ToLower(b.rec.text[fSide])) {
	case "buy", "b", "bid", "long":
		buys = true
	case "sell", "s", "a", "ask", "short":
	default:
		b.fail(fSide, "neither buy nor sell, the side of the taker")
	}
	if b.rec.has[fMakerAsk] && buys != t.MakerAsk {
		b.fail(fSide, "contradicts is_maker_ask")
	}
	t.MakerAsk = buys
}

func (b *builder) before(p *model.PositionBefore, size, quote, margin field) (d num.Decimal) {
	if b.rec.has[size] {
		d, p.Known = b.exact(size), true
	}
	if b.rec.has[quote] {
		p.EntryQuote, p.Known = b.money(quote), true
	}
	if p.InitialMargin = b.small(margin); p.InitialMargin != 0 {
		p.Known = true
	}
	return d
}

func (b *builder) candle(row *Row) {
	c := &row.Candle
	if b.rec.has[fResolution] {
		var ok bool
		if c.Resolution, ok = ParseResolution(string(b.rec.text[fResolution])); !ok {
			b.fail(fResolution, "not one that is stored: 1m, 1h or 1d, of which the others are made")
		}
	}
	c.Open, c.High, c.Low, c.Close = b.exact(fOpen), b.exact(fHigh), b.exact(fLow), b.exact(fClose)
	c.Volume = b.sum(fVolume)
	if b.rec.has[fQuoteVolume] {
		c.QuoteVolume = b.money(fQuoteVolume)
	}
	c.Trades, c.LastID = b.id(fTradeCount), b.id(fLastID)
	if b.failed != nil {
		return
	}
	switch {
	case c.Low.Mant <= 0:
		b.fail(fLow, "not above 0")
	case c.Volume.Mant < 0:
		b.fail(fVolume, "below 0")
	case c.High.Cmp(c.Low) < 0, c.High.Cmp(c.Open) < 0, c.High.Cmp(c.Close) < 0:
		b.fail(fHigh, "below another price of the candle")
	case c.Low.Cmp(c.Open) > 0, c.Low.Cmp(c.Close) > 0:
		b.fail(fLow, "above another price of the candle")
	}
}

// candleFits checks what needs the candle's length.
func candleFits(row *Row) *fault {
	switch r := row.Candle.Resolution; {
	case r == 0:
		return &fault{fResolution, "is missing; say it with --resolution 1m, 1h or 1d"}
	case int64(row.Time)%r.Milliseconds() != 0:
		return &fault{fTime, "not the start of a candle of its resolution"}
	}
	return nil
}

func (b *builder) funding(row *Row) {
	f := &row.Funding
	f.Time = row.Time
	rate, percent := fRate, b.rec.percent
	if !b.rec.has[fRate] {
		rate, percent = fRatePercent, true
	}
	var err error
	if f.Rate, err = parseRate(b.rec.text[rate], percent); err != nil {
		b.fail(rate, err.Error())
	}
	if b.rec.has[fResolution] {
		if d, _ := ParseResolution(string(b.rec.text[fResolution])); d != time.Hour {
			b.fail(fResolution, "not 1h: only the hourly rows are settlements")
		}
	}
	if b.failed == nil && int64(f.Time)%time.Hour.Milliseconds() != 0 {
		b.fail(fTime, "not a full hour, at which funding is settled")
	}
	f.LongPays = f.Rate >= 0
	if b.rec.has[fDirection] {
		switch string(bytes.ToLower(b.rec.text[fDirection])) {
		case "long":
			f.LongPays = true
		case "short":
			f.LongPays = false
		default:
			b.fail(fDirection, "neither long nor short, the side that pays")
		}
		// Rates without a sign take it from the side that pays.
		if f.Rate < 0 && f.LongPays {
			b.fail(fDirection, "contradicts the sign of the rate")
		}
		if f.Rate > 0 && !f.LongPays {
			f.Rate = -f.Rate
		}
	}
	if b.rec.has[fValue] {
		if f.Value, err = parseSum(b.rec.text[fValue]); err != nil {
			b.fail(fValue, err.Error())
		}
	}
}

func (b *builder) micros(f field) model.Micros {
	if !b.rec.has[f] {
		return 0
	}
	t, err := parseMicros(b.rec.text[f])
	if err != nil {
		b.fail(f, err.Error())
	}
	return t
}

func (b *builder) exact(f field) num.Decimal { return b.number(f, parseExact) }

func (b *builder) sum(f field) num.Decimal { return b.number(f, parseSum) }

func (b *builder) number(f field, parse func([]byte) (num.Decimal, error)) num.Decimal {
	if !b.rec.has[f] {
		return num.Decimal{}
	}
	d, err := parse(b.rec.text[f])
	if err != nil {
		b.fail(f, err.Error())
	}
	return d
}

func (b *builder) money(f field) num.USD {
	v, err := parseUSD(b.rec.text[f])
	if err != nil {
		b.fail(f, err.Error())
	}
	return v
}

func (b *builder) id(f field) uint64 {
	if !b.rec.has[f] {
		return 0
	}
	v, err := parseID(b.rec.text[f])
	if err != nil {
		b.fail(f, err.Error())
	}
	return v
}

func (b *builder) twin(f, text field) uint64 {
	if v := b.id(f); v != 0 {
		return v
	}
	return b.id(text)
}

func (b *builder) small(f field) int32 {
	if !b.rec.has[f] {
		return 0
	}
	v, err := parseID(b.rec.text[f])
	if bytes.HasPrefix(b.rec.text[f], []byte("-")) { // a rebate
		v, err = parseID(b.rec.text[f][1:])
		if err == nil && v <= 1<<31 {
			return int32(-int64(v))
		}
	}
	if err != nil || v >= 1<<31 {
		b.fail(f, errNumber.Error())
		return 0
	}
	return int32(v)
}

func (b *builder) flag(f field) bool {
	if !b.rec.has[f] {
		return false
	}
	switch string(bytes.ToLower(b.rec.text[f])) {
	case "true", "1", "t", "yes":
		return true
	case "false", "0", "f", "no":
		return false
	}
	b.fail(f, "neither true nor false")
	return false
}
