package fills

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

// naive is a store of all fills in plain lists.
type naive struct {
	mu    sync.Mutex
	fills map[model.AccountID][]model.Fill // newest first
	reads map[model.AccountID]int
	fail  error
	block chan struct{}
}

func newNaive() *naive {
	return &naive{fills: map[model.AccountID][]model.Fill{}, reads: map[model.AccountID]int{}}
}

func (s *naive) add(m model.MarketID, t *model.Trade) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, maker := range []bool{false, true} {
		id := t.BidAccount
		if maker == t.MakerAsk {
			id = t.AskAccount
		}
		s.fills[id] = append(s.fills[id], t.Fill(m, maker))
		slices.SortFunc(s.fills[id], func(a, b model.Fill) int {
			c := cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(b.Market, a.Market), cmp.Compare(b.ID, a.ID))
			if c == 0 && a.Maker != b.Maker {
				if a.Maker {
					return -1
				}
				return 1
			}
			return c
		})
	}
}

func (s *naive) FillsOf(ctx context.Context, ids []model.AccountID, _ history.Span, q history.FillQuery, n int) ([]history.AccountFills, error) {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	if !q.Reverse || !q.Uncounted {
		return nil, errors.New("not the newest ones without a count")
	}
	out := make([]history.AccountFills, len(ids))
	for i, id := range ids {
		s.reads[id]++
		out[i] = history.AccountFills{Account: id, Fills: slices.Clone(s.fills[id][:min(n, len(s.fills[id]))])}
	}
	return out, nil
}

func randomTrade(rnd *rand.Rand, id uint64, accounts int) (model.MarketID, *model.Trade) {
	t := &model.Trade{
		ID: id, Time: 1_760_000_000_000 + model.Millis(id)*3 + model.Millis(rnd.IntN(60)), Recv: model.Micros(rnd.IntN(2)) * 1_760_000_000_000_000,
		Epoch: uint8(rnd.IntN(2)), Kind: model.TradeKind(rnd.IntN(5)), MakerAsk: rnd.IntN(2) == 0, Price: num.Price(1 + rnd.IntN(1e6)),
		Size: num.Size(1 + rnd.IntN(1e6)), USD: num.USD(rnd.IntN(1e9)), AskOrder: rnd.Uint64(), BidOrder: rnd.Uint64(),
		AskAccount: model.AccountID(rnd.IntN(accounts)), BidAccount: model.AccountID(rnd.IntN(accounts)), Block: rnd.Uint64(),
		TakerFee: int32(rnd.IntN(300)), MakerFee: -int32(rnd.IntN(30)),
	}
	switch rnd.IntN(6) {
	case 0:
		t.TxHash = fmt.Sprintf("0x%d", id)
	case 1:
		t.TxHash = ""
	case 2:
		t.TxHash = "ABCDEF" // would come back in small letters
	case 3:
		t.TxHash = fmt.Sprintf("%0100x", id)
	default:
		t.TxHash = fmt.Sprintf("%080x", rnd.Uint64())
	}
	return model.MarketID(rnd.IntN(5)), t
}

