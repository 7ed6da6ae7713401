//go:build !race

package account

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// maxBytes is the most memory that a known account may take, all of the table counted: one of ten with positions.
const maxBytes = 600

// fillStore writes so many accounts as a year on the venue leaves them: each tenth has positions in one to eight markets,
// eight of ten were polled and have an owner, one of six of those is a sub-account.
func fillStore(t testing.TB, store *kv.Store, accounts int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	batch := store.NewBatch()
	var k, v []byte
	var owner model.Address
	for i := range accounts {
		a := model.Account{ID: model.AccountID(i), Source: model.SourceStream, AsOf: model.Millis(1_760_000_000_000 + i)}
		if i%5 != 0 {
			if i%6 != 0 {
				for b := range owner {
					owner[b] = byte(r.Uint32())
				}
			}
			a.Address, a.Polled, a.Source = owner, a.AsOf, model.SourceBoth
			a.Collateral, a.Available, a.TotalValue, a.CrossValue = num.USD(r.Int64N(1e12)), num.USD(r.Int64N(1e12)), num.USD(r.Int64N(1e12)), num.USD(r.Int64N(1e12))
		}
		if i%10 == 0 {
			for m := range 1 + r.IntN(8) {
				a.Positions = append(a.Positions, model.Position{
					Market: model.MarketID(m * 7), Size: num.Size(r.Int64N(1e8) - 5e7), Entry: num.USD(r.Int64N(1e11)), Initial: 500,
					Realized: num.USD(r.Int64N(1e9)), AsOf: a.AsOf, Trade: uint64(r.Int64N(1e12)), FundingPaid: num.USD(r.Int64N(1e7)), OpenOrders: 3,
				})
			}
		}
		k, v = key.Account(k[:0], uint64(a.ID)), record.AppendAccount(v[:0], &a)
		batch.Set(k, v)
		if a.Address != (model.Address{}) {
			k = key.Address(k[:0], a.Address, uint64(a.ID))
			batch.Set(k, nil)
		}
		if i%50_000 == 49_999 || i == accounts-1 {
			if err := store.Commit(batch, kv.NoSync); err != nil {
				t.Fatal(err)
			}
			batch.Reset()
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAccountSize holds the memory of an account, the whole table counted. The race detector has memory of its own.
func TestAccountSize(t *testing.T) {
	const accounts = 100_000
	store := kvtest.Open(t)
	fillStore(t, store, accounts)
	before := heap()
	began := time.Now()
	tr, err := New(Options{Store: store, Markets: markets})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	used := heap() - before - uint64(unsafe.Sizeof(tr.versions))
	if tr.Known() != accounts {
		t.Fatalf("%d accounts loaded", tr.Known())
	}
	t.Logf("%d accounts: %d bytes each, loaded in %v", accounts, used/uint64(accounts), took)
	if used/uint64(accounts) > maxBytes {
		t.Errorf("%d bytes an account, want at most %d", used/uint64(accounts), maxBytes)
	}
	runtime.KeepAlive(tr)
}

// BenchmarkLoad measures what the start takes with a million known accounts, a hundred thousand with positions.
func BenchmarkLoad(b *testing.B) {
	const accounts = 1_000_000
	store := kvtest.Open(b)
	fillStore(b, store, accounts)
	before := heap()
	for b.Loop() {
		tr, err := New(Options{Store: store, Markets: markets})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/accounts, "bytes/account")
		runtime.KeepAlive(tr)
		b.StartTimer()
	}
}
