package access

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// A limiter that sweeps and is written down on the way decides like one model for each bucket.
func TestLimiterEqualsModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLimiter(0, true)
		models := map[BucketID]*windowModel{}
		now := int64(1_700_000_000_000)
		steps := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 50_000), rapid.Int64Range(59_990, 180_010)), 1, 200).Draw(t, "steps")
		for i, step := range steps {
			now += step
			switch rapid.IntRange(0, 9).Draw(t, "action") {
			case 0:
				l.collect(func(*BucketID, *window) {})
				l.sweep(model.Millis(now))
			default:
				id := BucketID{rapid.ByteMax(3).Draw(t, "bucket")}
				if models[id] == nil {
					models[id] = &windowModel{}
				}
				limit := rapid.SampledFrom([]int{0, 1, 2, 5}).Draw(t, "limit")
				at := now - rapid.SampledFrom([]int64{0, 0, 0, 1, 3, 60_000}).Draw(t, "late")
				if models[id].clock-at > windowMillis {
					at = models[id].clock - windowMillis
				}
				if got, want := l.take(&id, limit, model.Millis(at)), models[id].take(at, limit); got != want {
					t.Fatalf("step %d at %d: got %+v, want %+v", i, at, got, want)
				}
			}
		}
	})
}

// Windows that are silent leave, and what was not yet written down stays until it is.
func TestSweep(t *testing.T) {
	l := newLimiter(0, true)
	now := model.Millis(1_700_000_000_000)
	for i := range byte(100) {
		l.take(&BucketID{i}, 10, now)
	}
	l.sweep(now + 200_000)
	if n := l.known(); n != 100 {
		t.Fatalf("%d windows after a sweep before the flush", n)
	}
	if n := len(l.collect(func(*BucketID, *window) {})); n != 100 {
		t.Fatalf("%d windows collected", n)
	}
	l.sweep(now + 119_999)
	if n := l.known(); n != 100 {
		t.Fatalf("%d windows within two minutes", n)
	}
	l.sweep(now + 120_000)
	if n := l.known(); n != 0 {
		t.Fatalf("%d windows after two minutes", n)
	}
}

func TestTakeIP(t *testing.T) {
	a := testAccess(t, nil, time.UnixMilli(1_700_000_000_000))
	now := model.Millis(1_700_000_000_000)
	for _, c := range []struct {
		class      IPClass
		limit      int
		one, other string
		same       bool
	}{
		{IPPublic, 300, "192.0.2.1", "192.0.2.2", false},
		{IPPublic, 300, "198.51.100.1", "::ffff:198.51.100.1", true},
		{IPSignIn, 10, "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{IPSignIn, 10, "2001:db8:1:3::1", "2001:db8:1:4::1", false},
		{IPRelay, 30, "fe80::1%eth0", "fe80::1%eth1", true},
		{IPFailed, 300, "192.0.2.1", "192.0.2.9", false},
	} {
		one, other := netip.MustParseAddr(c.one), netip.MustParseAddr(c.other)
		for i := range c.limit {
			if d := a.TakeIP(one, c.class, now); !d.OK || d.Limit != c.limit || d.Remaining != c.limit-1-i {
				t.Fatalf("class %d, call %d: %+v", c.class, i+1, d)
			}
		}
		if a.TakeIP(one, c.class, now).OK {
			t.Errorf("class %d: call %d passed", c.class, c.limit+1)
		}
		if got := !a.TakeIP(other, c.class, now).OK; got != c.same {
			t.Errorf("class %d: %s and %s share a window: %v", c.class, c.one, c.other, got)
		}
	}
	if d := a.TakeIP(netip.Addr{}, IPPublic, now); !d.OK {
		t.Errorf("no address: %+v", d)
	}
}

// A flood of addresses neither grows the memory nor frees those who are near their limit.
func TestAddressFlood(t *testing.T) {
	a := testAccess(t, nil, time.UnixMilli(1_700_000_000_000))
	now := model.Millis(1_700_000_000_000)
	guilty := netip.MustParseAddr("192.0.2.1")
	for range 10 {
		a.TakeIP(guilty, IPSignIn, now)
	}
	flood := addressesPerShard * limiterShards * 3
	if raceEnabled {
		flood = addressesPerShard * limiterShards * 5 / 4
	}
	for i := range flood {
		addr := netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		if !a.TakeIP(addr, IPSignIn, now+model.Millis(i%1000)).OK {
			t.Fatal("a first request was refused")
		}
	}
	if n := a.limits.addresses.known(); n > addressesPerShard*limiterShards || n < addressesPerShard*limiterShards*9/10 {
		t.Errorf("%d windows", n)
	}
	if a.TakeIP(guilty, IPSignIn, now+2_000).OK {
		t.Error("the flood freed an address that had used up its window")
	}
}

// 100,000 keys known, 5,000 of them active, each with its plan's window full: 64 MiB at most.
func TestLimiterMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector multiplies memory")
	}
	const known, active = 100_000, 5_000
	id := func(i int) *BucketID { return &BucketID{byte(i >> 16), byte(i >> 8), byte(i), 1} }
	for _, c := range []struct {
		limit int
		most  int64 // MiB
	}{{300, 8}, {3_000, 20}, {30_000, 64}} {
		before := heapBytes()
		l := newLimiter(0, true)
		now := int64(1_700_000_000_000)
		for i := range known {
			l.take(id(i), c.limit, model.Millis(now))
		}
		seen := heapBytes() - before
		now += 180_000
		l.collect(func(*BucketID, *window) {})
		l.sweep(model.Millis(now))
		full := fullWindow(c.limit, now)
		if full.take(now+windowMillis-1, c.limit).OK {
			t.Fatal("the window is not full")
		}
		for i := range active {
			l.put(id(i), full)
		}
		total := heapBytes() - before
		t.Logf("%d a minute: %d keys just seen %d KiB, silent but for %d full ones %d KiB: %d bytes each",
			c.limit, known, seen>>10, active, total>>10, total/active)
		if total > c.most<<20 {
			t.Errorf("%d a minute: %d MiB, want %d at most", c.limit, total>>20, c.most)
		}
		runtime.KeepAlive(l)
	}
}

// A check costs no memory once its window has its size.
func TestTakeDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates by itself")
	}
	a := testAccess(t, nil, time.UnixMilli(1_700_000_000_000))
	now := model.Millis(1_700_000_000_000)
	for _, slug := range []string{"free", "growth", "scale", "enterprise"} {
		p := keyOf(t, a, slug, 1, slug[0])
		addr := netip.MustParseAddr("192.0.2.1")
		for range 200_000 {
			now++
			a.Take(p, now)
		}
		use := Use{Route: a.Route("GET /x"), Status: 200, Cost: 1}
		n := testing.AllocsPerRun(1000, func() {
			now++
			a.Take(p, now)
			a.TakeIP(addr, IPPublic, now)
			c, err := a.Reserve(p, 1, now)
			if err != nil || c.Cost != 1 {
				t.Fatal(c, err)
			}
			a.Settle(p, use, now)
			a.Spend(p, 1, now)
		})
		if n >= 0.1 {
			t.Errorf("%s: %.2f allocations", slug, n)
		}
	}
}
