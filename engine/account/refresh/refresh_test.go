package refresh

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// TestUnknownAccountsAreWaitedFor checks who waits: callers of unknown accounts, at most ten seconds, and nobody else.
func TestUnknownAccountsAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab := newVenueOf(t, 60), newTable()
		r, stop := start(t, Options{Venue: v, Table: tab, Allowance: 60, Share: 50})
		defer stop()
		tab.know(1, true, ids(100, 105)...)
		began := time.Now()
		if failed := r.Refresh(t.Context(), ids(100, 105), nil); failed != nil || time.Since(began) != 0 {
			t.Errorf("known accounts: %v after %v", failed, time.Since(began))
		}
		failed := r.Refresh(t.Context(), []model.AccountID{7, 8, 7, 1_000_001, 100}, nil)
		if failed != nil || time.Since(began) != v.delay {
			t.Errorf("unknown accounts: %v after %v", failed, time.Since(began))
		}
		if tab.polled(7) == 0 || tab.polled(8) == 0 || tab.missing[1_000_001] == 0 || len(v.calls()) != 3 {
			t.Errorf("table %v, missing %v, calls %v", tab.rows, tab.missing, v.calls())
		}
		// What the venue does not know is not asked for again, for a while.
		began = time.Now()
		if failed := r.Refresh(t.Context(), []model.AccountID{1_000_001}, nil); failed != nil || time.Since(began) != 0 {
			t.Errorf("a missing account: %v after %v", failed, time.Since(began))
		}
		time.Sleep(unknownHolds)
		if r.Refresh(t.Context(), []model.AccountID{1_000_001}, nil); len(calls(v, 1_000_001)) != 2 {
			t.Errorf("a missing account was asked for %d times", len(calls(v, 1_000_001)))
		}
		// A venue that fails is told of, account by account.
		v.set(func() {
			v.fail = func(id model.AccountID) error {
				if id == 20 {
					return errVenue
				}
				return nil
			}
		})
		failed = r.Refresh(t.Context(), []model.AccountID{20, 21}, nil)
		if len(failed) != 1 || failed[20] == nil || failed[20].Code != model.CodeUpstream || tab.polled(21) == 0 {
			t.Errorf("failed %v", failed)
		}
		// And one that does not answer in time.
		v.set(func() { v.delay = 30 * time.Second })
		began = time.Now()
		failed = r.Refresh(t.Context(), []model.AccountID{30, 100}, nil)
		if len(failed) != 1 || failed[30] == nil || time.Since(began) != waitAtMost {
			t.Errorf("failed %v after %v", failed, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if failed = r.Refresh(ctx, []model.AccountID{31}, nil); failed[31] == nil || time.Since(began) != waitAtMost+time.Second {
			t.Errorf("failed %v after %v", failed, time.Since(began))
		}
	})
}

func calls(v *venue, id model.AccountID) (of []asked) {
	for _, c := range v.calls() {
		if c.id == id {
			of = append(of, c)
		}
	}
	return of
}

// TestOwners looks accounts up by address.
func TestOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab := newVenueOf(t, 60), newTable()
		a, b := model.Address{1}, model.Address{2}
		v.owned[a] = []model.AccountID{5, 6}
		r, stop := start(t, Options{Venue: v, Table: tab, Allowance: 60, Share: 50})
		defer stop()
		began := time.Now()
		if failed := r.Refresh(t.Context(), nil, []model.Address{a, b, a}); failed != nil || time.Since(began) != v.delay || len(tab.Owned(a)) != 2 {
			t.Errorf("%v after %v, owned %v", failed, time.Since(began), tab.Owned(a))
		}
		if !r.Unknown(b) || r.Unknown(a) || len(v.calls()) != 2 {
			t.Errorf("unknown %v %v, %d calls", r.Unknown(a), r.Unknown(b), len(v.calls()))
		}
		r.Refresh(t.Context(), nil, []model.Address{a, b})
		if time.Since(began) != v.delay || len(v.calls()) != 2 {
			t.Errorf("asked again: %v", v.calls())
		}
		// Once a day whether there are more, without waiting.
		time.Sleep(ownerHolds)
		v.set(func() { v.owned[a] = append(v.owned[a], 7) })
		before := time.Now()
		if r.Refresh(t.Context(), nil, []model.Address{a}); time.Since(before) != 0 {
			t.Errorf("waited %v for a known owner", time.Since(before))
		}
		time.Sleep(time.Minute)
		if len(tab.Owned(a)) != 3 {
			t.Errorf("owned %v", tab.Owned(a))
		}
		v.set(func() { v.fail = func(model.AccountID) error { return errVenue } })
		if r.Refresh(t.Context(), nil, []model.Address{{9}}); r.Unknown(model.Address{9}) {
			t.Error("a failed lookup counts as nobody's address")
		}
	})
}

