package account

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func problems(t *testing.T, store *kv.Store) (found []string) {
	t.Helper()
	if err := Check(t.Context(), store, func(_ []byte, problem string) error {
		found = append(found, problem)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// A store that a tracker wrote has no fault, and each way in which rows can be broken is found.
func TestCheck(t *testing.T) {
	owner, other := model.Address{1}, model.Address{2}
	account := func(a model.Account) []byte { return record.AppendAccount(nil, &a) }
	for _, tt := range []struct {
		name  string
		spoil func(b *kv.Batch)
		want  string // each part of it is in a problem of its own, in this order
	}{
		{"nothing", func(*kv.Batch) {}, ""},
		{"key of an account", func(b *kv.Batch) { b.Set(append(key.Account(nil, 1), 0), account(model.Account{})) }, "malformed"},
		{"value of an account", func(b *kv.Batch) { b.Set(key.Account(nil, 9), []byte{1, 2}) }, "corrupt"},
		{"key of an address", func(b *kv.Batch) { b.Set(key.Address(nil, owner, 1)[:20], nil) }, "malformed"},
		{"value of an address", func(b *kv.Batch) { b.Set(key.Address(nil, owner, 7), []byte{1}) }, "no row leads from the owner's address to account 7|has a value"},
		{"no address", func(b *kv.Batch) { b.Delete(key.Address(nil, owner, 7)) }, "no row leads from the owner's address to account 7"},
		{"no account", func(b *kv.Batch) { b.Set(key.Address(nil, owner, 8), nil) }, "account 8, which is not its own"},
		{"another's account", func(b *kv.Batch) { b.Set(key.Address(nil, other, 7), nil) }, "account 7, which is not its own"},
		{"order", func(b *kv.Batch) {
			b.Set(key.Account(nil, 3), account(model.Account{Positions: []model.Position{{Market: 2}, {Market: 2}}}))
		}, "not in the order"},
		{"entry", func(b *kv.Batch) {
			b.Set(key.Account(nil, 3), account(model.Account{Positions: []model.Position{{Size: 1, Entry: -1}}}))
		}, "below zero"},
		{"flat", func(b *kv.Batch) {
			b.Set(key.Account(nil, 3), account(model.Account{Positions: []model.Position{{Entry: 1}}}))
		}, "flat position"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := kvtest.Open(t)
			tr := newTracker(t, store)
			tr.Polled(&model.Account{ID: 7, Polled: 1, Address: owner})
			tr.Trade(0, buys(1, 5, 1, 1, known(3, 4)), false)
			if err := tr.Save(); err != nil {
				t.Fatal(err)
			}
			batch := store.NewBatch()
			tt.spoil(batch)
			if err := store.Commit(batch, kv.Sync); err != nil {
				t.Fatal(err)
			}
			found := problems(t, store)
			var want []string
			if tt.want != "" {
				want = strings.Split(tt.want, "|")
			}
			if !slices.EqualFunc(found, want, strings.Contains) {
				t.Errorf("found %q, want %q", found, want)
			}
			stop := errors.New("enough")
			if err := Check(t.Context(), store, func([]byte, string) error { return stop }); len(want) > 0 && !errors.Is(err, stop) {
				t.Errorf("the walk went on: %v", err)
			}
		})
	}
}
