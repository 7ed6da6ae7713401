package http

import (
	"bytes"
	"math"
	"strconv"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const maxBands = 10

// depthQuery is what /orderbook/{market_id}/depth was asked.
type depthQuery struct {
	market *model.Market
	view   *book.View
	tick   int64 // mantissa at the view's price scale
	levels int
	bands  [maxBands]int64
	nBands int
}

func parseDepth(c *call) (depthQuery, error) {
	var q depthQuery
	var err error
	if q.market, err = c.pathMarket(); err != nil {
		return q, err
	}
	p := c.params()
	q.levels = p.integer("levels", 20, 1, 500)
	q.parseBands(&p)
	tick, given := p.get("tick_size")
	if p.err != nil {
		return q, p.err
	}
	// The view comes first: a tick is a multiple of the price tick that the book has.
	if q.view, err = c.book(q.market); err != nil {
		return q, err
	}
	ps, _ := q.market.ScaleAt(q.view.Epoch)
	if !given {
		q.tick = defaultTick(q.view, ps)
		return q, nil
	}
	q.tick, err = parseTick(tick, ps)
	return q, err
}

func parseTick(text []byte, ps uint8) (int64, error) {
	d, err := num.ParseDecimal(text)
	if err != nil || d.Mant <= 0 {
		return 0, model.BadRequest("tick_size", "tick_size must be a decimal number above 0")
	}
	tick, err := num.Rescale(d.Mant, d.Scale, ps)
	switch {
	case err == nil && tick <= math.MaxInt64/4: // rounding a price up to a tick must not overflow
		return tick, nil
	case err == num.ErrScale:
		return 0, model.BadRequest("tick_size", "tick_size must be a multiple of "+string(num.Append(nil, 1, ps)))
	}
	return 0, model.BadRequest("tick_size", "tick_size is too large")
}

// defaultTick is the smallest power of ten that is at least a ten-thousandth of the mid price and at least the price
// tick. Where there is no mid price, the one best price that there is stands for it.
func defaultTick(v *book.View, ps uint8) int64 {
	mid, ok := midPrice(v, ps)
	if !ok {
		l, has := v.Best(model.Bid)
		if !has {
			l, _ = v.Best(model.Ask)
		}
		mid = num.Decimal{Mant: int64(l.Price), Scale: ps}
	}
	for n := uint8(0); n < num.MaxScale; n++ {
		// tick x 10,000 against the mid, both exact: tick = 10^n / 10^ps.
		if n+4 <= num.MaxScale && (num.Decimal{Mant: num.Pow10(n + 4), Scale: ps}).Cmp(mid) >= 0 {
			return num.Pow10(n)
		}
	}
	return 1
}

func (q *depthQuery) parseBands(p *params) {
	text, given := p.get("bps")
	if !given {
		q.nBands = copy(q.bands[:], []int64{10, 25, 50, 100})
		return
	}
	for more := true; more; {
		var item []byte
		item, text, more = bytes.Cut(text, []byte(","))
		n, ok := parseInt(trim(item))
		if !ok || n < 1 || n > 5000 || q.nBands == maxBands {
			p.fault("bps", "bps must be a list of up to 10 integers from 1 to 5000")
			return
		}
		q.bands[q.nBands] = n
		q.nBands++
	}
}

func answerDepth(_ *call, dst []byte, q depthQuery) ([]byte, meta, error) {
	v := q.view
	ps, ss := q.market.ScaleAt(v.Epoch)
	dst = appendMarket(dst, q.market)
	dst = append(dst, `,"tick_size":"`...)
	dst = num.AppendTrim(dst, q.tick, ps)
	dst = append(dst, `","mid_price":`...)
	dst = appendMid(dst, v, ps)
	dst = append(dst, `,"bids":`...)
	dst = appendBuckets(dst, v.Aggregate(model.Bid, q.tick, q.levels), ps, ss)
	dst = append(dst, `,"asks":`...)
	dst = appendBuckets(dst, v.Aggregate(model.Ask, q.tick, q.levels), ps, ss)
	dst = append(dst, `,"bands":[`...)
	mid, hasMid := midPrice(v, ps)
	for i, bps := range q.bands[:q.nBands] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBand(dst, bandOf(v, mid, hasMid, bps, ps), bps, ps, ss)
	}
	dst = append(dst, `],"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(viewTime(v)), 10)
	return append(dst, '}'), meta{}, nil
}

func appendBuckets(dst []byte, buckets []book.Bucket, ps, ss uint8) []byte {
	dst = append(dst, '[')
	for i := range buckets {
		b := &buckets[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"price":"`...)
		dst = num.Append(dst, int64(b.Price), ps)
		dst = append(dst, `","size":`...)
		dst = appendSize(dst, b.Size, ss)
		dst = append(dst, `,"notional":`...)
		dst = appendNotional(dst, b.Notional, ps+ss)
		dst = append(dst, `,"cumulative_size":`...)
		dst = appendSize(dst, b.CumulativeSize, ss)
		dst = append(dst, `,"cumulative_notional":`...)
		dst = appendNotional(dst, b.CumulativeNotional, ps+ss)
		dst = append(dst, `,"level_count":`...)
		dst = strconv.AppendInt(dst, int64(b.Levels), 10)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendSize writes a sum of sizes, which keeps the market's decimals; null beyond 64 bits.
func appendSize(dst []byte, sum num.Acc, ss uint8) []byte {
	n, err := sum.Int64()
	if err != nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = num.Append(dst, n, ss)
	return append(dst, '"')
}

// appendNotional writes a sum of products: half-even to six decimals, trailing zeros cut; null beyond 64 bits.
func appendNotional(dst []byte, sum num.Acc, scale uint8) []byte {
	n, err := sum.Round(scale, num.USDScale)
	if err != nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = num.AppendTrim(dst, n, num.USDScale)
	return append(dst, '"')
}

// band is the liquidity within a distance of the mid price, by side.
type band struct {
	size, notional [2]num.Acc
	known          bool
}

// bandOf sums the levels not further from the mid price than bps ten-thousandths of it.
func bandOf(v *book.View, mid num.Decimal, hasMid bool, bps int64, ps uint8) band {
	b := band{known: hasMid}
	if !hasMid {
		return b
	}
	// price x 10,000 is compared with mid x (10,000 -+ bps), both at the mid's scale, in 128 bits: nothing is rounded.
	up := num.Pow10(mid.Scale - ps)
	for _, side := range [...]model.Side{model.Bid, model.Ask} {
		factor := 10_000 - bps
		if side == model.Ask {
			factor = 10_000 + bps
		}
		var edge num.Acc
		edge.AddProduct(mid.Mant, factor)
		for l := range v.Levels(side, 0) {
			var price num.Acc
			price.AddProduct(int64(l.Price), 10_000*up)
			if c := price.Cmp(edge); (side == model.Bid && c < 0) || (side == model.Ask && c > 0) {
				break
			}
			b.size[side].AddProduct(int64(l.Size), 1)
			b.notional[side].AddProduct(int64(l.Price), int64(l.Size))
		}
	}
	return b
}

func appendBand(dst []byte, b band, bps int64, ps, ss uint8) []byte {
	dst = append(dst, `{"bps":`...)
	dst = strconv.AppendInt(dst, bps, 10)
	if !b.known {
		return append(dst, `,"bid_size":null,"ask_size":null,"bid_notional":null,"ask_notional":null,"imbalance":null}`...)
	}
	dst = append(dst, `,"bid_size":`...)
	dst = appendSize(dst, b.size[model.Bid], ss)
	dst = append(dst, `,"ask_size":`...)
	dst = appendSize(dst, b.size[model.Ask], ss)
	dst = append(dst, `,"bid_notional":`...)
	dst = appendNotional(dst, b.notional[model.Bid], ps+ss)
	dst = append(dst, `,"ask_notional":`...)
	dst = appendNotional(dst, b.notional[model.Ask], ps+ss)
	dst = append(dst, `,"imbalance":`...)
	dst = appendImbalance(dst, b.size[model.Bid], b.size[model.Ask])
	return append(dst, '}')
}

// appendImbalance writes (bid - ask) / (bid + ask), half-even to eight decimals; null where nothing rests in the band.
func appendImbalance(dst []byte, bid, ask num.Acc) []byte {
	difference, total := bid, bid
	difference.Add(ask.Neg())
	total.Add(ask)
	sum, err := total.Int64()
	if err != nil || sum <= 0 {
		return append(dst, "null"...)
	}
	q, err := difference.DivRound(sum, 0, quotientScale)
	if err != nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = num.AppendTrim(dst, q, quotientScale)
	return append(dst, '"')
}
