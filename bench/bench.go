// Package bench compares a piece of work with a bare baseline in the same run. The benchmarks themselves lie beside the
// code that they measure; those of whole paths are this package's tests. Only tests import it, and it imports nothing of
// ours, because what a package's tests import runs in them.
package bench

import (
	"runtime"
	"testing"
	"time"
)

// Compare measures ours against bare. Both work in turns, so that whatever else the machine does hits both alike; a turn
// returns how many units it did. It reports the units per second of each, and as "ratio" how fast ours is as a part of
// bare: 1 is equal, 2 twice as fast, 0.5 half as fast.
func Compare(b *testing.B, unit string, bare, ours func() int) {
	b.Helper()
	var units [2]int
	var took [2]time.Duration
	runtime.GC() // what was left by the preparation is nobody's
	for b.Loop() {
		for i, turn := range [...]func() int{bare, ours} {
			began := time.Now()
			n := turn()
			took[i] += time.Since(began)
			units[i] += n
		}
	}
	rate := func(i int) float64 { return float64(units[i]) / took[i].Seconds() }
	b.ReportMetric(rate(1), unit+"/s")
	b.ReportMetric(rate(0), "bare-"+unit+"/s")
	b.ReportMetric(rate(1)/rate(0), "ratio")
	b.ReportMetric(0, "ns/op") // the sum of both turns says nothing
}

// Times makes a turn of n calls.
func Times(n int, call func()) func() int {
	return func() int {
		for range n {
			call()
		}
		return n
	}
}
