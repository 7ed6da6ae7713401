package access

import (
	"testing"

	"github.com/google/uuid"

	"hyperlight/kv"
	"hyperlight/kv/key"
)

// A store with users, keys and usage is sound; every kind of row that is broken or missing is found.
func TestCheck(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "starter")
	p := h.caller(t, s.PlainKey)
	problems := func() (n int) {
		t.Helper()
		err := Check(t.Context(), h.store, func([]byte, string) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := problems(); n != 0 {
		t.Fatalf("%d problems in a sound store", n)
	}
	row := func(r key.Range) (k, v []byte) {
		t.Helper()
		if err := h.store.Last(r, func(rk, rv []byte) error { k, v = append(k, rk...), append(v, rv...); return nil }); err != nil {
			t.Fatal(err)
		}
		return k, v
	}
	change := func(fn func(b *kv.Batch)) {
		t.Helper()
		b := h.store.NewBatch()
		fn(b)
		if err := h.store.Commit(b, kv.Sync); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []key.Family{key.Users, key.Emails, key.APIKeys, key.KeyHashes} {
		k, v := row(key.All(f))
		for name, harm := range map[string]func(b *kv.Batch){
			"missing": func(b *kv.Batch) { b.Delete(k) },
			"cut":     func(b *kv.Batch) { b.Set(k, v[:len(v)-1]) },
			"longer":  func(b *kv.Batch) { b.Set(append(append([]byte{}, k...), 1), v) },
		} {
			change(harm)
			if problems() == 0 {
				t.Errorf("%s: a row that is %s is not found", f.Name(), name)
			}
			change(func(b *kv.Batch) { b.Delete(append(append([]byte{}, k...), 1)); b.Set(k, v) })
		}
	}
	bad := []byte{9}
	other := uuid.MustParse("00000000-0000-4000-8000-000000000001")
	for name, k := range map[string][]byte{
		"usage":       key.UsageHour(nil, p.Key, int64(startOfTests)),
		"rate window": key.RateWindow(nil, [20]byte{1}, int64(startOfTests)),
		"kept answer": key.KeptAnswer(nil, 20_000, other, [32]byte{1}),
	} {
		change(func(b *kv.Batch) { b.Set(k, bad) })
		if problems() != 1 {
			t.Errorf("a broken row of the family %s is not found", name)
		}
		change(func(b *kv.Batch) { b.Delete(k) })
	}
	if n := problems(); n != 0 {
		t.Errorf("%d problems after all was mended", n)
	}
}
