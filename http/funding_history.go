package http

import (
	"slices"
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// fundingHistoryQuery is what /funding-rates/history was asked.
type fundingHistoryQuery struct {
	market *model.Market
	daily  bool
	span   span
	page   page
}

func parseFundingHistory(c *call) (fundingHistoryQuery, error) {
	var q fundingHistoryQuery
	p := c.params()
	q.market = p.requiredMarket()
	resolution := p.word("resolution", "1h", "1d")
	q.daily = resolution == "1d"
	q.span = p.history(c.clock())
	q.page = p.page(50, 1000, "asc")
	if p.err != nil {
		return q, p.err
	}
	f := newFilterHasher("funding history").addInt(int64(q.market.ID)).add(resolution).span(q.span)
	if q.daily {
		p.openWhole(&q.span, gridOf(day, false))
	}
	q.page.bind(&p, f, &q.span)
	return q, p.err
}

// fundingRow is a settled hour, or what the hours of a day come to.
type fundingRow struct {
	rate  num.Rate    // signed: positive when longs paid
	value num.Decimal // what the side that the rate names paid for a unit of base
	known bool        // value can be written
	hours int         // of a day: how many were settled
}

// answerFundingHistory lists the settled hours of one market, or days of them. A day's rate is the sum of its hours': what
// a position that was held through them paid, which is how funding adds up. The day of an hour is that in which it was
// settled.
func answerFundingHistory(c *call, dst []byte, q fundingHistoryQuery) ([]byte, meta, error) {
	read := q.span
	if q.daily { // the days that open in the range, whole
		read.From, read.To = roundUp(read.From, day), roundUp(read.To, day)
	}
	ids := []model.MarketID{q.market.ID}
	c.fill(model.KindFunding, ids, read)
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	var settled []model.Funding
	for f, err := range c.history().Fundings(ctx, q.market.ID, history.Span{From: read.From, To: read.To}) {
		if err != nil {
			return dst, meta{}, err
		}
		settled = append(settled, f)
	}
	if q.page.Descending {
		slices.Reverse(settled)
	}
	dst = appendMarket(dst, q.market)
	if q.daily {
		dst = append(dst, `,"resolution":"1d","rates":[`...)
	} else {
		dst = append(dst, `,"resolution":"1h","rates":[`...)
	}
	w := bucketPage[fundingRow]{page: &q.page, dst: dst}
	w.write = func(dst []byte, t model.Millis, r *fundingRow, _ bool) []byte {
		return appendFundingRow(dst, t, r, q.daily)
	}
	for len(settled) > 0 {
		t, n := settled[0].Time, 1
		if q.daily {
			t = gridOf(day, false).Start(t)
			for n < len(settled) && gridOf(day, false).Start(settled[n].Time) == t {
				n++
			}
		}
		r := sumFunding(settled[:n])
		w.add(t, &r)
		settled = settled[n:]
	}
	dst = append(w.dst, `],"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, model.KindFunding, ids, history.Span{From: q.span.From, To: q.span.To}); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), w.meta(c), nil
}

// roundUp returns the first multiple of a length that is not before t.
func roundUp(t, length model.Millis) model.Millis { return gridOf(length, false).Start(t + length - 1) }

// sumFunding adds settled hours. Of a single one the value keeps the venue's digits.
func sumFunding(hours []model.Funding) fundingRow {
	r := fundingRow{hours: len(hours)}
	scale := uint8(0)
	for i := range hours {
		r.rate += hours[i].Rate
		scale = max(scale, hours[i].Value.Scale)
	}
	var net num.Acc // positive: longs paid
	for i := range hours {
		h := &hours[i]
		paid := h.Value.Mant
		if h.Rate < 0 {
			paid = -paid
		}
		if scale-h.Value.Scale > num.MaxScale {
			return r
		}
		net.AddProduct(paid, num.Pow10(scale-h.Value.Scale))
	}
	if r.rate < 0 {
		net = net.Neg()
	}
	mant, err := net.Int64()
	r.value, r.known = num.Decimal{Mant: mant, Scale: scale}, err == nil
	return r
}

func appendFundingRow(dst []byte, t model.Millis, r *fundingRow, daily bool) []byte {
	dst = append(dst, `{"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(t), 10)
	dst = append(dst, `,"rate":"`...)
	dst = num.AppendTrim(dst, int64(r.rate), num.RateScale)
	dst = append(dst, `","value":`...)
	if r.known {
		dst = append(r.value.Append(append(dst, '"')), '"')
	} else {
		dst = append(dst, "null"...)
	}
	if r.rate >= 0 {
		dst = append(dst, `,"direction":"long"`...)
	} else {
		dst = append(dst, `,"direction":"short"`...)
	}
	if daily {
		dst = append(dst, `,"hours":`...)
		dst = strconv.AppendInt(dst, int64(r.hours), 10)
	}
	return append(dst, '}')
}
