package backup_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyperlight/engine/check"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// One bit that differs anywhere in the files of a backup is found, and any of them that is missing.
func TestVerifyFindsEachBit(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	g := newRig(t)
	g.set(strings.Repeat("old", 1000))
	if err := history.SaveMarkets(g.store, []*model.Market{{ID: 1, Native: 1, Symbol: "M", PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}}}); err != nil {
		t.Fatal(err)
	}
	if err := g.store.Close(); err != nil { // closed and opened, the rows lie in a table
		t.Fatal(err)
	}
	var err error
	if g.store, err = kv.Open(g.o); err != nil {
		t.Fatal(err)
	}
	b := g.backups(0)
	one, err := b.Create("one", "")
	if err != nil {
		t.Fatal(err)
	}
	harm := func(name string, change func(data []byte) []byte) (found bool) {
		t.Helper()
		path := filepath.Join(one.Path, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil { // a table is a link to that of the store
			t.Fatal(err)
		}
		if harmed := change(bytes.Clone(data)); harmed != nil {
			if err := os.WriteFile(path, harmed, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		two, err := b.Find("one")
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Verify(t.Context(), two, check.Options{})
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return err != nil || len(r.Damage) > 0
	}
	gone := func([]byte) []byte { return nil }
	for _, f := range one.Manifest.Files {
		name := filepath.Join("store", f.Name)
		if !harm(name, gone) {
			t.Errorf("%s is missing, and that is not found", name)
		}
		for range min(f.Bytes, 15) {
			at, bit := rnd.IntN(int(f.Bytes)), rnd.IntN(8)
			if !harm(name, func(data []byte) []byte { data[at] ^= 1 << bit; return data }) {
				t.Errorf("bit %d of byte %d of %s is not found", bit, at, name)
			}
		}
	}
	if !harm("backup.json", gone) {
		t.Error("the manifest is missing, and that is not found")
	}
	for _, name := range []string{"files", "sha256", "name"} {
		if !harm("backup.json", func(data []byte) []byte { return bytes.Replace(data, []byte(name), []byte("F"+name[1:]+"_"), 1) }) {
			t.Errorf("a manifest without %s is not found", name)
		}
	}
}
