package delivery

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	// cutAfter is by how many rows a signal's log may grow before it is cut to LogRows: to cut reads the whole of it.
	cutAfter = LogRows / 4
	// maxCut is how many rows are removed at once.
	maxCut = 10_000
)

// Drop adds the removal of everything that waits of a signal to a batch. Once that is committed, Forget must be called.
func (q *Queue) Drop(b *kv.Batch, signal uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.room.entries {
		if e.signal == signal {
			b.Delete(key.Queued(nil, int64(e.due), e.id))
		}
	}
}

// Forget drops what waits of a signal that is gone from the store, and removes its log.
func (q *Queue) Forget(ctx context.Context, signal uuid.UUID) error {
	q.mu.Lock()
	q.room.forget(signal)
	delete(q.grown, signal)
	q.mu.Unlock()
	for {
		if n, err := q.cut(ctx, signal, func(uuid.UUID) bool { return true }); err != nil || n < maxCut {
			return err
		}
	}
}

// Trim removes outcomes older than LogDays, and of each signal that wrote many those beyond its newest LogRows. What waits
// stays, and counts for nothing. It holds alone for a signal at a time, which must keep the others of Stage's kind out.
func (q *Queue) Trim(ctx context.Context, alone sync.Locker) error {
	if err := q.dropDays(alone); err != nil {
		return fmt.Errorf("remove old deliveries: %w", err)
	}
	for _, signal := range q.overgrown() {
		if err := q.cutOld(ctx, signal, alone); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) cutOld(ctx context.Context, signal uuid.UUID, alone sync.Locker) error {
	alone.Lock()
	defer alone.Unlock()
	kept := 0
	n, err := q.cut(ctx, signal, func(id uuid.UUID) bool {
		if q.waits(id) {
			return false
		}
		kept++
		return kept > LogRows
	})
	if err == nil && n < maxCut { // else there is more, for the next time
		q.mu.Lock()
		delete(q.grown, signal)
		q.mu.Unlock()
	}
	return err
}

// dropDays removes the days that are over, but none from which a delivery waits: a clock that was wrong for a moment, or an
// old one that was sent again, must not cost what is still to be sent.
func (q *Queue) dropDays(alone sync.Locker) error {
	alone.Lock()
	defer alone.Unlock()
	today := key.Day(int64(q.now()))
	if today <= LogDays {
		return nil
	}
	first := today - LogDays
	q.mu.Lock()
	for _, e := range q.room.entries {
		first = min(first, key.Day(int64(e.triggered)))
	}
	q.mu.Unlock()
	if first == q.cutBefore {
		return nil
	}
	if err := q.o.Store.DropBefore(key.DeliveryLog, first); err != nil {
		return err
	}
	q.cutBefore = first
	return nil
}

// overgrown returns the signals whose log is to be cut.
func (q *Queue) overgrown() (signals []uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for signal, n := range q.grown {
		if n >= cutAfter {
			signals = append(signals, signal)
		}
	}
	return signals
}

func (q *Queue) waits(id uuid.UUID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.room.entries[id] != nil
}

// cut removes rows of a signal's log that which chooses, asked from the newest on, and tells how many: maxCut at most.
func (q *Queue) cut(ctx context.Context, signal uuid.UUID, which func(uuid.UUID) bool) (n int, err error) {
	b := q.o.Store.NewBatch()
	err = q.visit(ctx, signal, func(k key.DeliveryKey, _ []byte) (bool, error) {
		if which(k.ID) {
			b.Delete(key.Delivery(nil, signal, k.Time, k.ID))
			n++
		}
		return n < maxCut, nil
	})
	if err != nil || n == 0 {
		return n, err
	}
	if err := q.o.Store.CommitReserve(b, kv.NoSync); err != nil { // it makes space
		return 0, fmt.Errorf("cut the log of deliveries: %w", err)
	}
	return n, nil
}