// TestTenCallersShareTheBudget lets ten callers batch different thousands of unknown accounts at once, again and again:
// the budget holds in every rolling minute, each gets its share, what could not be had in time is told and comes later,
// and whoever asks for known accounts waits for none of it.
func TestTenCallersShareTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab := newVenueOf(t, 60), newTable()
		r, stop := start(t, Options{Venue: v, Table: tab, Allowance: 60, Share: 50})
		tab.know(model.Millis(time.Now().UnixMilli()), true, 999_999)
		var callers sync.WaitGroup
		served := make([]int, 10)
		for i := range served {
			callers.Go(func() {
				mine := ids(model.AccountID(1000*i+1), model.AccountID(1000*i+1001))
				for range 6 {
					began := time.Now()
					failed := r.Refresh(context.Background(), append(slices.Clone(mine), 999_999), nil)
					if d := time.Since(began); d > waitAtMost {
						t.Errorf("caller %d waited %v", i, d)
					}
					known := 0
					for _, id := range mine {
						if tab.Get(id, new(model.Account)) {
							known++
						} else if failed[id] == nil {
							t.Errorf("caller %d: account %d is neither known nor failed", i, id)
						}
					}
					served[i] = known
					time.Sleep(time.Second)
				}
			})
		}
		callers.Go(func() {
			for range 600 {
				time.Sleep(100 * time.Millisecond)
				before := time.Now()
				if r.Refresh(context.Background(), []model.AccountID{999_999}, nil); time.Since(before) != 0 {
					t.Errorf("a known account was waited for %v", time.Since(before))
				}
			}
		})
		callers.Wait()
		if s := r.Status(); s.Queued > maxQueue || s.Waited > 0 {
			t.Errorf("status %+v", s)
		}
		time.Sleep(time.Hour)
		stop()
		log := v.calls()
		if n := busiest(log); n > ownAllowance(60) || n < 25 {
			t.Errorf("%d calls in a rolling minute", n)
		}
		fewest, most := slices.Min(served), slices.Max(served)
		if fewest < 4 || most > fewest+maxActive+4 { // the very first caller finds all places free
			t.Errorf("callers were served %v", served)
		}
		// An hour later thirty a minute of what was asked for came in its turn.
		if n := len(tab.rows); n < 1500 {
			t.Errorf("%d accounts are known", n)
		}
	})
}

// TestOrderOfSpending checks that what was asked for comes before all else, the oldest first.
func TestOrderOfSpending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab := newVenueOf(t, 60), newTable()
		tab.know(1, true, ids(1, 50)...)
		r, stop := start(t, Options{
			Venue: v, Table: tab, Allowance: 60, Share: 50, Urgent: func() []model.AccountID { return ids(40, 50) },
		})
		defer stop()
		time.Sleep(21 * time.Second) // ten calls, of every kind
		n := len(v.calls())
		if n != 10 {
			t.Fatalf("%d calls in 21 s, want one each 2 s", n)
		}
		tab.know(30, true, 103)
		tab.know(10, true, 101)
		tab.know(20, true, 102)
		for range 3 {
			r.Refresh(t.Context(), []model.AccountID{103, 101, 102}, nil)
		}
		time.Sleep(20 * time.Second)
		var order []model.AccountID
		for i, c := range v.calls()[n:] {
			order = append(order, c.id)
			if want := map[bool]feed.Priority{true: feed.Refresh, false: feed.Tracking}[i < 3]; c.priority != want {
				t.Errorf("account %d was asked for at priority %v", c.id, c.priority)
			}
		}
		if len(order) < 6 || !slices.Equal(order[:3], []model.AccountID{101, 102, 103}) {
			t.Errorf("asked in the order %v", order)
		}
		urgent := 0
		for _, c := range v.calls() {
			if c.id >= 40 && c.id < 50 {
				urgent++
			}
		}
		if urgent < 8 {
			t.Errorf("%d of 17 calls of our own choice were urgent ones", urgent)
		}
	})
}

