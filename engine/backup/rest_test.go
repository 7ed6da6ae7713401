package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hyperlight/engine/check"
	"hyperlight/kv"
)

// What a backup or its removal left behind when the process was killed goes with the next backup: its links would keep
// the tables that the store has dropped, unseen. What somebody else has put there stays.
func TestCreateRemovesRests(t *testing.T) {
	g := newRig(t)
	g.set("x")
	b := g.backups(0)
	one, err := b.Create("one", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(t.Context(), one, check.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(one.Path, one.Path+".partial"); err != nil { // removed by half
		t.Fatal(err)
	}
	made := filepath.Join(b.Dir(), "20260301T110000Z.partial") // made by half
	if err := g.store.Checkpoint(filepath.Join(made, "store.partial")); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(g.dir, "mine", "two.partial")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(foreign, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create("", filepath.Join(g.dir, "mine", "two")); !errors.Is(err, kv.ErrExists) {
		t.Errorf("beside a foreign directory: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	if _, err := b.Create("three", ""); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(b.Dir())
	if err != nil || len(entries) != 1 || entries[0].Name() != "three" {
		t.Errorf("left are %v, %v", entries, err)
	}
}
