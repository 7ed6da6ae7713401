package http

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

var allKinds = []model.Kind{model.KindBook, model.KindTrades, model.KindStats}

// coverageQuery is what /data-quality/coverage was asked.
type coverageQuery struct {
	market *model.Market
	span   span
}

func parseCoverage(c *call) (coverageQuery, error) {
	p := c.params()
	if _, given := p.get("market_id"); !given {
		p.fault("market_id", "market_id is required")
	}
	q := coverageQuery{market: p.market("market_id"), span: p.history(c.clock())}
	return q, p.err
}

func answerCoverage(c *call, dst []byte, q coverageQuery) ([]byte, meta, error) {
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	h, sp := c.history(), history.Span{From: q.span.From, To: q.span.To}
	dst = appendMarket(dst, q.market)
	dst = append(dst, `,"start":`...)
	dst = strconv.AppendInt(dst, int64(sp.From), 10)
	dst = append(dst, `,"end":`...)
	dst = strconv.AppendInt(dst, int64(sp.To), 10)
	dst = append(dst, `,"kinds":[`...)
	for i, kind := range allKinds {
		held, err := h.Coverage(ctx, kind, q.market.ID, sp)
		if err != nil {
			return dst, meta{}, err
		}
		gaps, err := h.Gaps(ctx, []model.Kind{kind}, []model.MarketID{q.market.ID}, sp)
		if err != nil {
			return dst, meta{}, err
		}
		rhythm, err := c.rhythm(ctx, kind, q.market.ID, sp)
		if err != nil {
			return dst, meta{}, err
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"kind":"`...)
		dst = append(dst, kind.String()...)
		dst = append(dst, `","intervals":[`...)
		for j, v := range held {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"start":`...)
			dst = strconv.AppendInt(dst, int64(v.From.Millis()), 10)
			dst = append(dst, `,"end":`...)
			dst = strconv.AppendInt(dst, int64(v.To.Millis()), 10)
			dst = append(dst, '}')
		}
		dst = append(dst, `],"gaps":[`...)
		for j, g := range gaps {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendGap(dst, q.market, &g)
		}
		dst = append(dst, ']')
		dst = rhythm.append(dst)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), meta{}, nil
}

// rhythm is how many records of a kind a range holds and how far apart they are.
type rhythm struct {
	records     int64 // unknownTotal beyond the count limit
	median, p95 int64 // microseconds; -1 with fewer than two records
}

// rhythm reads the records of a range and measures the time between one and the next, on the clock of their kind.
func (c *call) rhythm(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) (rhythm, error) {
	r := rhythm{records: unknownTotal, median: -1, p95: -1}
	var steps []int64
	var n, last int64
	// add takes a record's time and tells whether to go on.
	add := func(t int64) bool {
		if n++; n > int64(c.server.countLimit) {
			return false
		}
		if n > 1 {
			steps = append(steps, t-last)
		}
		last = t
		return true
	}
	if err := c.recordTimes(ctx, kind, m, sp, add); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return r, nil
		}
		return r, err
	}
	if n > int64(c.server.countLimit) {
		return r, nil
	}
	r.records = n
	if len(steps) > 0 {
		slices.Sort(steps)
		r.median, r.p95 = steps[(len(steps)-1)/2], steps[(len(steps)-1)*95/100]
	}
	return r, nil
}

// recordTimes goes through the times of a kind's records, in microseconds.
func (c *call) recordTimes(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span, add func(int64) bool) error {
	h := c.history()
	switch kind {
	case model.KindBook:
		for row, err := range h.Updates(ctx, m, sp.From.Micros(), sp.To.Micros()) {
			if err != nil {
				return err
			}
			if !add(int64(row.Recv)) {
				return nil
			}
		}
	case model.KindTrades:
		for t, err := range h.Trades(ctx, m, sp, history.TradeQuery{Columns: record.Core}) {
			if err != nil {
				return err
			}
			if !add(int64(t.Time.Micros())) {
				return nil
			}
		}
	default:
		for row, err := range h.Stats(ctx, m, sp) {
			if err != nil {
				return err
			}
			if !add(int64(row.Time.Micros())) {
				return nil
			}
		}
	}
	return nil
}

func (r rhythm) append(dst []byte) []byte {
	dst = append(dst, `,"records":`...)
	if r.records < 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, r.records, 10)
	}
	dst = append(dst, `,"cadence":{"median_us":`...)
	dst = appendKnown(dst, r.median)
	dst = append(dst, `,"p95_us":`...)
	dst = appendKnown(dst, r.p95)
	return append(dst, '}')
}

func appendKnown(dst []byte, n int64) []byte {
	if n < 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendGap writes a gap row (contract 9.8, ruling 5).
func appendGap(dst []byte, m *model.Market, g *history.GapRow) []byte {
	dst = append(dst, `{"market_id":`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `,"kind":"`...)
	dst = append(dst, g.Kind.String()...)
	dst = append(dst, `","from":`...)
	dst = strconv.AppendInt(dst, int64(g.From.Millis()), 10)
	dst = append(dst, `,"to":`...)
	dst = appendMillisOrNull(dst, g.To.Millis())
	dst = append(dst, `,"cause":"`...)
	dst = append(dst, g.Cause.String()...)
	dst = append(dst, `","filled":`...)
	dst = strconv.AppendBool(dst, g.Filled)
	return append(dst, '}')
}

// gapsQuery is what /data-quality/gaps was asked.
type gapsQuery struct {
	markets map[model.MarketID]*model.Market
	ids     []model.MarketID // nil: all
	kinds   []model.Kind     // nil: all
	span    span
	page    page
}

func parseGaps(c *call) (gapsQuery, error) {
	q := gapsQuery{markets: map[model.MarketID]*model.Market{}}
	p := c.params()
	f := newFilterHasher("gaps")
	if m := p.market("market_id"); m != nil {
		q.markets[m.ID], q.ids = m, []model.MarketID{m.ID}
		f.addInt(int64(m.ID))
	} else {
		for _, m := range c.server.engine.Markets() {
			q.markets[m.ID] = m
		}
		f.addInt(-1)
	}
	kind := p.word("kind", "all", model.KindBook.String(), model.KindTrades.String(), model.KindStats.String())
	for _, k := range allKinds {
		if k.String() == kind {
			q.kinds = []model.Kind{k}
		}
	}
	q.span = p.history(c.clock())
	q.page = p.page(50, 1000, "asc")
	q.page.bind(&p, f.add(kind).span(q.span), &q.span)
	return q, p.err
}

func answerGaps(c *call, dst []byte, q gapsQuery) ([]byte, meta, error) {
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	rows, err := c.history().Gaps(ctx, q.kinds, q.ids, history.Span{From: q.span.From, To: q.span.To})
	if err != nil {
		return dst, meta{}, err
	}
	slices.SortStableFunc(rows, compareGaps)
	m := meta{Paged: true, Total: int64(len(rows)), Limit: q.page.Limit, Offset: q.page.Offset}
	if q.page.Descending {
		slices.Reverse(rows)
	}
	if q.page.Continued {
		after := history.GapRow{Market: q.page.After.Market, Gap: model.Gap{From: model.Micros(q.page.After.Time), Kind: model.Kind(q.page.After.ID)}}
		rows = slices.DeleteFunc(rows, func(r history.GapRow) bool {
			order := compareGaps(r, after)
			return order == 0 || (order < 0) != q.page.Descending
		})
	}
	rows = rows[min(q.page.Offset, len(rows)):]
	if len(rows) > q.page.Limit {
		rows = rows[:q.page.Limit]
		last := rows[len(rows)-1]
		m.NextCursor = q.page.next(c, position{Time: int64(last.From), Market: last.Market, ID: uint64(last.Kind)})
	}
	dst = append(dst, `{"gaps":[`...)
	for i := range rows {
		market := q.markets[rows[i].Market]
		if market == nil {
			market = &model.Market{Native: int64(rows[i].Market)} // known to the record only
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendGap(dst, market, &rows[i])
	}
	return append(dst, "]}"...), m, nil
}

// compareGaps orders gaps by where they begin, then by market and kind.
func compareGaps(a, b history.GapRow) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Market, b.Market), cmp.Compare(a.Kind, b.Kind))
}
