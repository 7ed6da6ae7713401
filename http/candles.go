package http

import (
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

// maxBuckets bounds the range of a filled answer: beyond it empty buckets outnumber anything useful.
const maxBuckets = 100_000

// candlesQuery is what /candles was asked.
type candlesQuery struct {
	market     *model.Market
	resolution string
	length     model.Millis
	span       span
	fill       bool
	page       page
}

// bucketStart returns the opening of the bucket that t lies in. Weeks open on Monday 00:00 UTC: the epoch's first day
// was a Thursday.
func bucketStart(t, length model.Millis) model.Millis {
	var shift model.Millis
	if length == 7*day {
		shift = 4 * day
	}
	n := (t - shift) / length
	if (t-shift)%length < 0 {
		n--
	}
	return n*length + shift
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
	if _, given := p.get(field); !given {
		if _, alias := p.get("interval"); alias {
			field = "interval"
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
	// Without a start the range opens with a whole bucket, so that the running one is always there.
	if !q.span.GivenFrom {
		q.span.From = max(0, bucketStart(q.span.From, q.length))
	}
	q.page.bind(&p, f, &q.span)
	if q.fill && (q.span.To-q.span.From)/q.length >= maxBuckets {
		p.fault("start", "the range has more than 100000 buckets, ask for a shorter one or a longer resolution")
	}
	return q, p.err
}

func answerCandles(c *call, dst []byte, q candlesQuery) ([]byte, meta, error) {
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	sp := history.Span{From: q.span.From, To: q.span.To}
	w := candleWriter{q: &q, dst: append(appendMarket(dst, q.market), `,"resolution":"`+q.resolution+`","candles":[`...), now: c.clock()}
	if q.fill {
		if w.held, err = c.history().Coverage(ctx, model.KindTrades, q.market.ID, sp); err != nil {
			return dst, meta{}, err
		}
	}
	w.begin()
	for k, err := range c.history().Candles(ctx, q.market.ID, time.Duration(q.length)*time.Millisecond, sp, q.page.Descending) {
		if err != nil {
			return dst, meta{}, err
		}
		if q.fill {
			w.fillTo(k.Time)
		}
		w.add(k.Time, &k)
	}
	if q.fill {
		w.fillTo(w.behind())
	}
	m := meta{Paged: true, Total: w.total, Limit: q.page.Limit, Offset: q.page.Offset}
	if w.more {
		m.NextCursor = q.page.next(c, position{Time: int64(w.last)})
	}
	dst = append(w.dst, `],"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, model.KindTrades, []model.MarketID{q.market.ID}, sp); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), m, nil
}

// candleWriter counts buckets in the order of the page and writes those that are on it.
type candleWriter struct {
	q      *candlesQuery
	dst    []byte
	now    model.Millis
	held   []history.Interval
	cursor model.Millis // the next bucket that fill would emit
	total  int64
	sent   int
	last   model.Millis
	more   bool
}

// begin sets where filling starts: the first bucket that opens inside the range, or the last one.
func (w *candleWriter) begin() {
	w.cursor = w.firstBucket()
	if w.q.page.Descending {
		w.cursor = w.lastBucket()
	}
}

func (w *candleWriter) firstBucket() model.Millis {
	b := bucketStart(w.q.span.From, w.q.length)
	if b < w.q.span.From {
		b += w.q.length
	}
	return b
}

func (w *candleWriter) lastBucket() model.Millis { return bucketStart(w.q.span.To-1, w.q.length) }

// behind is one bucket past the end of the range, in the direction of the page.
func (w *candleWriter) behind() model.Millis {
	if w.q.page.Descending {
		return w.firstBucket() - w.q.length
	}
	return w.lastBucket() + w.q.length
}

// fillTo emits the empty buckets before t.
func (w *candleWriter) fillTo(t model.Millis) {
	if w.q.page.Descending {
		for ; w.cursor > t; w.cursor -= w.q.length {
			w.add(w.cursor, nil)
		}
		w.cursor = t - w.q.length
		return
	}
	for ; w.cursor < t; w.cursor += w.q.length {
		w.add(w.cursor, nil)
	}
	w.cursor = t + w.q.length
}

// add counts a bucket and writes it where it is on the page; k is nil for an empty one.
func (w *candleWriter) add(t model.Millis, k *record.Candle) {
	w.total++
	g := &w.q.page
	switch {
	case g.Continued && !g.Descending && int64(t) <= g.After.Time, g.Continued && g.Descending && int64(t) >= g.After.Time,
		w.total <= int64(g.Offset):
	case w.sent == g.Limit:
		w.more = true
	default:
		if w.sent > 0 {
			w.dst = append(w.dst, ',')
		}
		w.sent++
		w.last = t
		w.dst = w.append(w.dst, t, k)
	}
}

func (w *candleWriter) append(dst []byte, t model.Millis, k *record.Candle) []byte {
	dst = append(dst, `{"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(t), 10)
	m := w.q.market
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
		dst = strconv.AppendUint(dst, k.Trades, 10)
		dst = append(dst, `,"last_trade_id":`...)
		dst = strconv.AppendUint(dst, k.LastID, 10)
	} else {
		dst = append(dst, `,"open":null,"high":null,"low":null,"close":null`...)
		// A bucket without trades has no volume only where the record is whole; elsewhere nobody knows.
		if w.isHeld(t) {
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
	dst = strconv.AppendBool(dst, w.now >= t+w.q.length)
	return append(dst, '}')
}

// isHeld tells whether a bucket, as far as it lies in the range and in the past, is inside one held interval.
func (w *candleWriter) isHeld(t model.Millis) bool {
	from, to := max(t, w.q.span.From), min(t+w.q.length, w.q.span.To, w.now)
	until := (to - 1).Micros()
	if to == w.now {
		until -= commitLag // the newest interval ends at the last commit, a moment behind now
	}
	for _, h := range w.held {
		if h.From <= from.Micros() && h.To >= until {
			return true
		}
	}
	return false
}

// commitLag is how far the record may trail the clock while nothing is wrong: two ticks of the snapshot clock.
const commitLag = model.Micros(2_000_000)
