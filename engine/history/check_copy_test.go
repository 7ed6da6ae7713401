package history

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// Copies of the store that are made while rows are written, sealed, thinned and dropped are sound, each as it is.
func TestCopiesOfABusyStoreAreSound(t *testing.T) {
	disk := kvtest.NewDisk()
	g := newRig(t, disk.Open(t, kv.Options{MemTableBytes: 512 << 10}), testSeed(t), 2)
	g.options.Retention = Retention{Books: 48 * time.Hour, Ticks: 12 * time.Hour, Trades: 72 * time.Hour, Stats: 24 * time.Hour}
	for _, n := range g.markets {
		if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
			t.Fatal(err)
		}
	}
	g.start()
	const perRound = 2
	var copies atomic.Int64
	var copier sync.WaitGroup
	for range rounds(8, 120) {
		for range 30 {
			g.step()
		}
		copier.Go(func() {
			for range perRound {
				if err := g.store.Checkpoint(fmt.Sprintf("copy-%d", copies.Add(1))); err != nil {
					t.Error(err)
				}
			}
		})
		g.flush()
		at := time.UnixMicro(int64(g.now))
		for _, job := range []func(context.Context, time.Time) error{g.w.SealNow, g.w.ThinNow, g.w.retain} {
			if err := job(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
		copier.Wait()
		g.advance(model.Micros(g.rnd.IntN(6*3600)) * second)
	}
	g.stop()
	for i := range copies.Load() {
		s := disk.OpenCopy(t, kv.Options{Dir: fmt.Sprintf("copy-%d", i+1)})
		findings, err := Check(t.Context(), s, true)
		if err != nil || len(findings) > 0 {
			t.Fatalf("copy %d: %v, %v", i+1, findings, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
