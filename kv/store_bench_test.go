package kv_test

import (
	"encoding/binary"
	"testing"

	"hyperlight/kv"
	"hyperlight/kv/key"
)

func openOnDisk(b *testing.B) *kv.Store {
	b.Helper()
	s, err := kv.Open(kv.Options{Dir: b.TempDir(), MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// Groups of 1,000 rows of 100 bytes, each group synced: the history writer's work.
func BenchmarkCommit(b *testing.B) {
	s := openOnDisk(b)
	const rows = 1000
	value := make([]byte, 100)
	batch := s.NewBatch()
	var k []byte
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		for range rows {
			k = binary.BigEndian.AppendUint64(append(k[:0], 'T'), n)
			binary.BigEndian.PutUint64(value, n*0x9e3779b97f4a7c15)
			batch.Set(k, value)
			n++
		}
		if err := s.Commit(batch, kv.Sync); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkScan(b *testing.B) {
	s := openOnDisk(b)
	const rows = 200_000
	batch := s.NewBatch()
	value := make([]byte, 100)
	for n := range uint64(rows) {
		batch.Set(binary.BigEndian.AppendUint64([]byte{'T'}, n), value)
	}
	if err := s.Commit(batch, kv.NoSync); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range s.Scan(b.Context(), key.All(key.Trades)) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != rows {
			b.Fatalf("%d rows", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}

func BenchmarkGet(b *testing.B) {
	s := openOnDisk(b)
	const rows = 200_000
	batch := s.NewBatch()
	for n := range uint64(rows) {
		batch.Set(binary.BigEndian.AppendUint64([]byte{'T'}, n), make([]byte, 100))
	}
	if err := s.Commit(batch, kv.NoSync); err != nil {
		b.Fatal(err)
	}
	n := uint64(0)
	var k []byte
	b.ReportAllocs()
	for b.Loop() {
		n = (n + 7919) % rows
		k = binary.BigEndian.AppendUint64(append(k[:0], 'T'), n)
		if err := s.Get(k, func(v []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
