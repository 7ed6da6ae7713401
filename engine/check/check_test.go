package check_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hyperlight/engine/check"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// A table that cannot be read is told with its file, whichever family lies in it: it keeps nothing else from being told.
func TestUnreadableTableOfEachFamily(t *testing.T) {
	rnd := rand.NewChaCha8([32]byte{1})
	for _, family := range []key.Family{key.Trades, key.Fills, key.Books, key.Coverage, key.Users, key.AccountState, key.Addresses, key.ExchangeSums} {
		o := kv.Options{Dir: filepath.Join(t.TempDir(), "store"), MinFree: -1, CacheBytes: 8 << 20, MemTableBytes: 1 << 20}
		s, err := kv.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		b, value := s.NewBatch(), make([]byte, 4<<10)
		for i := range 64 {
			_, _ = rnd.Read(value)
			b.Set([]byte{byte(family), byte(i)}, value)
		}
		if err := s.Commit(b, kv.Sync); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = kv.Open(o); err != nil { // opened again, the rows lie in a table
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		tables, err := filepath.Glob(filepath.Join(o.Dir, "*.sst"))
		if err != nil {
			t.Fatal(err)
		}
		harmed := ""
		for _, name := range tables {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(data) < 64<<10 {
				continue
			}
			data[len(data)/2] ^= 0x10
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			harmed = name
		}
		if s, err = kv.OpenCopy(o); err != nil {
			t.Fatal(err)
		}
		r, err := check.Store(t.Context(), s, check.Options{Deep: true})
		if err != nil || len(r.Damage) == 0 || r.Damage[0].File != harmed || harmed == "" {
			t.Errorf("%s: harmed %q, report %+v, %v", family.Name(), harmed, r, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
