package kv_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyperlight/kv"
)

// A table that is missing, or a file that tells which there are, is damage, and nothing of what is left is thrown away.
func TestMissingFilesAreDamage(t *testing.T) {
	o := kv.Options{Dir: filepath.Join(t.TempDir(), "db"), MinFree: -1, CacheBytes: 8 << 20, MemTableBytes: 1 << 20}
	for i := range 2 {
		s, err := kv.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			set(t, s, map[string]string{"Ta": "1"})
		} else {
			set(t, s, map[string]string{"Tb": "2"})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	current := ""
	for _, e := range entries {
		if _, name, ok := strings.Cut(e.Name(), ".MANIFEST-"); ok {
			current = "MANIFEST-" + name
		}
	}
	for _, e := range entries {
		path := filepath.Join(o.Dir, e.Name())
		if strings.HasPrefix(e.Name(), "LOCK") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		o.ReadOnly = true
		s, err := kv.Open(o)
		if err == nil {
			var faults []kv.TableFault
			faults, err = s.CheckTables(t.Context(), nil)
			if len(faults) > 0 {
				err = kv.ErrDamaged
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		needed := strings.HasSuffix(e.Name(), ".sst") || e.Name() == current || strings.HasPrefix(e.Name(), "marker.")
		if needed != errors.Is(err, kv.ErrDamaged) {
			t.Errorf("%s is missing: %v", e.Name(), err)
		}
		// Taking the directory for a new one, the library would remove its tables.
		if o.ReadOnly = false; needed {
			if _, err := kv.Open(o); !errors.Is(err, kv.ErrDamaged) {
				t.Errorf("%s is missing, and the store is opened to write: %v", e.Name(), err)
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := kv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v, err := get(s, "Ta"); err != nil || v != "1" {
		t.Errorf("with all files back: %q, %v", v, err)
	}
}
