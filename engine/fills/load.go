package fills

import (
	"context"
	"fmt"
	"math"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Load reads the accounts that are not in memory from the store, all in one pass. Accounts that are cost nothing, those
// that another call is reading are waited for.
func (f *Fills) Load(ctx context.Context, ids []model.AccountID) error {
	for {
		mine, waits := f.claim(ids)
		if len(mine) > 0 {
			if err := f.read(ctx, mine); err != nil {
				return fmt.Errorf("load recent fills: %w", err)
			}
			f.evict()
		}
		for _, ready := range waits {
			select {
			case <-ready:
			case <-ctx.Done():
				return fmt.Errorf("wait for recent fills: %w", ctx.Err())
			}
		}
		if len(waits) == 0 {
			return nil
		}
		// A call that was waited for may have failed: then its accounts are ours.
		ids = f.missing(ids)
		if len(ids) == 0 {
			return nil
		}
	}
}

// claim makes the accounts that are not there, which the caller must read, and returns what to wait for besides.
func (f *Fills) claim(ids []model.AccountID) (mine []model.AccountID, waits []chan struct{}) {
	for _, id := range ids {
		s := f.shard(id)
		s.mu.Lock()
		switch a := s.accounts[id]; {
		case a == nil:
			s.accounts[id] = &account{ready: make(chan struct{}), used: f.clock.Add(1)}
			f.bytes.Add(accountBytes)
			mine = append(mine, id)
		case !a.loaded:
			waits = append(waits, a.ready)
		}
		s.mu.Unlock()
	}
	if len(mine) == 0 {
		return mine, waits
	}
	// An id that stands twice waits for itself.
	own := make(map[chan struct{}]bool, len(mine))
	for _, id := range mine {
		s := f.shard(id)
		s.mu.Lock()
		if a := s.accounts[id]; a != nil {
			own[a.ready] = true
		}
		s.mu.Unlock()
	}
	others := waits[:0]
	for _, ready := range waits {
		if !own[ready] {
			others = append(others, ready)
		}
	}
	return mine, others
}

func (f *Fills) missing(ids []model.AccountID) (out []model.AccountID) {
	for _, id := range ids {
		s := f.shard(id)
		s.mu.Lock()
		if a := s.accounts[id]; a == nil || !a.loaded {
			out = append(out, id)
		}
		s.mu.Unlock()
	}
	return out
}

// read reads claimed accounts. What comes meanwhile is added to them; what came before is flushed, so that it is read.
func (f *Fills) read(ctx context.Context, ids []model.AccountID) (err error) {
	var found []history.AccountFills
	defer func() {
		for i, id := range ids {
			if err != nil || i >= len(found) {
				f.finish(id, nil, false)
			} else {
				f.finish(id, found[i].Fills, true)
			}
		}
	}()
	if f.o.Flush != nil {
		if err := f.o.Flush(ctx); err != nil {
			return err
		}
	}
	from := f.o.Now().Add(-f.o.Lookback).UnixMilli()
	span := history.Span{From: model.Millis(from), To: math.MaxInt64}
	found, err = f.o.Reader.FillsOf(ctx, ids, span, history.FillQuery{Reverse: true, Uncounted: true}, MaxRecent)
	if err == nil {
		loads.Add(len(ids))
	}
	return err
}

// finish puts what was read to what came meanwhile, or takes the account back.
func (f *Fills) finish(id model.AccountID, fills []model.Fill, ok bool) {
	s := f.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[id]
	if a == nil || a.loaded {
		return
	}
	before := a.size()
	if ok {
		if len(a.rows) == 0 {
			a.rows = make([]packed, 0, len(fills))
		}
		for i := range fills {
			a.insert(&fills[len(fills)-1-i])
		}
		a.loaded = true
		f.bytes.Add(int64(a.size() - before))
	} else {
		delete(s.accounts, id)
		f.bytes.Add(-int64(before) - accountBytes)
	}
	close(a.ready)
}
