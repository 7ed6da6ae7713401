package access

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// crowd fills the directory with users of ten keys each, as load would, and returns every key.
func crowd(h *house, keys int) []string {
	plains := make([]string, keys)
	var owner *user
	for i := range keys {
		var id uuid.UUID
		binary.BigEndian.PutUint32(id[:], uint32(i+1))
		if i%10 == 0 {
			owner = newUser(id, userRecord{email: fmt.Sprintf("user%d@example.com", i), tier: h.intern("starter"), created: startOfTests})
			h.dir.addUser(owner)
		}
		plains[i] = keyPrefix + hex.EncodeToString(append(id[:], id[:8]...))
		h.dir.addKey(newKey(id, owner, keyRecord{hash: sha256.Sum256([]byte(plains[i])), prefix: strings.Clone(plains[i][:12]), name: fmt.Sprint("bot ", i), created: startOfTests}))
	}
	return plains
}

const knownKeys = 100_000

func BenchmarkAuthenticateKey(b *testing.B) {
	h := newHouse(b)
	plains := crowd(h, knownKeys)
	peer := netip.MustParseAddrPort("10.0.0.7:5000")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := h.Authenticate(Request{APIKey: plains[i%5000], Peer: peer}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkAuthenticateKeyParallel(b *testing.B) {
	h := newHouse(b)
	plains := crowd(h, knownKeys)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := h.Authenticate(Request{APIKey: plains[i%5000]}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAuthenticateUnknownKey(b *testing.B) {
	h := newHouse(b)
	crowd(h, knownKeys)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Authenticate(Request{APIKey: "hlt_ffffffffffffffffffffffffffffffffffffffffffffffff"}); err == nil {
			b.Fatal("got in")
		}
	}
}

func BenchmarkAuthenticateToken(b *testing.B) {
	h := newHouse(b)
	token := h.register(b, "you@example.com", "free").Token
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.Authenticate(Request{Bearer: token}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			clear(h.tokens.verified)
			if _, err := h.Authenticate(Request{Bearer: token}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPasswordHash(b *testing.B) {
	q := newPasswords(hashing)
	for b.Loop() {
		if _, err := q.hash(b.Context(), goodPassword); err != nil {
			b.Fatal(err)
		}
	}
}

// Authentication is on the path of every request: of a known key and of a remembered token it must cost no garbage.
func TestAuthenticateKnownDoesNotAllocate(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "free")
	list := []string{"10.0.0.0/8"}
	if _, err := h.PatchKey(h.caller(t, s.PlainKey), s.Key.ID, KeyPatch{AllowedIPs: &list}); err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]Request{
		"header": {APIKey: s.PlainKey, Client: netip.MustParseAddr("::ffff:10.0.0.1")},
		"bearer": {Bearer: s.PlainKey, Peer: netip.MustParseAddrPort("10.0.0.1:1")},
		"token":  {Bearer: s.Token}, "unknown": {APIKey: "hlt_x"},
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = h.Authenticate(r) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	p := h.callerFrom(t, s.PlainKey, "10.0.0.1")
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Recheck(p, netip.MustParseAddr("10.0.0.1")) }); n != 0 {
		t.Errorf("recheck: %v allocations", n)
	}
}

// 100,000 known keys, 5,000 of them active, leave most of the 64 MiB of the issue to their limits.
func TestKnownKeysFitInMemory(t *testing.T) {
	h := newHouse(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	plains := crowd(h, knownKeys)
	for i := range 5000 {
		if _, err := h.Authenticate(Request{APIKey: plains[i]}); err != nil {
			t.Fatal(err)
		}
	}
	clear(plains)
	plains = nil
	used := int64(heap() - before)
	runtime.KeepAlive(h)
	t.Logf("%d keys of %d users: %.1f MiB", knownKeys, knownKeys/10, float64(used)/(1<<20))
	if used > 44<<20 {
		t.Errorf("%d MiB, at most 44", used>>20)
	}
}
