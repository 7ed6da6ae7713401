package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// saveRows bounds the accounts of one batch.
const saveRows = 4096

// slab is how many rows are allocated at once while the table is loaded: rows are never taken out again.
const slab = 256

// load reads every account of the store. Addresses are in the accounts' rows; the family d is for whoever reads the
// store without the table. The maps are made last, when their sizes are known: a million accounts would grow them again
// and again.
func (t *Tracker) load() error {
	var rows [shards][]*model.Account
	var free []model.Account
	owned := 0
	for row, err := range t.o.Store.Scan(context.Background(), key.All(key.AccountState)) {
		if err != nil {
			return err
		}
		id, err := key.ParseAccount(row.Key)
		if err != nil {
			return err
		}
		if len(free) == 0 {
			free = make([]model.Account, slab)
		}
		a := &free[0]
		free = free[1:]
		a.ID, a.Index = model.AccountID(id), int64(id&(1<<venueShift-1))
		if err := record.DecodeAccount(row.Value, a); err != nil {
			return fmt.Errorf("account %d: %w", id, err)
		}
		a.Positions = slices.Clip(a.Positions)
		if a.Address != (model.Address{}) {
			owned++
		}
		for i := range a.Positions {
			if p := &a.Positions[i]; p.Trade != 0 && p.AsOf > t.loaded && !t.ahead(p.AsOf) { // told while the clock was wrong
				t.loaded = p.AsOf
			}
		}
		i := shardOf(a.ID)
		rows[i] = append(rows[i], a)
	}
	var wait sync.WaitGroup
	wait.Go(func() { t.owners.load(&rows, owned) })
	for i := range rows {
		accounts := make(map[model.AccountID]*model.Account, len(rows[i]))
		for _, a := range rows[i] {
			accounts[a.ID] = a
		}
		t.shards[i].accounts = accounts
	}
	wait.Wait()
	return nil
}

// load makes the table of owners from all rows, of which so many have one.
func (o *owners) load(rows *[shards][]*model.Account, owned int) {
	o.accounts = make(map[model.Address][]model.AccountID, owned)
	single := make([]model.AccountID, 0, owned) // most own one account: their lists lie in here
	for i := range rows {
		for _, a := range rows[i] {
			if a.Address == (model.Address{}) {
				continue
			}
			ids := o.accounts[a.Address]
			if len(ids) == 0 {
				single = append(single, a.ID)
				o.accounts[a.Address] = single[len(single)-1 : len(single) : len(single)]
				continue
			}
			at, _ := slices.BinarySearch(ids, a.ID)
			o.accounts[a.Address] = slices.Insert(ids, at, a.ID) // the list is full, so that this copies it
		}
	}
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
