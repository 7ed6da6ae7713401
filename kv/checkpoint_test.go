package kv_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// A checkpoint made while the log is written to is the store of a moment since it was asked for: it opens, each batch is
// there whole or not at all, and none is missing before one that is there. The log's file was another one's before, so
// that old bytes lie where the writer has not come yet.
func TestCheckpointOfABusyStore(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	disk := kvtest.NewDisk()
	s := disk.Open(t, kv.Options{MemTableBytes: 512 << 10})
	batch := 0
	write := func(bytes int) {
		b := s.NewBatch()
		for _, k := range []string{"Ta", "Tb"} {
			b.Set([]byte(k), fmt.Appendf(nil, "%d %s", batch+1, strings.Repeat("x", bytes)))
		}
		if err := s.Commit(b, kv.Sync); err != nil {
			t.Fatal(err)
		}
		batch++
	}
	for range 60 { // several logs, the first of which are used again
		write(20_000)
	}
	for i := range 40 {
		for range rnd.IntN(8) {
			write(1 + rnd.IntN(30_000))
		}
		dir := fmt.Sprintf("copy-%d", i)
		disk.OnWrite(func(path string) error {
			if strings.HasPrefix(path, dir) && strings.HasSuffix(path, kvtest.Log) && rnd.IntN(3) == 0 {
				for range 1 + rnd.IntN(3) {
					write(1 + rnd.IntN(30_000))
				}
			}
			return nil
		})
		before := batch
		if err := s.Checkpoint(dir); err != nil {
			t.Fatal(err)
		}
		disk.OnWrite(nil)
		var numbers []int
		for row, err := range disk.OpenCopy(t, kv.Options{Dir: dir}).Scan(t.Context(), key.All(key.Trades)) {
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			if _, err := fmt.Sscanf(string(row.Value), "%d ", &n); err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, n)
		}
		if len(numbers) != 2 || numbers[0] != numbers[1] || numbers[0] < before {
			t.Fatalf("%s holds batches %v, of %d to %d", dir, numbers, before, batch)
		}
	}
}