// Checklist 46, 47: the newest fills are those of a plain list, whatever came before an account was asked for, while it
// was read, and since, in any order.
func TestRecentAgainstNaive(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	const accounts = 12
	store := newNaive()
	f := New(Options{Reader: store})
	type delivered struct {
		m model.MarketID
		t *model.Trade
	}
	var late []delivered
	for id := range uint64(4000) {
		m, trade := randomTrade(rnd, id+1, accounts)
		if rnd.IntN(10) == 0 {
			late = append(late, delivered{m, trade})
			continue
		}
		store.add(m, trade)
		f.Add(m, trade)
		if len(late) > 5 {
			k := rnd.IntN(len(late))
			store.add(late[k].m, late[k].t)
			f.Add(late[k].m, late[k].t)
			late = slices.Delete(late, k, k+1)
		}
		if rnd.IntN(20) != 0 {
			continue
		}
		id := model.AccountID(rnd.IntN(accounts))
		n := rnd.IntN(130)
		got, ok := f.Recent(id, n, nil)
		if !ok {
			if err := f.Load(t.Context(), []model.AccountID{id, id, model.AccountID(rnd.IntN(accounts))}); err != nil {
				t.Fatal(err)
			}
			if got, ok = f.Recent(id, n, nil); !ok {
				t.Fatalf("account %d was loaded and is not there", id)
			}
		}
		want := store.fills[id]
		want = want[:min(len(want), n, MaxRecent)]
		if !slices.Equal(got, want) {
			t.Fatalf("account %d: %d fills of %d\n got %+v\nwant %+v", id, len(got), len(want), got, want)
		}
		// The text is the same whether it is made now or was kept, and of any number.
		for _, n := range []int{n, n, n, rnd.IntN(130), n} {
			want := store.fills[id]
			want = want[:min(len(want), n, MaxRecent)]
			if got, ok := f.Append([]byte("x"), id, n, fakeMarket); !ok || string(got) != string(textOf([]byte("x"), want)) {
				t.Fatalf("account %d, %d fills as text:\n got %s\nwant %s", id, n, got, textOf(nil, want))
			}
		}
	}
	for id, n := range store.reads {
		if n > 1 {
			t.Errorf("account %d was read %d times", id, n)
		}
	}
}

// fakeMarket knows all markets but one.
func fakeMarket(id model.MarketID) *model.Market {
	if id == 3 {
		return nil
	}
	return &model.Market{ID: id, Native: int64(id), Symbol: "M", Scales: []model.Scale{{Price: 2, Size: 4}, {Price: 1, Size: 3}}}
}

func textOf(dst []byte, fills []model.Fill) []byte {
	from := len(dst)
	for i := range fills {
		if m := fakeMarket(fills[i].Market); m != nil {
			if len(dst) > from {
				dst = append(dst, ',')
			}
			dst = fills[i].AppendFill(dst, m)
		}
	}
	return dst
}

// Cold accounts do not block warm ones, and are read once for all who ask.
func TestLoadIsSinglyFlighted(t *testing.T) {
	store := newNaive()
	f := New(Options{Reader: store})
	store.add(1, &model.Trade{ID: 1, Time: 5, AskAccount: 1, BidAccount: 2})
	if err := f.Load(t.Context(), []model.AccountID{1}); err != nil {
		t.Fatal(err)
	}
	store.block = make(chan struct{})
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if err := f.Load(t.Context(), []model.AccountID{1, 2, 3, 2}); err != nil {
				t.Error(err)
			}
		})
	}
	for { // until somebody reads
		if _, accounts := f.Bytes(); accounts == 3 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got, ok := f.Recent(1, 5, nil); !ok || len(got) != 1 {
		t.Fatalf("warm account: %v, %v", got, ok)
	}
	if _, ok := f.Recent(2, 5, nil); ok {
		t.Fatal("an account that is being read is there")
	}
	f.Add(1, &model.Trade{ID: 2, Time: 7, AskAccount: 2, BidAccount: 3}) // comes while they are read
	close(store.block)
	group.Wait()
	if got, ok := f.Recent(2, 5, nil); !ok || len(got) != 2 || got[0].ID != 2 || got[1].ID != 1 {
		t.Fatalf("%+v, %v", got, ok)
	}
	if store.reads[2] != 1 || store.reads[3] != 1 || store.reads[1] != 1 {
		t.Fatalf("reads %v", store.reads)
	}
}

// What could not be read is not there, and is read by the next call.
func TestLoadFails(t *testing.T) {
	store := newNaive()
	flushed := 0
	f := New(Options{Reader: store, Flush: func(context.Context) error { flushed++; return nil }})
	store.fail = errors.New("disk")
	if err := f.Load(t.Context(), []model.AccountID{4}); !errors.Is(err, store.fail) {
		t.Fatal(err)
	}
	if _, ok := f.Recent(4, 5, nil); ok {
		t.Fatal("there")
	}
	if bytes, accounts := f.Bytes(); bytes != 0 || accounts != 0 {
		t.Fatalf("%d bytes of %d accounts are left", bytes, accounts)
	}
	store.fail = nil
	if err := f.Load(t.Context(), []model.AccountID{4}); err != nil || flushed != 2 {
		t.Fatalf("%v, flushed %d times", err, flushed)
	}
	if got, ok := f.Recent(4, 5, nil); !ok || len(got) != 0 {
		t.Fatalf("%v, %v", got, ok)
	}
}

