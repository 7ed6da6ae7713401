package http

import (
	"context"
	"math"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// loadFills has the newest fills of the accounts in memory. Where the record is busy the call is refused as every read of
// history is; what is in memory already is answered without one.
func (b *batch) loadFills(c *call) error {
	d := c.server.accounts
	if d.Fills == nil {
		return b.readFills(c)
	}
	b.missing = b.missing[:0]
	for _, id := range b.list {
		if _, ok := d.Fills.Recent(id, 0, nil); !ok {
			b.missing = append(b.missing, id)
		}
	}
	if len(b.missing) == 0 {
		return nil
	}
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return err
	}
	defer leave()
	return d.Fills.Load(ctx, b.missing)
}

// recentLookback is how far back the newest fills of an account are looked for where none are kept in memory.
const recentLookback = 30 * 24 * time.Hour

// readFills reads the newest fills of the accounts for this call alone.
func (b *batch) readFills(c *call) error {
	d := c.server.accounts
	b.read = nil
	if d.History == nil {
		return nil
	}
	from := c.nowMillis() - model.Millis(recentLookback.Milliseconds())
	return c.within(func(ctx context.Context) (err error) {
		b.read, err = d.History.FillsOf(ctx, b.list, history.Span{From: from, To: math.MaxInt64}, history.FillQuery{Reverse: true, Uncounted: true}, b.fills)
		return err
	})
}

// appendRecent appends the newest fills of the account at a place of the list, newest first. Those of an account that left
// the memory since the batch began, for more accounts than fit, are read again.
func (b *batch) appendRecent(c *call, dst []byte, at int, m *marks) ([]byte, error) {
	d, id, n := c.server.accounts, b.list[at], b.fills
	if d.Fills == nil {
		if at >= len(b.read) {
			return dst, nil
		}
		return appendFills(dst, b.read[at].Fills, m), nil
	}
	dst, ok := d.Fills.Append(dst, id, n, m.market)
	for tries := 0; !ok && tries < 3; tries++ {
		if err := c.within(func(ctx context.Context) error { return d.Fills.Load(ctx, []model.AccountID{id}) }); err != nil {
			return dst, err
		}
		dst, ok = d.Fills.Append(dst, id, n, m.market)
	}
	if !ok {
		return dst, errNoRoom
	}
	return dst, nil
}

func appendFills(dst []byte, rows []model.Fill, m *marks) []byte {
	first := true
	for i := range rows {
		k := m.of(rows[i].Market)
		if k == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = rows[i].AppendFill(dst, k.Info)
	}
	return dst
}
