package ws

import (
	"cmp"
	"context"
	"io"
	"iter"
	"slices"
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/replay"
)

// pastStats is a market_stats channel, of one market or of all of the session's: the last row of each, then those that
// came. Where nothing had come yet the first row answers the subscribe.
type pastStats struct {
	native   *Native
	all      bool
	rows     []*statsCursor
	state    []*statsCursor // those with a row from before the beginning, until it is sent
	next     *statsCursor   // whose row is the next frame
	from     model.Micros
	answered bool // the answer to the subscribe is sent
}

// statsCursor is where the statistics of one market are read.
type statsCursor struct {
	h      replay.HistoryReader
	market *model.Market
	from   model.Millis // where reading goes on
	to     model.Millis
	step   func() (*history.StatsRow, error, bool)
	stop   func()
	lost   replay.Removal
	row    history.StatsRow
	held   bool // row is there and not yet sent
}

// statsReach is how far back the last statistics are looked for, in steps: rows are read forward.
var statsReach = []model.Millis{60_000, 600_000, 3_600_000, day}

func newPastStats(ctx context.Context, h replay.HistoryReader, n *Native, markets []*model.Market, all bool, from, to model.Millis) (*pastStats, error) {
	l := &pastStats{native: n, all: all, from: from.Micros()}
	for _, m := range markets {
		if m.Type == typeSpot {
			continue
		}
		c := &statsCursor{h: h, market: m, from: from, to: to}
		l.rows = append(l.rows, c)
		var err error
		if c.lost, err = replay.NewRemoval(h, model.KindStats, from); err != nil {
			return nil, err
		}
		if err := c.last(ctx, from); err != nil {
			return nil, err
		}
		if c.held {
			l.state = append(l.state, c)
		}
	}
	// The venue orders rows by their ids as text.
	slices.SortFunc(l.state, func(a, b *statsCursor) int {
		return cmp.Compare(strconv.FormatInt(a.market.Native, 10), strconv.FormatInt(b.market.Native, 10))
	})
	return l, nil
}

// last reads the last row before a moment.
func (c *statsCursor) last(ctx context.Context, before model.Millis) error {
	to := before
	for _, back := range statsReach {
		from := max(before-back, 0)
		for row, err := range c.h.Stats(ctx, c.market.ID, history.Span{From: from, To: to}) {
			if err != nil {
				return err
			}
			c.row, c.held = *row, true
		}
		if c.held {
			return nil
		}
		to = from
	}
	return nil
}

// read fills the cursor; held stays false at the end.
func (c *statsCursor) read(ctx context.Context) error {
	if c.held || c.from >= c.to {
		return nil
	}
	if c.step == nil {
		c.step, c.stop = iter.Pull2(c.h.Stats(ctx, c.market.ID, history.Span{From: c.from, To: c.to}))
	}
	row, err, ok := c.step()
	switch {
	case err != nil:
		return err
	case !ok:
		if err := c.lost.End(c.to); err != nil {
			return err
		}
		c.from = c.to
		c.release()
		return nil
	}
	if err := c.lost.Row(row.Time); err != nil {
		return err
	}
	c.row, c.held, c.from = *row, true, row.Time+1
	return nil
}

func (c *statsCursor) release() {
	if c.stop != nil {
		c.stop()
	}
	c.step, c.stop = nil, nil
}

func (l *pastStats) peek(ctx context.Context) (model.Micros, error) {
	if len(l.state) > 0 {
		return l.from, nil
	}
	if l.next == nil {
		for _, c := range l.rows {
			if err := c.read(ctx); err != nil {
				return 0, err
			}
			if c.held && (l.next == nil || c.row.Time < l.next.row.Time) {
				l.next = c
			}
		}
	}
	if l.next == nil {
		return 0, io.EOF
	}
	return l.next.row.Time.Micros(), nil
}

func (l *pastStats) append(b []byte) []byte {
	rows, first := l.state, !l.answered
	if len(rows) == 0 {
		rows = []*statsCursor{l.next}
	}
	var at model.Millis
	for _, c := range rows {
		at = max(at, c.row.Time)
	}
	if l.all {
		b = l.native.AllStats(b, func(yield func(*model.Market, *model.Stats) bool) {
			for _, c := range rows {
				if !yield(c.market, &c.row.Stats) {
					return
				}
			}
		}, at, first)
	} else {
		b = l.native.Stats(b, rows[0].market, &rows[0].row.Stats, at, first)
	}
	for _, c := range rows {
		c.held = false
	}
	l.state, l.next, l.answered = nil, nil, true
	return b
}

func (l *pastStats) release() {
	for _, c := range l.rows {
		c.release()
	}
}

func (l *pastStats) close() { l.release() }
