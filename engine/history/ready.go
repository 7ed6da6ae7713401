package history

import (
	"container/list"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

var (
	readyHits   = metrics.NewCounter("hyperlight_history_ready_hits_total")
	readyMisses = metrics.NewCounter("hyperlight_history_ready_misses_total")
)

// readyKey names stored rows whose content is known: a segment by its place and the sum of its bytes, a piece of candles by
// its place. What is kept under it is true for ever or says itself until when.
type readyKey struct {
	kind   readyKind
	market uint32
	at     int64  // of the first row
	sum    uint64 // of a segment's bytes
}

type readyKind uint8

const (
	readyTrades readyKind = iota
	readyTimes
	readyCandles
	readyBooks
	readyPlaces
	readyLevels
)

// readyRows keeps rows as they are answered with, so that an answer that has them is made by copying: whatever range, page
// and order is asked for, its rows come from here and from the store together. It holds rows, never answers. The memory is
// bounded; what was not used for longest goes first. While it is full, a newcomer has to be asked for twice: a walk through
// the whole record does not drive out what is asked for all the time.
type readyRows struct {
	mu    sync.Mutex
	limit int64
	size  int64
	items map[readyKey]*list.Element
	used  list.List // of *readyItem, the last used one first
	// asked holds who was refused lately, in two generations that a bounded number of newcomers fill.
	asked, askedBefore map[readyKey]struct{}

	hits, misses uint64
}

type readyItem struct {
	key   readyKey
	value any // immutable
	size  int64
}

// maxAsked bounds each generation of those that were refused.
const maxAsked = 4096

// itemOverhead is about what the tables need for an item.
const itemOverhead = 256

func newReadyRows(limit int64) *readyRows {
	return &readyRows{limit: limit, items: map[readyKey]*list.Element{}, asked: map[readyKey]struct{}{}}
}

// get returns what is kept under a key, nil where nothing is.
func (c *readyRows) get(k readyKey) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[k]
	if e == nil {
		c.misses++
		readyMisses.Inc()
		return nil
	}
	c.hits++
	readyHits.Inc()
	c.used.MoveToFront(e)
	return e.Value.(*readyItem).value
}

// admits tells whether it is worth making what a key names.
func (c *readyRows) admits(k readyKey, size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+size <= c.limit || c.items[k] != nil {
		return true
	}
	_, now := c.asked[k]
	_, before := c.askedBefore[k]
	if now || before {
		delete(c.asked, k)
		delete(c.askedBefore, k)
		return true
	}
	if len(c.asked) >= maxAsked {
		c.asked, c.askedBefore = c.askedBefore, c.asked
		clear(c.asked)
		if c.asked == nil {
			c.asked = map[readyKey]struct{}{}
		}
	}
	c.asked[k] = struct{}{}
	return false
}

// put keeps a value, in the place of another one under its key.
func (c *readyRows) put(k readyKey, value any, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size += itemOverhead
	if old := c.items[k]; old != nil {
		c.drop(old)
	}
	if size > c.limit {
		return
	}
	c.items[k] = c.used.PushFront(&readyItem{k, value, size})
	for c.size += size; c.size > c.limit; {
		c.drop(c.used.Back())
	}
}

func (c *readyRows) drop(e *list.Element) {
	it := c.used.Remove(e).(*readyItem)
	delete(c.items, it.key)
	c.size -= it.size
}

// ReadyStats says how much of what was asked for was ready, and how many bytes are kept.
type ReadyStats struct {
	Hits, Misses uint64
	Bytes        int64
}

// Ready returns what became of the rows that are kept ready since the start.
func (r *Reader) Ready() (s ReadyStats) {
	if c := r.ready; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		s = ReadyStats{c.hits, c.misses, c.size}
	}
	return s
}
