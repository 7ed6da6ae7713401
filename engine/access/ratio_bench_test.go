package access

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/google/uuid"

	"hyperlight/bench"
	"hyperlight/engine/model"
)

// bareLimiter is an exact window without any thought for memory: the times of what it admitted, in a ring per bucket,
// behind one lock.
type bareLimiter struct {
	mu    sync.Mutex
	rings map[BucketID]*bareRing
}

type bareRing struct {
	times   []int64
	head, n int
}

func (l *bareLimiter) take(id *BucketID, limit int, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rings[*id]
	if r == nil {
		r = &bareRing{times: make([]int64, limit)}
		l.rings[*id] = r
	}
	for r.n > 0 && r.times[r.head] <= now-windowMillis {
		r.head = (r.head + 1) % limit
		r.n--
	}
	if r.n == limit {
		return false
	}
	r.times[(r.head+r.n)%limit] = now
	r.n++
	return true
}

// BenchmarkTakeRatio asks the windows of 100 callers, which are full, in turns at about the pace of their limit.
func BenchmarkTakeRatio(b *testing.B) {
	const callers, turn = 100, 20
	for _, limit := range []int{300, 3_000, 30_000} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			var ids [callers]BucketID
			for i := range ids {
				ids[i] = BucketID{byte(i), 1}
			}
			run := func(take func(id *BucketID, now int64)) func() int {
				now := int64(1_700_000_000_000)
				rounds := func(n int) int {
					for range n {
						now += int64(windowMillis / limit)
						for i := range ids {
							take(&ids[i], now)
						}
					}
					return n * callers
				}
				rounds(2 * limit)
				return func() int { return rounds(turn) }
			}
			l, bare := newLimiter(0, true), &bareLimiter{rings: map[BucketID]*bareRing{}}
			bench.Compare(b, "takes", run(func(id *BucketID, now int64) { bare.take(id, limit, now) }),
				run(func(id *BucketID, now int64) { l.take(id, limit, model.Millis(now)) }))
		})
	}
}

// BenchmarkAuthenticateRatio compares knowing a caller, of 100,000 known keys of which 5,000 call, or by a token that was
// seen before, with what cannot be left out: SHA-256 of the credential and a look into one map.
func BenchmarkAuthenticateRatio(b *testing.B) {
	h := newHouse(b)
	token := h.register(b, "you@example.com", "free").Token
	for _, c := range []struct {
		name   string
		shown  []string
		source func(string) Request
	}{
		{"key", crowd(h, knownKeys), func(s string) Request { return Request{APIKey: s} }},
		{"token", []string{token}, func(s string) Request { return Request{Bearer: s} }},
	} {
		known := map[[sha256.Size]byte]*Principal{}
		for _, s := range c.shown {
			known[sha256.Sum256([]byte(s))] = &Principal{}
		}
		active := c.shown[:min(len(c.shown), 5_000)]
		turn := func(ask func(string) bool) func() int {
			i := 0
			return bench.Times(2_000, func() {
				if i++; !ask(active[i%len(active)]) {
					b.Fatal("refused")
				}
			})
		}
		b.Run(c.name, func(b *testing.B) {
			bench.Compare(b, "calls", turn(func(s string) bool { return known[sha256.Sum256(lend(s))] != nil }),
				turn(func(s string) bool { p, err := h.Authenticate(c.source(s)); return p != nil && err == nil }))
		})
	}
}

// BenchmarkAccessMemory measures the heap that users, keys, windows, credits and usage take with 100,000 keys known and
// 5,000 of them calling, the window of each as full as its limit allows. The baseline is a map from a key's hash to its
// id, and a ring of times per caller.
func BenchmarkAccessMemory(b *testing.B) {
	const active = 5_000
	for _, limit := range []int{300, 3_000, 30_000} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			var took, bare int64
			for b.Loop() {
				h := newHouse(b)
				empty := heapBytes()
				plains := crowd(h, knownKeys)
				full := fullWindow(limit, int64(startOfTests))
				route := h.Route("GET /api/v1/orderbook/:market_id")
				for i := range active {
					p, err := h.Authenticate(Request{APIKey: plains[i*(knownKeys/active)]})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := h.Reserve(p, 1, startOfTests); err != nil {
						b.Fatal(err)
					}
					h.Settle(p, Use{Route: route, Status: 200, Cost: 1}, startOfTests)
					h.limits.limiter.put(&p.Bucket, full)
				}
				known := map[[sha256.Size]byte]uuid.UUID{}
				if plains != nil {
					clear(plains)
					plains = nil
				}
				took = heapBytes() - empty
				before := heapBytes()
				for i := range knownKeys {
					known[sha256.Sum256(fmt.Append(nil, i))] = uuid.UUID{}
				}
				bare = heapBytes() - before + int64(active*limit*8)
				runtime.KeepAlive(known)
				runtime.KeepAlive(h)
			}
			b.ReportMetric(float64(took), "B")
			b.ReportMetric(float64(bare), "bare-B")
			b.ReportMetric(float64(bare)/float64(took), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// heapBytes returns what lives on the heap.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fullWindow returns a window that was filled by requests of about an even pace from start on.
func fullWindow(limit int, start int64) *window {
	r := rand.New(rand.NewPCG(1, 2))
	full := &window{}
	for i := range int64(limit) {
		full.take(start+i*windowMillis/int64(limit)+r.Int64N(2), limit)
	}
	return full
}

// put gives a bucket a copy of a window: to fill thousands by requests would take long.
func (l *limiter) put(id *BucketID, full *window) {
	w := &window{}
	full.copyTo(w)
	w.ring = append(make([]uint64, 0, len(full.ring)), full.ring...)
	l.shard(id).windows[*id] = w
}
