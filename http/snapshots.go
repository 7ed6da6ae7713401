package http

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const (
	defaultSnapshotDepth = 20
	// snapshotReach is how old the snapshot for a moment may be.
	snapshotReach = model.Millis(60_000)
)

var comma = []byte{','}

var snapshotIntervals = []string{"1s", "5s", "10s", "30s", "1m", "5m", "15m", "1h"}

// snapshotQuery is what /orderbook/{market_id}/snapshots was asked: one moment, or a page of a range.
type snapshotQuery struct {
	market   *model.Market
	depth    int
	single   bool
	at       model.Millis
	span     span
	interval time.Duration
	page     page
}

func parseSnapshots(c *call) (snapshotQuery, error) {
	var q snapshotQuery
	var err error
	if q.market, err = c.pathMarket(); err != nil {
		return q, err
	}
	p := c.params()
	q.depth = p.integer("depth", defaultSnapshotDepth, 1, maxDepth)
	if most := c.server.snapshots; most > 0 {
		q.depth = min(q.depth, most)
	}
	if q.at, q.single = p.moment("at"); c.past != nil {
		q.at, q.single = min(q.at, c.clock()), q.single && !c.atIsClock(&p)
	}
	if q.single {
		p.reach("at", q.at, c.nowMillis())
		for _, name := range []string{"start", "end", "interval", "cursor"} {
			if _, given := p.get(name); given {
				p.fault("at", "at cannot be combined with "+name)
			}
		}
		return q, p.err
	}
	q.span = p.history(c.clock())
	word := p.word("interval", snapshotIntervals...)
	q.page = p.page(50, 1000, "asc")
	if q.interval, err = time.ParseDuration(word); err != nil {
		return q, err // the words are constants
	}
	f := newFilterHasher("snapshots").addInt(int64(q.market.ID)).add(word).span(q.span)
	q.page.bind(&p, f, &q.span)
	return q, p.err
}

func answerSnapshots(c *call, dst []byte, q snapshotQuery) ([]byte, meta, error) {
	if q.single {
		return c.answerSnapshotAt(dst, q)
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	h := c.history()
	// The times come first: they are arithmetic over the held intervals, so counting and skipping reads no book.
	sp := history.Span{From: q.span.From, To: q.span.To}
	m := meta{Paged: true, Limit: q.page.Limit, Offset: q.page.Offset}
	var times []model.Millis
	more := false
	for t, err := range h.BookTimes(ctx, q.market.ID, sp, q.interval, q.page.Descending) {
		if err != nil {
			return dst, meta{}, err
		}
		m.Total++
		switch {
		case q.page.Continued && !q.page.Descending && int64(t) <= q.page.After.Time,
			q.page.Continued && q.page.Descending && int64(t) >= q.page.After.Time,
			m.Total <= int64(q.page.Offset):
		case len(times) < q.page.Limit:
			times = append(times, t)
		default:
			more = true
		}
	}
	dst = appendMarket(dst, q.market)
	dst = append(dst, `,"snapshots":[`...)
	if len(times) > 0 {
		first, last := times[0], times[len(times)-1]
		if more {
			m.NextCursor = q.page.next(c, position{Time: int64(last)})
		}
		if q.page.Descending {
			first, last = last, first
		}
		var found []history.Snapshot
		for s, err := range h.Books(ctx, q.market.ID, history.Span{From: first, To: last + 1}, q.interval) {
			if err != nil {
				return dst, meta{}, err
			}
			found = append(found, s)
		}
		if q.page.Descending {
			slices.Reverse(found)
		}
		for i, s := range found {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = c.appendSnapshot(dst, q.market, s, q.depth)
		}
	}
	dst = append(dst, `],"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, model.KindBook, []model.MarketID{q.market.ID}, sp); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), m, nil
}

// answerSnapshotAt sends the latest snapshot at or before a moment.
func (c *call) answerSnapshotAt(dst []byte, q snapshotQuery) ([]byte, meta, error) {
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	sp := history.Span{From: max(0, q.at-snapshotReach), To: q.at + 1}
	s, err := c.lastBook(ctx, q.market.ID, sp)
	if errors.Is(err, history.ErrNoData) {
		return dst, meta{}, model.NotFound("no snapshot at or within 60 s before that time")
	}
	if err != nil {
		return dst, meta{}, err
	}
	dst = appendMarket(dst, q.market)
	dst = append(dst, `,"snapshots":[`...)
	dst = c.appendSnapshot(dst, q.market, s, q.depth)
	dst = append(dst, `],"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, model.KindBook, []model.MarketID{q.market.ID}, sp); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), meta{}, nil
}

// lastBook returns the last snapshot in a span, in one step where the record has that.
func (c *call) lastBook(ctx context.Context, m model.MarketID, sp history.Span) (history.Snapshot, error) {
	h := c.history()
	if r, ok := h.(interface {
		LastBook(ctx context.Context, m model.MarketID, sp history.Span) (history.Snapshot, error)
	}); ok {
		return r.LastBook(ctx, m, sp)
	}
	for t, err := range h.BookTimes(ctx, m, sp, time.Second, true) {
		if err != nil {
			return history.Snapshot{}, err
		}
		v, err := h.BookAt(ctx, m, t.Micros())
		if errors.Is(err, history.ErrNoData) {
			continue // retention took it in between
		}
		return history.Snapshot{At: t, View: v}, err
	}
	return history.Snapshot{}, history.ErrNoData
}

// levelTexts is a record that has whole books ready as text.
type levelTexts interface {
	AppendLevels(dst []byte, m model.MarketID, s history.Snapshot, form any, write func(dst []byte) []byte) []byte
}

// appendSnapshot writes the book of a full second.
func (c *call) appendSnapshot(dst []byte, m *model.Market, s history.Snapshot, depth int) []byte {
	v := s.View
	ps, _ := m.ScaleAt(v.Epoch)
	dst = append(dst, `{"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(s.At), 10)
	levels := func(dst []byte) []byte { return appendLevels(dst, m, v, depth) }
	if h, ok := c.history().(levelTexts); ok && depth >= max(v.Len(model.Bid), v.Len(model.Ask)) {
		dst = h.AppendLevels(dst, m.ID, s, m, levels)
	} else {
		dst = levels(dst)
	}
	dst = appendQuotes(dst, v, ps)
	dst = append(dst, `,"nonce":`...)
	dst = strconv.AppendUint(dst, v.Seq, 10)
	dst = append(dst, `,"recv_ts":`...)
	if v.Recv == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(v.Recv), 10)
	}
	return append(dst, '}')
}

// appendLevels writes the best levels of both sides.
func appendLevels(dst []byte, m *model.Market, v *book.View, depth int) []byte {
	ps, ss := m.ScaleAt(v.Epoch)
	for _, side := range [...]model.Side{model.Bid, model.Ask} {
		if side == model.Bid {
			dst = append(dst, `,"bids":[`...)
		} else {
			dst = append(dst, `,"asks":[`...)
		}
		for l := range v.Levels(side, depth) {
			dst = append(l.AppendPair(dst, ps, ss), ',')
		}
		dst = append(bytes.TrimSuffix(dst, comma), ']')
	}
	return dst
}
