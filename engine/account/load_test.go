package account

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// A table that is loaded is the one that was saved, the lists of owners with one account and with many included, and it
// goes on as that one does.
func TestLoadedTableIsTheSavedOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	store := kvtest.Open(t)
	saved, err := New(Options{Store: store, Markets: markets})
	if err != nil {
		t.Fatal(err)
	}
	const addresses = 400
	poll := func(tr *Tracker, id model.AccountID, owner byte, low byte) {
		a := &model.Account{ID: id, Index: int64(id), Polled: model.Millis(id + 1), Address: model.Address{owner, low}}
		for m := range r.IntN(3) {
			a.Positions = append(a.Positions, model.Position{Market: model.MarketID(m), Size: 5, Entry: 7})
		}
		tr.Polled(a)
	}
	for i := range 1500 { // some owners have one account, the first ones many; address 0 is nobody's
		id, n := model.AccountID(1000+(i*7919)&(1<<20-1)), r.IntN(r.IntN(addresses)+1)
		poll(saved, id, byte(n), byte(n>>8))
	}
	if err := saved.Save(); err != nil {
		t.Fatal(err)
	}
	loaded, err := New(Options{Store: store, Markets: markets})
	if err != nil {
		t.Fatal(err)
	}
	same := func(when string) {
		t.Helper()
		var got model.Account
		if loaded.Known() != saved.Known() {
			t.Fatalf("%s: %d accounts, want %d", when, loaded.Known(), saved.Known())
		}
		saved.Each(func(want *model.Account) bool {
			if !loaded.Get(want.ID, &got) || len(got.Positions)+len(want.Positions) > 0 && !reflect.DeepEqual(got.Positions, want.Positions) || got.Address != want.Address ||
				got.Index != want.Index || got.Polled != want.Polled {
				t.Errorf("%s: got %+v, want %+v", when, got, *want)
			}
			return true
		})
		for n := range addresses {
			a := model.Address{byte(n), byte(n >> 8)}
			if got, want := loaded.Owned(a), saved.Owned(a); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%s: address %d owns %v, want %v", when, n, got, want)
			}
		}
	}
	same("loaded")
	for n := range addresses { // another account of every owner must not write into its neighbour's list
		for _, tr := range []*Tracker{saved, loaded} {
			tr.Polled(&model.Account{ID: model.AccountID(n), Index: int64(n), Polled: 5, Address: model.Address{byte(n), byte(n >> 8)}})
		}
	}
	same("afterwards")
}

// A clock that was set back since does not say that trades of the future are in the table: those that a crash lost would
// not be told again.
func TestLoadedAfterClockSetBack(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	store := kvtest.Open(t)
	open := func() *Tracker {
		tr, err := New(Options{Store: store, Markets: markets, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	tr, traded := open(), model.Millis(now.UnixMilli()-1000)
	tr.Trade(0, buys(1, traded, 1_0000, 20_00, known(0, 0)), false)
	now = now.AddDate(1, 0, 0)
	tr.Polled(&model.Account{ID: 1, Polled: model.Millis(now.UnixMilli()), Positions: []model.Position{{Size: 1_0000, Entry: 20_000000}}})
	if err := tr.Save(); err != nil {
		t.Fatal(err)
	}
	now = now.AddDate(-1, 0, 0)
	if got := open().Loaded(); got != traded {
		t.Errorf("loaded up to %d, want %d", got, traded)
	}
}
