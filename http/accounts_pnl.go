package http

import (
	"context"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// pnlResolutions are the buckets of /accounts/{id}/pnl; the venue's.
var pnlResolutions = []struct {
	word   string
	length time.Duration
}{
	{"1h", time.Hour}, {"1m", time.Minute}, {"5m", 5 * time.Minute}, {"15m", 15 * time.Minute}, {"4h", 4 * time.Hour}, {"1d", 24 * time.Hour},
}

// pnlQuery is what /accounts/{id}/pnl was asked.
type pnlQuery struct {
	account       model.Account
	resolution    string
	length        time.Duration
	span          span
	limit, offset int
	descending    bool
}

func parsePnL(c *call) (*pnlQuery, error) {
	q := &pnlQuery{}
	p := c.params()
	words := make([]string, len(pnlResolutions))
	for i, r := range pnlResolutions {
		words[i] = r.word
	}
	q.resolution = p.word("resolution", words...)
	for _, r := range pnlResolutions {
		if r.word == q.resolution {
			q.length = r.length
		}
	}
	q.span = p.history(c.clock())
	g := p.page(500, 5000, "asc")
	q.limit, q.offset, q.descending = g.Limit, g.Offset, g.Descending
	if g.Continued {
		p.fault("cursor", "this call is paged by offset")
	}
	if p.err != nil {
		return nil, p.err
	}
	return q, c.account(&q.account)
}

func answerPnL(c *call, dst []byte, q *pnlQuery) ([]byte, meta, error) {
	d := c.server.accounts
	if d.History == nil {
		return dst, meta{}, errNoAccountsHere
	}
	if d.Refresh != nil {
		d.Refresh.Track(q.account.ID)
	}
	m := meta{Paged: true, Limit: q.limit, Offset: q.offset}
	err := c.within(func(ctx context.Context) error {
		total, err := d.History.CountAccountSnapshots(ctx, q.account.ID, spanOf(q.span), q.length)
		if err != nil {
			return err
		}
		m.Total = int64(total)
		dst = num.AppendUint(append(dst, `{"account_index":`...), uint64(q.account.Index))
		dst = append(append(append(dst, `,"resolution":"`...), q.resolution...), `","pnl":[`...)
		if total == 0 { // a snapshot that is stored from here on belongs to the next answer
			var rows int
			dst, rows = c.appendPnLNow(dst, q)
			m.Total = int64(rows)
		} else if dst, err = c.appendPnLRows(ctx, dst, q); err != nil {
			return err
		}
		dst, err = c.appendPnLCoverage(ctx, append(dst, `],"coverage":`...), q, total)
		return err
	})
	return append(dst, '}'), m, err
}

// appendPnLRows appends the snapshots of the page.
func (c *call) appendPnLRows(ctx context.Context, dst []byte, q *pnlQuery) ([]byte, error) {
	skip, sent := q.offset, 0
	for s, err := range c.server.accounts.History.AccountSnapshots(ctx, q.account.ID, spanOf(q.span), q.length, q.descending) {
		if err != nil {
			return dst, err
		}
		if skip > 0 {
			skip--
			continue
		}
		if sent == q.limit {
			break
		}
		if sent > 0 {
			dst = append(dst, ',')
		}
		sent++
		dst = appendPnLRow(dst, s)
	}
	return dst, nil
}

func appendPnLRow(dst []byte, s *model.AccountSnapshot) []byte {
	dst = appendJSONInt(append(dst, `{"timestamp":`...), int64(s.Time))
	dst = appendMoney(append(dst, `,"total_account_value":`...), s.Value, true)
	dst = appendMoney(append(dst, `,"collateral":`...), s.Collateral, true)
	dst = appendMoney(append(dst, `,"unrealized_pnl":`...), s.Unrealized, true)
	dst = appendMoney(append(dst, `,"realized_pnl":`...), s.Realized, true)
	dst = appendMoney(append(dst, `,"trade_pnl":`...), s.Realized+s.Unrealized, true)
	dst = appendMoney(append(dst, `,"funding_paid":`...), s.Funding, true)
	dst = num.AppendUint(append(dst, `,"position_count":`...), uint64(s.Positions))
	dst = appendComputed(append(dst, `,"total_notional":`...), s.Notional)
	return append(dst, '}')
}

// appendPnLNow appends the row of this moment where no snapshot is held yet and the range reaches up to now: an account is
// tracked from the first time that it is asked for.
func (c *call) appendPnLNow(dst []byte, q *pnlQuery) ([]byte, int) {
	now := c.nowMillis()
	if q.account.Polled == 0 || q.span.From > now || q.span.To < now || q.offset > 0 {
		return dst, 0
	}
	s, ok := snapshotOf(&q.account, c.server.accounts.current(c))
	if !ok {
		return dst, 0
	}
	s.Time = now
	return appendPnLRow(dst, &s), 1
}

// snapshotOf returns what an account is worth; false where a position cannot be valued, as of stored snapshots.
func snapshotOf(a *model.Account, m *marks) (s model.AccountSnapshot, ok bool) {
	assessed := risk.Assess(a, m.lookup)
	if assessed.Unknown > 0 {
		return s, false
	}
	all := &assessed.Account
	s = model.AccountSnapshot{Account: a.ID, Value: all.Value, Collateral: a.Collateral, Unrealized: all.Profit, Notional: all.Notional,
		Positions: uint32(len(assessed.Exposures))}
	for i := range a.Positions {
		s.Realized += a.Positions[i].Realized
		s.Funding += a.Positions[i].FundingPaid
	}
	return s, true
}

// appendPnLCoverage writes from when to when snapshots are held; complete where every bucket of the range up to now has one.
func (c *call) appendPnLCoverage(ctx context.Context, dst []byte, q *pnlQuery, total uint64) ([]byte, error) {
	var ends [2]model.Millis
	for i, reverse := range []bool{false, true} {
		for s, err := range c.server.accounts.History.AccountSnapshots(ctx, q.account.ID, spanOf(q.span), q.length, reverse) {
			if err != nil {
				return dst, err
			}
			ends[i] = s.Time
			break
		}
	}
	length := model.Millis(q.length.Milliseconds())
	last := min(q.span.To, c.nowMillis()) - 1
	buckets := int64(last/length-q.span.From/length) + 1
	dst = appendMillisOrNull(append(dst, `{"start":`...), ends[0])
	dst = appendMillisOrNull(append(dst, `,"end":`...), ends[1])
	if total > 0 && int64(total) >= buckets {
		return append(dst, `,"complete":true}`...), nil
	}
	return append(dst, `,"complete":false}`...), nil
}