// The budget holds, and the accounts that are asked for most stay.
func TestBudget(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	store := newNaive()
	const accounts = 400
	for id := range uint64(8_000) {
		store.add(randomTrade(rnd, id+1, accounts))
	}
	const budget = 1 << 19
	f := New(Options{Reader: store, Budget: budget})
	hot := []model.AccountID{1, 2, 3, 4, 5}
	for id := range model.AccountID(accounts) {
		if err := f.Load(t.Context(), append([]model.AccountID{id}, hot...)); err != nil {
			t.Fatal(err)
		}
		for _, id := range hot {
			for range 3 {
				f.Append(nil, id, 1+rnd.IntN(2), fakeMarket)
			}
		}
		f.Add(randomTrade(rnd, 100_000+uint64(id), accounts))
		if bytes, _ := f.Bytes(); bytes > budget+budget/50 {
			t.Fatalf("%d bytes", bytes)
		}
	}
	bytes, held := f.Bytes()
	real := int64(0)
	for i := range f.shards {
		for _, a := range f.shards[i].accounts {
			real += int64(a.size()) + accountBytes
		}
	}
	if bytes != real || held < 30 {
		t.Fatalf("%d bytes counted, %d are there, of %d accounts", bytes, real, held)
	}
	for _, id := range hot {
		if store.reads[id] > 20 {
			t.Errorf("account %d was read %d times", id, store.reads[id])
		}
	}
}

func BenchmarkRecent(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	store := newNaive()
	const accounts = 1000
	var ids []model.AccountID
	for id := range model.AccountID(accounts) {
		ids = append(ids, id)
	}
	f := New(Options{Reader: store})
	if err := f.Load(b.Context(), ids); err != nil {
		b.Fatal(err)
	}
	for id := range uint64(60_000) {
		m, t := randomTrade(rnd, id+1, accounts)
		t.TxHash = fmt.Sprintf("%080x", rnd.Uint64())
		f.Add(m, t)
	}
	market := fakeMarket(1)
	var dst []byte
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("kept=%v", kept), func(b *testing.B) {
			f.o.NoTexts = !kept
			b.ReportAllocs()
			for b.Loop() { // 1,000 accounts with 20 fills each
				for _, id := range ids {
					dst, _ = f.Append(dst[:0], id, 20, func(model.MarketID) *model.Market { return market })
				}
			}
		})
	}
}

// Checklist 47: a trade that is told twice, or was in the store already, is one fill of each of its accounts; one of an
// account with itself is two.
func TestFillToldTwice(t *testing.T) {
	store := newNaive()
	f := New(Options{Reader: store})
	rows := []*model.Trade{{ID: 1, Time: 10, AskAccount: 1, BidAccount: 2}, {ID: 2, Time: 20, AskAccount: 2, BidAccount: 1}, {ID: 3, Time: 20, AskAccount: 1, BidAccount: 1}}
	for _, r := range rows {
		store.add(4, r)
	}
	if err := f.Load(t.Context(), []model.AccountID{1, 2}); err != nil {
		t.Fatal(err)
	}
	fresh := &model.Trade{ID: 4, Time: 30, AskAccount: 1, BidAccount: 2}
	store.add(4, fresh)
	for range 3 {
		for _, r := range append(rows, fresh) {
			f.Add(4, r)
		}
		for _, id := range []model.AccountID{1, 2} {
			want := store.fills[id]
			if got, ok := f.Recent(id, MaxRecent, nil); !ok || !slices.Equal(got, want) {
				t.Fatalf("account %d: %d fills, want %d: %+v", id, len(got), len(want), got)
			}
			if got, _ := f.Append(nil, id, MaxRecent, fakeMarket); string(got) != string(textOf(nil, want)) {
				t.Fatalf("account %d as text: %s", id, got)
			}
		}
	}
	// The same number in another market is another trade.
	f.Add(2, fresh)
	if got, _ := f.Recent(2, MaxRecent, nil); len(got) != len(store.fills[2])+1 {
		t.Errorf("%d fills with that of another market", len(got))
	}
}