// TestShortListsAreSpread checks that a few accounts are not asked for in a burst once a minute.
func TestShortListsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab := newVenueOf(t, 60), newTable()
		tab.know(1, true, 2, 4, 6, 8, 10)
		_, stop := start(t, Options{Venue: v, Table: tab, Allowance: 60, Share: 50})
		time.Sleep(20 * time.Minute)
		stop()
		log := v.calls()
		if n := len(log); n < 60 || n > 101 {
			t.Errorf("%d calls for five accounts in 20 minutes", n)
		}
		for i := range log[1:] {
			if d := log[i+1].at.Sub(log[i].at); d < 9*time.Second {
				t.Errorf("calls %v apart", d)
			}
		}
	})
}

// TestScheduler plays random callers against random accounts: never over the budget, never twice at once, nobody who is
// known waits, paced calls keep their distance, and everybody's turn comes.
func TestScheduler(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 6))
				allowance := 12 + rnd.IntN(120)
				v, tab := newVenueOf(t, allowance), newTable()
				v.delay = time.Duration(rnd.IntN(3000)) * time.Millisecond
				open, idle := model.AccountID(rnd.IntN(allowance*2)), model.AccountID(rnd.IntN(allowance))
				tab.know(1, true, ids(10_000, 10_000+open)...)
				tab.know(1, false, ids(20_000, 20_000+idle)...)
				v.open = func(id model.AccountID) bool { return id < 20_000 }
				fails := rnd.Float64() * 0.2
				v.fail = func(model.AccountID) error {
					v.mu.Lock()
					defer v.mu.Unlock()
					if rnd.Float64() < fails {
						return errVenue
					}
					return nil
				}
				var urgent []model.AccountID
				if open > 4 {
					urgent = ids(10_000, 10_004)
				}
				r, stop := start(t, Options{
					Venue: v, Table: tab, Allowance: allowance, Share: 50, Urgent: func() []model.AccountID { return urgent },
				})
				var callers sync.WaitGroup
				for c := range 4 {
					own := rand.New(rand.NewPCG(seed, uint64(c)))
					callers.Go(func() {
						for range 20 {
							time.Sleep(time.Duration(own.IntN(20_000)) * time.Millisecond)
							batch := ids(0, 0)
							cold := own.IntN(3) == 0
							for range own.IntN(30) {
								switch {
								case cold:
									batch = append(batch, model.AccountID(own.IntN(300)))
								case open > 0:
									batch = append(batch, 10_000+model.AccountID(own.IntN(int(open))))
								}
							}
							began := time.Now()
							r.Refresh(context.Background(), batch, nil)
							if d := time.Since(began); d > waitAtMost || !cold && d != 0 {
								t.Errorf("a caller waited %v", d)
							}
						}
					})
				}
				callers.Wait()
				from := len(v.calls())
				quiet := time.Now()
				time.Sleep(40 * time.Minute)
				stop()
				log := v.calls()
				if n := busiest(log); n > ownAllowance(allowance) {
					t.Errorf("%d calls in a rolling minute, %d are granted", n, allowance)
				}
				last := time.Time{}
				for _, c := range log[from:] {
					if c.priority == feed.Tracking && c.at.Sub(quiet) > 2*time.Minute {
						if d := c.at.Sub(last); d < r.o.interval()-time.Millisecond {
							t.Errorf("paced calls %v apart, want %v", d, r.o.interval())
						}
						last = c.at
					}
				}
				seen := map[model.AccountID]bool{}
				for _, c := range log {
					seen[c.id] = true
				}
				for _, id := range slices.Concat(ids(10_000, 10_000+open), ids(20_000, 20_000+idle)) {
					if !seen[id] {
						t.Errorf("account %d of %d open and %d idle ones was never asked for", id, open, idle)
					}
				}
			})
		})
	}
}
