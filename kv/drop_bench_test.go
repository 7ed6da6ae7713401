package kv_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Four days of 64 MB each lie in the store; the first is dropped while rows of the last are read. Reported are the latency
// of those reads before the drop and from it until two thirds of its space are free, and how long that takes. The rest goes
// with later compactions.
func BenchmarkDropDay(b *testing.B) {
	const days, rows = 4, 64_000
	rnd := rand.NewChaCha8([32]byte{1})
	value := make([]byte, 1000)
	for b.Loop() {
		s := openOnDisk(b)
		batch := s.NewBatch()
		row := func(day uint32, n int) []byte {
			return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{'T'}, day), uint32(n))
		}
		for day := range uint32(days) {
			for n := range rows {
				_, _ = rnd.Read(value)
				batch.Set(row(day, n), value)
				if batch.Size() > 1<<20 {
					if err := s.Commit(batch, kv.NoSync); err != nil {
						b.Fatal(err)
					}
					batch.Reset()
				}
			}
		}
		if err := s.Commit(batch, kv.Sync); err != nil {
			b.Fatal(err)
		}
		batch.Reset()
		quantile := func(until func() bool) (p99, worst time.Duration) {
			var took []time.Duration
			for n := 0; !until(); n++ {
				start := time.Now()
				if err := s.Get(row(days-1, n*7919%rows), func([]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
				time.Sleep(100 * time.Microsecond)
			}
			slices.Sort(took)
			return took[len(took)*99/100], took[len(took)-1]
		}
		time.Sleep(2 * time.Second) // compactions of the load
		started := time.Now()
		before, _ := quantile(func() bool { return time.Since(started) > 2*time.Second })
		full := s.Metrics().Bytes
		if err := s.DropBefore(key.Trades, 1); err != nil {
			b.Fatal(err)
		}
		started = time.Now()
		asked := started
		during, worst := quantile(func() bool {
			if time.Since(asked) < time.Second {
				return false
			}
			asked = time.Now()
			return s.Metrics().Bytes < full-rows*700 || time.Since(started) > 40*time.Second
		})
		b.ReportMetric(float64(before.Microseconds()), "p99-before-us")
		b.ReportMetric(float64(during.Microseconds()), "p99-during-us")
		b.ReportMetric(float64(worst.Microseconds()), "worst-during-us")
		b.ReportMetric(time.Since(started).Seconds(), "s-until-freed")
		b.ReportMetric((float64(full)-float64(s.Metrics().Bytes))/1e6, "MB-freed")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
