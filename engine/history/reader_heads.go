package history

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// segmentHead is what a sealed segment of trades says of itself. Its key has the time of the first trade.
type segmentHead struct {
	first, last int64
	trades      uint32
	sum         uint64 // of its bytes, where rows are kept ready
}

// segmentHeads remembers the heads of market-days, so that counting does not go through the values of a day: those are
// a thousand times as long. Segments only change in batches that move the count of sealings on (see Reader.sealing), so
// heads are as good as read for as long as it stays what it was before they were read.
type segmentHeads struct {
	mu   sync.RWMutex
	days map[marketDay]*dayHeads
	held int // heads in all days
}

type marketDay struct {
	market uint32
	day    uint32
}

type dayHeads struct {
	sealing model.Micros
	heads   []segmentHead // ascending
}

// maxHeads is how many heads are remembered: those of a hundred million trades, in four megabytes.
const maxHeads = 1 << 17

func (c *segmentHeads) get(k marketDay, sealing model.Micros) ([]segmentHead, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	d := c.days[k]
	if d == nil || d.sealing != sealing {
		return nil, false
	}
	return d.heads, true
}

func (c *segmentHeads) put(k marketDay, d *dayHeads) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.days == nil {
		c.days = map[marketDay]*dayHeads{}
	}
	if old := c.days[k]; old != nil {
		c.held -= len(old.heads) + 1
	}
	c.days[k] = d
	c.held += len(d.heads) + 1
	for other, old := range c.days { // in no order: any of them may be the next one asked for
		if c.held <= maxHeads {
			return
		}
		if other != k {
			c.held -= len(old.heads) + 1
			delete(c.days, other)
		}
	}
}

// headsFunc returns the heads of a market-day's segments, ascending, as of a count of sealings or later. They must not be
// changed.
type headsFunc func(ctx context.Context, mkt, day uint32, sealing model.Micros) ([]segmentHead, error)

// segmentsOf returns heads that are remembered, or reads and remembers them. The day must not be one that retention has
// dropped.
func (r *Reader) segmentsOf(ctx context.Context, mkt, day uint32, sealing model.Micros) ([]segmentHead, error) {
	k := marketDay{mkt, day}
	if heads, ok := r.heads.get(k, sealing); ok {
		return heads, nil
	}
	heads, err := r.readHeads(ctx, mkt, day, sealing)
	if err != nil {
		return nil, err
	}
	after, err := r.sealing()
	if err == nil && after == sealing {
		r.heads.put(k, &dayHeads{sealing, heads})
	}
	return heads, err
}

// readHeads reads heads from the store.
func (r *Reader) readHeads(ctx context.Context, mkt, day uint32, _ model.Micros) (heads []segmentHead, err error) {
	rg, err := key.TradeRange(mkt, key.Sealed, key.DayStart(day), key.DayStart(day+1))
	if err != nil {
		return nil, err
	}
	for row, err := range r.store.Scan(ctx, rg) {
		if err != nil {
			return nil, err
		}
		k, err := key.ParseTrade(row.Key)
		if err != nil {
			return nil, err
		}
		h, err := record.TradeHeader(row.Value)
		if err != nil {
			return nil, err
		}
		if k.Time != h.First {
			return nil, fmt.Errorf("segment at %d begins at %d: %w", k.Time, h.First, record.ErrCorrupt)
		}
		head := segmentHead{first: h.First, last: h.Last, trades: h.Trades}
		if r.ready != nil {
			head.sum = maphash.Bytes(segmentSeed, row.Value)
		}
		heads = append(heads, head)
	}
	return heads, nil
}
