package kv_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// TestStamp changes rows at random and looks whether every part that changed has another stamp, and only few others have.
func TestStamp(t *testing.T) {
	s := kvtest.Open(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	keys := [][]byte{key.MetaRow(nil, "a"), key.MetaRow(nil, "b")}
	for mkt := range uint32(4) {
		for kind := range uint8(3) {
			keys = append(keys, key.Held(nil, kind, mkt, 1), key.Held(nil, kind, mkt, 5))
		}
		for day := range int64(4) {
			at := day * key.DayMicros
			keys = append(keys, key.Book(nil, mkt, key.Hot, at), key.Book(nil, mkt, key.Sealed, at), key.Keyframe(nil, mkt, at), key.Trade(nil, mkt, key.Hot, at/1000))
			keys = append(keys, key.Candle(nil, key.Minute, mkt, at/1000), key.Liquidation(nil, at/1000, mkt, 1), key.IndexRow(nil, key.Books, uint32(day), mkt))
		}
	}
	slices.SortFunc(keys, slices.Compare)
	stamps := func() (out []kv.Stamp) {
		for _, k := range keys {
			out = append(out, s.Stamp(kv.PartOf(k)))
		}
		return out
	}
	false0, all := 0, 0
	for range 500 {
		before := stamps()
		b := s.NewBatch()
		changed := map[string]bool{}
		wide := false
		for range 1 + rnd.IntN(4) {
			i := rnd.IntN(len(keys))
			switch rnd.IntN(4) {
			case 0:
				b.Delete(keys[i])
				changed[string(key.Part(keys[i]))] = true
			case 1:
				j := i + rnd.IntN(min(4, len(keys)-i))
				if i == j {
					continue
				}
				b.DeleteRange(key.Range{Start: keys[i], End: keys[j]})
				for _, k := range keys[i:j] {
					changed[string(key.Part(k))] = true
				}
				wide = true
			default:
				b.Set(keys[i], binary.AppendUvarint(nil, rnd.Uint64()))
				changed[string(key.Part(keys[i]))] = true
			}
		}
		if err := s.Commit(b, kv.NoSync); err != nil {
			t.Fatal(err)
		}
		for i, after := range stamps() {
			switch {
			case after == 0 || before[i] == 0:
				t.Fatalf("%x has no stamp while nothing is committed", keys[i])
			case changed[string(key.Part(keys[i]))] && after == before[i]:
				t.Fatalf("%x changed and its stamp did not", keys[i])
			case !wide && !changed[string(key.Part(keys[i]))]:
				all++
				if after != before[i] {
					false0++
				}
			}
		}
	}
	if false0*100 > all {
		t.Errorf("%d of %d parts that did not change have another stamp", false0, all)
	}
}

// TestStampDuringCommits keeps what was read under a stamp, as a reader does, while rows change: whatever is kept must be
// what the store says at some moment between the look at the stamp before and the one after.
func TestStampDuringCommits(t *testing.T) {
	s := kvtest.Open(t)
	k := key.MetaRow(nil, "counter")
	part := kv.PartOf(k)
	read := func() (n uint64) {
		if err := s.Get(k, func(v []byte) error { n = binary.BigEndian.Uint64(v); return nil }); err != nil && !errors.Is(err, kv.ErrNotFound) {
			t.Error(err)
		}
		return n
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var kept, seen uint64
			var stamp kv.Stamp
			for {
				select {
				case <-done:
					return
				default:
				}
				floor := read() // committed by now
				now := s.Stamp(part)
				if now == 0 || now != stamp {
					stamp, kept = now, read()
				}
				if kept < floor || kept < seen {
					t.Errorf("kept %d where the store said %d before", kept, floor)
					return
				}
				seen = kept
			}
		})
	}
	b := s.NewBatch()
	for i := range uint64(3000) {
		b.Reset()
		b.Set(k, binary.BigEndian.AppendUint64(nil, i+1))
		if err := s.Commit(b, kv.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
}
