package history

import (
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

var queueBlocked = metrics.NewFloatCounter("hyperlight_history_queue_blocked_seconds_total")

// item is one thing for the writer goroutine to do: exactly one of event, tick and call is set.
type item struct {
	event  *model.Event
	view   *book.View
	second model.Micros
	held   []market.Held
	// call runs on the writer goroutine after everything queued before it has been applied (not committed).
	call  func()
	rows  int
	bytes int
}

// queue is the bounded way from the shards to the writer goroutine. Rows and bytes count until the writer has applied
// them, so that the bound also holds for what it has taken and not yet worked off.
type queue struct {
	mu       sync.Mutex
	space    sync.Cond
	items    []item
	rows     int
	bytes    int
	maxRows  int
	maxBytes int
	closed   bool
	now      func() time.Time
	ready    chan struct{} // capacity 1
}

func newQueue(maxRows, maxBytes int, now func() time.Time) *queue {
	q := &queue{maxRows: maxRows, maxBytes: maxBytes, now: now, ready: make(chan struct{}, 1)}
	q.space.L = &q.mu
	return q
}

// put appends an item and waits while the queue is full. It reports false once the writer has ended. An item larger
// than the whole queue is let in when the queue is empty, so that it cannot block for ever.
func (q *queue) put(it item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full(it) && !q.closed {
		began := q.now()
		for q.full(it) && !q.closed {
			q.space.Wait()
		}
		queueBlocked.Add(q.now().Sub(began).Seconds())
	}
	if q.closed {
		return false
	}
	q.rows += it.rows
	q.bytes += it.bytes
	q.items = append(q.items, it)
	if len(q.items) == 1 {
		select {
		case q.ready <- struct{}{}:
		default:
		}
	}
	return true
}

func (q *queue) full(it item) bool {
	if it.rows == 0 || q.rows == 0 {
		return false
	}
	return q.rows+it.rows > q.maxRows || q.bytes+it.bytes > q.maxBytes
}

// take swaps everything that waits against an emptied slice.
func (q *queue) take(empty []item) []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.items
	q.items = empty[:0]
	return taken
}

// release gives room back after items were applied.
func (q *queue) release(rows, bytes int) {
	if rows == 0 && bytes == 0 {
		return
	}
	q.mu.Lock()
	q.rows -= rows
	q.bytes -= bytes
	q.mu.Unlock()
	q.space.Broadcast()
}

// close refuses further items and returns those that wait.
func (q *queue) close() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	rest := q.items
	q.items = nil
	q.space.Broadcast()
	return rest
}
