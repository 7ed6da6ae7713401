package access

import (
	"context"
	"errors"
	"sync"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	// flushEvery is what a crash may lose of counts and of when a key was last used (contract 6).
	flushEvery = 5 * time.Second
	// usedStep is how exact that is while the process runs: many calls in one second write one word.
	usedStep = 1000 // ms
	// flushRows bounds how long one flush keeps changes of users and keys waiting.
	flushRows = 500
)

// touched lists the keys that were used since they were last written.
type touched struct {
	mu   sync.Mutex
	keys []*apiKey
}

// touch notes that a key was used.
func (a *Access) touch(k *apiKey, now model.Millis) {
	if was := k.used.Load(); now < model.Millis(was)+usedStep && now >= model.Millis(was) {
		return
	}
	k.used.Store(int64(now))
	if k.dirty.Load() || k.dirty.Swap(true) {
		return
	}
	a.touched.mu.Lock()
	defer a.touched.mu.Unlock()
	a.touched.keys = append(a.touched.keys, k)
}

// Run writes counts, windows and when keys were last used every 5 s until ctx ends, and once more then. What could not
// be written is tried again with the next round; only the last round's error is returned.
func (a *Access) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	return a.run(ctx, tick.C)
}

func (a *Access) run(ctx context.Context, tick <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			a.ending.Store(true)
			return a.write()
		case <-tick:
			if err := a.write(); err != nil {
				a.log.Warn("use of keys not written, trying again", "error", err)
			}
		}
	}
}

func (a *Access) write() error {
	return errors.Join(a.writeUsed(), a.flush(a.millis()))
}

// commit writes counts. The last round takes the store's reserve of disk space as well: what it left would be lost.
func (a *Access) commit(s *kv.Store, b *kv.Batch, d kv.Durability) error {
	if a.ending.Load() {
		return s.CommitReserve(b, d)
	}
	return s.Commit(b, d)
}

// writeUsed stores when keys were last used. It does not wait for the disk: the next round repeats nothing but a few
// seconds of use.
func (a *Access) writeUsed() error {
	if a.store == nil {
		return nil
	}
	a.touched.mu.Lock()
	keys := a.touched.keys
	a.touched.keys = nil
	a.touched.mu.Unlock()
	for len(keys) > 0 {
		n := min(len(keys), flushRows)
		if err := a.writeSome(keys[:n]); err != nil {
			a.touched.mu.Lock()
			a.touched.keys = append(a.touched.keys, keys...)
			a.touched.mu.Unlock()
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func (a *Access) writeSome(keys []*apiKey) error {
	a.dir.changing.Lock() // a key that is revoked meanwhile must not come back
	defer a.dir.changing.Unlock()
	b := a.store.NewBatch()
	for _, k := range keys {
		k.dirty.Store(false)
		if a.dir.key(k.id) != k {
			continue
		}
		rec := *k.record.Load()
		rec.used = model.Millis(k.used.Load())
		b.Set(key.APIKey(nil, k.owner.id, k.id), appendKey(nil, &rec))
	}
	err := stored("save use of keys", a.commit(a.store, b, kv.NoSync))
	if err != nil {
		for _, k := range keys {
			k.dirty.Store(true) // they stay listed
		}
	}
	return err
}
