package http

import (
	"context"
	"iter"
	"sort"
	"strconv"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// resolutions are the venue's nine candle lengths, the default first.
var resolutions = []struct {
	word   string
	length time.Duration
}{
	{"1h", time.Hour}, {"1m", time.Minute}, {"5m", 5 * time.Minute}, {"15m", 15 * time.Minute}, {"30m", 30 * time.Minute},
	{"4h", 4 * time.Hour}, {"12h", 12 * time.Hour}, {"1d", 24 * time.Hour}, {"1w", 7 * 24 * time.Hour},
}

// nativeCandles are the parameters that mark a query in the venue's own form.
var nativeCandles = []string{"start_timestamp", "end_timestamp", "count_back", "set_timestamp_to_end"}

// candlesQuery is what /candles was asked.
type candlesQuery struct {
	market     *model.Market
	resolution string
	length     model.Millis
	span       span
	fill       bool
	page       page
}

func parseCandles(c *call) (candlesQuery, error) {
	var q candlesQuery
	p := c.params()
	for _, name := range nativeCandles {
		if _, given := p.get(name); given {
			p.fault(name, "native candle queries need a venue to follow, use start and end")
		}
	}
	if _, given := p.get("market_id"); !given {
		p.fault("market_id", "market_id is required")
	}
	q.market = p.market("market_id")
	field := "resolution"
	if alias, given := p.get("interval"); given {
		if word, both := p.get(field); !both {
			field = "interval"
		} else if string(word) != string(alias) {
			p.fault(field, "resolution and interval name the same thing, give one of them or both alike")
		}
	}
	words := make([]string, len(resolutions))
	for i, r := range resolutions {
		words[i] = r.word
	}
	q.resolution = p.word(field, words...)
	for _, r := range resolutions {
		if r.word == q.resolution {
			q.length = model.Millis(r.length.Milliseconds())
		}
	}
	q.fill = p.boolean("fill")
	q.span = p.history(c.clock())
	q.page = p.page(500, 5000, "asc")
	if p.err != nil {
		return q, p.err
	}
	f := newFilterHasher("candles").addInt(int64(q.market.ID)).add(q.resolution).add(strconv.FormatBool(q.fill)).span(q.span)
	p.openWhole(&q.span, gridOf(q.length, q.length == week))
	q.page.bind(&p, f, &q.span)
	if q.fill && (q.span.To-q.span.From)/q.length >= maxBuckets {
		p.fault("start", "the range has more than 100000 buckets, ask for a shorter one or a longer resolution")
	}
	return q, p.err
}

func answerCandles(c *call, dst []byte, q candlesQuery) ([]byte, meta, error) {
	length := time.Duration(q.length) * time.Millisecond
	kind, ids := history.CandleKind(length), []model.MarketID{q.market.ID}
	c.fill(kind, ids, q.span)
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	sp := history.Span{From: q.span.From, To: q.span.To}
	dst = append(appendMarket(dst, q.market), `,"resolution":"`+q.resolution+`","candles":[`...)
	var m meta
	if h, ok := c.history().(candleTexts); ok && length == time.Minute && !q.fill && !q.page.Descending {
		dst, m, err = c.appendCandleTexts(ctx, dst, h, &q, sp)
	} else {
		dst, m, err = c.appendCandles(ctx, dst, &q, sp, kind)
	}
	if err != nil {
		return dst, meta{}, err
	}
	dst = append(dst, `],"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, kind, ids, sp); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), m, nil
}

// appendCandles writes a page of candles.
func (c *call) appendCandles(ctx context.Context, dst []byte, q *candlesQuery, sp history.Span, kind model.Kind) ([]byte, meta, error) {
	w := bucketPage[record.Candle]{grid: gridOf(q.length, q.length == week), span: q.span, page: &q.page, now: c.clock(), fill: q.fill, dst: dst}
	w.write = func(dst []byte, t model.Millis, k *record.Candle, held bool) []byte {
		return appendCandle(dst, q.market, t, k, held, w.now >= t+q.length)
	}
	var err error
	if q.fill {
		if w.held, err = c.history().Coverage(ctx, kind, q.market.ID, sp); err != nil {
			return dst, meta{}, err
		}
	}
	w.begin(false)
	length := time.Duration(q.length) * time.Millisecond
	for k, err := range c.history().Candles(ctx, q.market.ID, length, sp, q.page.Descending) {
		if err != nil {
			return dst, meta{}, err
		}
		w.row(k.Time, &k)
	}
	w.end()
	return w.dst, w.meta(c), nil
}

// candleTexts is a record that has 1-minute candles ready as text; one that is seen from a past moment has not.
type candleTexts interface {
	CandleTexts(ctx context.Context, m model.MarketID, sp history.Span, settled model.Millis, texts history.Texts[record.Candle]) iter.Seq2[*history.CandleRun, error]
}

// appendCandleTexts writes an ascending page of the 1-minute candles that there are.
func (c *call) appendCandleTexts(ctx context.Context, dst []byte, h candleTexts, q *candlesQuery, sp history.Span) ([]byte, meta, error) {
	now := c.clock()
	texts := history.Texts[record.Candle]{Form: q.market, Append: func(dst []byte, k *record.Candle) []byte {
		return appendCandle(dst, q.market, k.Time, k, true, now >= k.Time+q.length)
	}}
	m := meta{Paged: true, Limit: q.page.Limit, Offset: q.page.Offset}
	sent, more := 0, false
	var last model.Millis
	for run, err := range h.CandleTexts(ctx, q.market.ID, sp, now, texts) {
		if err != nil {
			return dst, meta{}, err
		}
		n := run.Len()
		passed := sort.Search(n, func(i int) bool { return !q.page.before(int64(run.Time(i))) })
		from := max(passed, int(min(int64(n), max(0, int64(q.page.Offset)-m.Total))))
		to := min(n, from+q.page.Limit-sent)
		m.Total += int64(n)
		more = more || to < n
		if from == to {
			continue
		}
		if sent > 0 {
			dst = append(dst, ',')
		}
		dst = run.Append(dst, from, to)
		sent, last = sent+to-from, run.Time(to-1)
	}
	if more {
		m.NextCursor = q.page.next(c, position{Time: int64(last)})
	}
	return dst, m, nil
}

// appendCandle writes a candle; k is nil for an empty one.
func appendCandle(dst []byte, m *model.Market, t model.Millis, k *record.Candle, held, closed bool) []byte {
	dst = append(dst, `{"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(t), 10)
	if k != nil {
		ps, ss := m.ScaleAt(k.Epoch)
		dst = append(dst, `,"open":`...)
		dst = appendPrice(dst, k.Open, ps, true)
		dst = append(dst, `,"high":`...)
		dst = appendPrice(dst, k.High, ps, true)
		dst = append(dst, `,"low":`...)
		dst = appendPrice(dst, k.Low, ps, true)
		dst = append(dst, `,"close":`...)
		dst = appendPrice(dst, k.Close, ps, true)
		dst = append(dst, `,"volume":"`...)
		dst = num.Append(dst, int64(k.Volume), ss)
		dst = append(dst, `","quote_volume":"`...)
		dst = num.Append(dst, int64(k.QuoteVolume), num.USDScale)
		dst = append(dst, `","trade_count":`...)
		dst = appendUintOrNull(dst, k.Trades) // a candle of the venue's does not tell how many trades it is made of
		dst = append(dst, `,"last_trade_id":`...)
		dst = appendUintOrNull(dst, k.LastID)
	} else {
		dst = append(dst, `,"open":null,"high":null,"low":null,"close":null`...)
		// A bucket without trades has no volume only where the record is whole; elsewhere nobody knows.
		if held {
			dst = append(dst, `,"volume":"`...)
			dst = num.Append(dst, 0, m.SizeScale)
			dst = append(dst, `","quote_volume":"`...)
			dst = num.Append(dst, 0, num.USDScale)
			dst = append(dst, `","trade_count":0,"last_trade_id":null`...)
		} else {
			dst = append(dst, `,"volume":null,"quote_volume":null,"trade_count":null,"last_trade_id":null`...)
		}
	}
	dst = append(dst, `,"closed":`...)
	dst = strconv.AppendBool(dst, closed)
	return append(dst, '}')
}

// appendUintOrNull writes a number; null where it is 0, which stands for unknown.
func appendUintOrNull(dst []byte, v uint64) []byte {
	if v == 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendUint(dst, v, 10)
}
