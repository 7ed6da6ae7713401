package delivery

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

func (q *Queue) read(signal uuid.UUID, triggered model.Millis, id uuid.UUID) (d record.Delivery, err error) {
	err = q.o.Store.Get(key.Delivery(nil, signal, int64(triggered), id), func(v []byte) error {
		d, err = record.DecodeDelivery(v)
		return err
	})
	return d, err
}

// view is a row as its owner sees it.
func view(id, signal uuid.UUID, triggered model.Millis, d *record.Delivery) Delivery {
	return Delivery{
		ID: id, Signal: signal, URL: d.URL, Status: Status(d.Status), Attempts: int(d.Attempts), LastStatus: int(d.LastStatus),
		LastError: d.LastError, TriggeredAt: triggered, DeliveredAt: d.DeliveredAt,
	}
}

// Recent returns the last n deliveries of a signal, newest first.
func (q *Queue) Recent(ctx context.Context, signal uuid.UUID, n int) (out []Delivery, err error) {
	err = q.visit(ctx, signal, func(k key.DeliveryKey, v []byte) (bool, error) {
		d, err := record.DecodeDelivery(v)
		if err != nil {
			return false, err
		}
		out = append(out, view(k.ID, signal, model.Millis(k.Time), &d))
		return len(out) < n, nil
	})
	return out, err
}

// visit goes through the log of a signal, newest first, until fn returns false. The value is valid inside fn only.
func (q *Queue) visit(ctx context.Context, signal uuid.UUID, fn func(k key.DeliveryKey, v []byte) (bool, error)) error {
	today := key.Day(int64(q.now())) + 1 // a clock that was set back must not hide anything
	for day := today; day+LogDays+1 > today; day-- {
		for row, err := range q.o.Store.ScanReverse(ctx, key.DeliveriesOf(day, signal)) {
			if err != nil {
				return fmt.Errorf("read deliveries: %w", err)
			}
			k, err := key.ParseDelivery(row.Key)
			if err != nil {
				return fmt.Errorf("read deliveries: %w", err)
			}
			if more, err := fn(k, row.Value); err != nil || !more {
				return err
			}
		}
		if day == 0 {
			break
		}
	}
	return nil
}

// ErrPending reports a delivery that is still being tried.
var ErrPending = errors.New("delivery is still being tried")

// Resend sends a finished delivery once more, with all its attempts, under the same id and with the same bytes. It returns
// kv.ErrNotFound, or ErrPending.
func (q *Queue) Resend(signal, id uuid.UUID) (Delivery, error) {
	triggered, ok := triggeredAt(id)
	if !ok {
		return Delivery{}, kv.ErrNotFound
	}
	row, err := q.read(signal, triggered, id)
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	if len(row.Body) == 0 {
		return Delivery{}, kv.ErrNotFound
	}
	e := &entry{id: id, signal: signal, triggered: triggered, due: q.now(), before: int(row.Attempts), attempts: int(row.Attempts), resent: true}
	q.mu.Lock()
	_, waits := q.room.entries[id]
	if !waits {
		e.point, _ = q.room.reserve(place{row.Owner, row.URL}, true)
		q.room.entries[id] = e // nobody else sends it meanwhile
	}
	q.mu.Unlock()
	if waits {
		return Delivery{}, ErrPending
	}
	row.Status, row.DeliveredAt = uint8(Pending), 0
	b := q.o.Store.NewBatch()
	q.setQueued(b, e)
	b.Set(key.Delivery(nil, signal, int64(triggered), id), record.AppendDelivery(nil, &row))
	err = q.o.Store.Commit(b, kv.Sync)
	q.mu.Lock()
	if err != nil {
		q.room.finish(e)
	} else {
		q.room.put(e)
	}
	q.mu.Unlock()
	if err != nil {
		return Delivery{}, fmt.Errorf("queue delivery again: %w", err)
	}
	q.poke()
	return view(id, signal, triggered, &row), nil
}

// Waiting returns how many deliveries are not finished, and since when the oldest waits; 0 where there is none. Of what was sent again by
// hand it is known since when it is due.
func (q *Queue) Waiting() (n int, oldest model.Millis) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.room.entries {
		since := e.triggered
		if e.resent {
			since = e.due
		}
		if oldest == 0 || since < oldest {
			oldest = since
		}
	}
	return len(q.room.entries), oldest
}

// jittered is a wait made longer or shorter by up to a tenth, so that receivers that failed together are not called together.
func jittered(d time.Duration) time.Duration {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	span := int64(d) / 5
	if span <= 0 {
		return d
	}
	return d - d/10 + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(span+1))
}
