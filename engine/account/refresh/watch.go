package refresh

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	// trackFor is how long the history of an account is kept after it was asked for last, contract 9.6.
	trackFor = 30 * 24 * time.Hour
	// trackedAgain is the age from which another question for an account's history is noted.
	trackedAgain = time.Hour
	// maxTracked bounds the accounts whose history is kept; the one asked for longest ago makes room.
	maxTracked = 10_000
	// recentFor and maxRecent bound what counts as asked for lately.
	recentFor = time.Hour
	maxRecent = 8192
	// watchEvery is how often the stream's accounts are chosen anew, maxSwap how many of them change then at most: each
	// change costs two messages of the few that the venue allows.
	watchEvery = 10 * time.Second
	maxSwap    = 10

	trackedName    = "account/tracked"
	trackedVersion = 1
)

// errTracked reports a damaged row of tracked accounts.
var errTracked = errors.New("damaged list of tracked accounts")

// watched are the accounts that somebody is interested in. Refresher.mu guards it.
type watched struct {
	tracked  map[model.AccountID]model.Millis // when their history was asked for last
	recent   map[model.AccountID]model.Millis // when they were asked for last
	streamed []model.AccountID                // what the stream carries
	changed  bool                             // tracked is not saved
}

// all returns the accounts whose snapshots are kept.
func (w *watched) all() []model.AccountID {
	ids := slices.Clone(w.streamed)
	for id := range w.tracked {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (w *watched) ask(id model.AccountID, now model.Millis) {
	if len(w.recent) >= maxRecent {
		oldest(w.recent, now-millis(recentFor), maxRecent/2)
	}
	w.recent[id] = now
}

func (w *watched) track(id model.AccountID, now model.Millis) {
	last, ok := w.tracked[id]
	if ok && lately(last, now, trackedAgain) {
		return
	}
	if !ok && len(w.tracked) >= maxTracked {
		oldest(w.tracked, now-millis(trackFor), maxTracked-maxTracked/64)
	}
	w.tracked[id], w.changed = now, true
}

// oldest deletes what is older than since, and then the oldest until keep are left.
func oldest(m map[model.AccountID]model.Millis, since model.Millis, keep int) {
	for id, at := range m {
		if at < since {
			delete(m, id)
		}
	}
	if len(m) <= keep {
		return
	}
	for _, id := range newest(m)[keep:] {
		delete(m, id)
	}
}

// newest lists the accounts, the last one asked for first.
func newest(m map[model.AccountID]model.Millis) []model.AccountID {
	ids := make([]model.AccountID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b model.AccountID) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
	return ids
}

// follow chooses which accounts the stream carries: those whose history is kept, those asked for lately, then those with
// the most at risk.
func (r *Refresher) follow() {
	if r.o.Follow == nil || r.o.Streamed <= 0 {
		return
	}
	var urgent []model.AccountID
	if r.o.Urgent != nil {
		urgent = r.o.Urgent()
	}
	now := r.now()
	r.mu.Lock()
	w := &r.watch
	oldest(w.tracked, now-millis(trackFor), maxTracked)
	oldest(w.recent, now-millis(recentFor), maxRecent)
	candidates := slices.Concat(newest(w.tracked), newest(w.recent), urgent)
	known := func(id model.AccountID) bool { return r.o.Table.Get(id, new(model.Account)) }
	chosen := choose(w.streamed, candidates, r.o.Streamed, known)
	r.mu.Unlock()
	chosen = chosen[:min(r.o.Follow(chosen), len(chosen))] // the stream may have less room by now
	r.mu.Lock()
	w.streamed = chosen
	r.mu.Unlock()
}

// choose returns at most n accounts: first those now carried that are still among the best candidates, then the best new
// ones, at most maxSwap of them where others have to go, then those that would have had to.
func choose(now, candidates []model.AccountID, n int, known func(model.AccountID) bool) []model.AccountID {
	carried := make(map[model.AccountID]bool, len(now))
	for _, id := range now {
		carried[id] = true
	}
	best := make(map[model.AccountID]bool, n)
	var added []model.AccountID
	for _, id := range candidates {
		if len(best) == n {
			break
		}
		if !best[id] && known(id) {
			best[id] = true
			if !carried[id] {
				added = append(added, id)
			}
		}
	}
	var chosen, leaving []model.AccountID
	for _, id := range now {
		if best[id] {
			chosen = append(chosen, id)
		} else {
			leaving = append(leaving, id)
		}
	}
	if free := max(n-len(now), 0); len(added) > free+maxSwap {
		added = added[:free+maxSwap]
	}
	chosen = append(chosen, added...)
	return append(chosen, leaving[:min(len(leaving), max(n-len(chosen), 0))]...)
}

// load reads whose history is kept.
func (w *watched) load(store *kv.Store) error {
	w.tracked, w.recent = map[model.AccountID]model.Millis{}, map[model.AccountID]model.Millis{}
	if store == nil {
		return nil
	}
	err := store.Get(key.MetaRow(nil, trackedName), func(v []byte) error {
		if len(v) == 0 || v[0] != trackedVersion {
			return errTracked
		}
		for v = v[1:]; len(v) > 0; {
			id, n := binary.Uvarint(v)
			if n <= 0 {
				return errTracked
			}
			at, k := binary.Uvarint(v[n:])
			if k <= 0 {
				return errTracked
			}
			v = v[n+k:]
			w.tracked[model.AccountID(id)] = model.Millis(at)
		}
		return nil
	})
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	return err
}

// save writes whose history is kept, where that changed.
func (r *Refresher) save() error {
	r.mu.Lock()
	w := &r.watch
	if !w.changed || r.o.Store == nil {
		r.mu.Unlock()
		return nil
	}
	w.changed = false
	v := []byte{trackedVersion}
	for id, at := range w.tracked {
		v = binary.AppendUvarint(binary.AppendUvarint(v, uint64(id)), uint64(at))
	}
	r.mu.Unlock()
	b := r.o.Store.NewBatch()
	b.Set(key.MetaRow(nil, trackedName), v)
	if err := r.o.Store.Commit(b, kv.Sync); err != nil {
		r.mu.Lock()
		w.changed = true
		r.mu.Unlock()
		return fmt.Errorf("write whose history is kept: %w", err)
	}
	return nil
}
