package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// saveRows bounds the accounts of one batch.
const saveRows = 4096

// load reads every account of the store. Addresses are in the accounts' rows; the family d is for whoever reads the
// store without the table.
func (t *Tracker) load() error {
	for row, err := range t.o.Store.Scan(context.Background(), key.All(key.AccountState)) {
		if err != nil {
			return err
		}
		id, err := key.ParseAccount(row.Key)
		if err != nil {
			return err
		}
		a, _ := t.shard(model.AccountID(id)).row(model.AccountID(id))
		if err := record.DecodeAccount(row.Value, a); err != nil {
			return fmt.Errorf("account %d: %w", id, err)
		}
		a.Positions = slices.Clip(a.Positions)
		t.owners.own(a.Address, a.ID)
		for i := range a.Positions {
			if p := &a.Positions[i]; p.Trade != 0 {
				t.loaded = max(t.loaded, p.AsOf)
			}
		}
	}
	return nil
}

// Loaded returns the time of the newest trade that the table had in it when it was loaded, 0 where it had none: trades
// from then on may be missing and are to be told again. A position's own last trade keeps it from counting one twice.
func (t *Tracker) Loaded() model.Millis { return t.loaded }

// Run writes changed accounts until ctx ends, and once more then. While the disk refuses, they wait in memory: the table
// is bounded by what the venue has, not by time.
func (t *Tracker) Run(ctx context.Context) error {
	ticker := time.NewTicker(t.o.SaveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return t.saveOrWarn()
		case <-ticker.C:
			if err := t.saveOrWarn(); err != nil {
				return err
			}
		}
	}
}

// saveOrWarn returns what writing cannot recover from. A full disk passes, and the trades that the rows come from are told
// again after a start.
func (t *Tracker) saveOrWarn() error {
	err := t.Save()
	if err == nil || errors.Is(err, kv.ErrFailed) || errors.Is(err, kv.ErrClosed) {
		return err
	}
	t.log.Warn("accounts not written", "error", err)
	return nil
}

// Save writes what changed since the last call. What could not be written is tried again by the next one.
func (t *Tracker) Save() error {
	ids := t.saves.Take()
	slices.Sort(ids)
	batch := t.o.Store.NewBatch()
	var row model.Account
	var k, v []byte
	for len(ids) > 0 {
		n := min(len(ids), saveRows)
		batch.Reset()
		for _, id := range ids[:n] {
			if !t.Get(id, &row) {
				continue
			}
			k, v = key.Account(k[:0], uint64(id)), record.AppendAccount(v[:0], &row)
			batch.Set(k, v)
			if row.Address != (model.Address{}) {
				k = key.Address(k[:0], row.Address, uint64(id))
				batch.Set(k, nil)
			}
		}
		if err := t.o.Store.Commit(batch, kv.Sync); err != nil {
			for _, id := range ids {
				t.saves.add(id)
			}
			return fmt.Errorf("write accounts: %w", err)
		}
		accountsSaved.Add(n)
		ids = ids[n:]
	}
	return nil
}
