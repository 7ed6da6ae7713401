package feed

import "hyperlight/engine/model"

// Chunk sizes of an arena, in elements. A chunk lives as long as any event in it, so they are small: 64 KiB of levels,
// 32 trades.
const (
	levelChunk   = 4096
	tradeChunk   = 32
	payloadChunk = 128
)

// arena clones lent events into memory that is allocated by the chunk: a busy feed delivers 20,000 events per second,
// and one allocation for each would be the collector's main work. It has one owner and never reuses memory.
type arena struct {
	levels  []model.Level
	trades  []model.Trade
	books   []model.BookUpdate
	batches []model.TradeBatch
	stats   []model.Stats
	heights []model.Height
}

// clone returns an event that shares no memory with the decoder that lent it.
func (a *arena) clone(e *model.Event) model.Event {
	c := *e
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		u := one(&a.books, *p)
		u.Bids, u.Asks = many(&a.levels, p.Bids, levelChunk), many(&a.levels, p.Asks, levelChunk)
		c.Payload = u
	case *model.TradeBatch:
		b := one(&a.batches, *p)
		b.Rows = many(&a.trades, p.Rows, tradeChunk)
		c.Payload = b
	case *model.Stats:
		c.Payload = one(&a.stats, *p)
	case *model.Height:
		c.Payload = one(&a.heights, *p)
	default:
		return e.Clone()
	}
	return c
}

// one puts v into the chunk and returns its place.
func one[T any](chunk *[]T, v T) *T {
	if len(*chunk) == cap(*chunk) {
		*chunk = make([]T, 0, payloadChunk)
	}
	*chunk = append(*chunk, v)
	return &(*chunk)[len(*chunk)-1]
}

// many copies src into the chunk; a large one gets memory of its own, so that no chunk is left half empty for it.
func many[T any](chunk *[]T, src []T, size int) []T {
	n := len(src)
	if n == 0 {
		return nil
	}
	if n > size/4 {
		return append(make([]T, 0, n), src...)
	}
	if cap(*chunk)-len(*chunk) < n {
		*chunk = make([]T, 0, size)
	}
	from := len(*chunk)
	*chunk = append(*chunk, src...)
	return (*chunk)[from : from+n : from+n]
}
