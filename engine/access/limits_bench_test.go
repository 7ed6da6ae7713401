package access

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

func BenchmarkTake(b *testing.B) {
	start := model.Millis(1_700_000_000_000)
	for _, slug := range []string{"free", "starter", "growth", "scale", "enterprise"} {
		b.Run(slug, func(b *testing.B) {
			a := testAccess(b, nil, time.UnixMilli(int64(start)))
			p := keyOf(b, a, slug, 1, 1)
			now := start
			for range 120_000 { // a full window
				now++
				a.Take(p, now)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i&1 == 0 {
					now++
				}
				a.Take(p, now)
			}
		})
	}
	b.Run("parallel/one-key", func(b *testing.B) {
		a := testAccess(b, nil, time.UnixMilli(int64(start)))
		p := keyOf(b, a, "scale", 1, 1)
		var ticks atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				now := ticks.Load()
				if i&15 == 0 {
					now = ticks.Add(1)
				}
				a.Take(p, start+model.Millis(now))
			}
		})
	})
	b.Run("parallel/5000-keys", func(b *testing.B) {
		a := testAccess(b, nil, time.UnixMilli(int64(start)))
		all := make([]*Principal, 5_000)
		for i := range all {
			all[i] = keyOf(b, a, "growth", byte(i>>8), byte(i))
		}
		var ticks, worker atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			i := int(worker.Add(1)) * 1_000
			for ; pb.Next(); i++ {
				now := ticks.Load()
				if i&255 == 0 {
					now = ticks.Add(1)
				}
				a.Take(all[i%len(all)], start+model.Millis(now))
			}
		})
	})
}

func BenchmarkTakeIP(b *testing.B) {
	start := model.Millis(1_700_000_000_000)
	a := testAccess(b, nil, time.UnixMilli(int64(start)))
	b.Run("known", func(b *testing.B) {
		addr := netip.MustParseAddr("192.0.2.1")
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			a.TakeIP(addr, IPPublic, start+model.Millis(i))
		}
	})
	b.Run("flood", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			a.TakeIP(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), IPPublic, start+model.Millis(i>>10))
		}
	})
}

// What a metered call costs after its authentication: window, credits, usage.
func BenchmarkMeteredCall(b *testing.B) {
	start := model.Millis(1_700_000_000_000)
	a := testAccess(b, nil, time.UnixMilli(int64(start)))
	p := keyOf(b, a, "scale", 1, 1)
	use := Use{Route: a.Route("GET /api/v1/orderbook/:market_id"), Status: 200, Cost: 1}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now := start + model.Millis(i>>1)
		a.Take(p, now)
		if _, err := a.Reserve(p, use.Cost, now); err != nil {
			b.Fatal(err)
		}
		a.Settle(p, use, now)
	}
}

// A flush of 5,000 callers who used two routes each since the last one, beside windows and months.
func BenchmarkFlush(b *testing.B) {
	start := model.Millis(1_700_000_000_000)
	a := testAccess(b, kvtest.Open(b), time.UnixMilli(int64(start)))
	all := make([]*Principal, 5_000)
	for i := range all {
		all[i] = keyOf(b, a, "growth", byte(i>>8), byte(i))
	}
	routes := []RouteID{a.Route("GET /api/v1/orderbook/:market_id"), a.Route("GET /api/v1/trades")}
	now := start
	for b.Loop() {
		b.StopTimer()
		for _, p := range all {
			for _, r := range routes {
				now++
				a.Take(p, now)
				_, _ = a.Reserve(p, 1, now)
				a.Settle(p, Use{Route: r, Status: 200, Cost: 1}, now)
			}
		}
		b.StartTimer()
		if err := a.flush(now); err != nil {
			b.Fatal(err)
		}
	}
}
