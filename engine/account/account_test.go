package account

import (
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

var market0 = &model.Market{ID: 0, Symbol: "ETH", PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}}

func markets(id model.MarketID) (*model.Market, bool) { return market0, id == 0 }

func newTracker(t testing.TB, store *kv.Store) *Tracker {
	t.Helper()
	tr, err := New(Options{Store: store, Markets: markets, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// ledger is the venue's side: what it knows of every account, one trade after the other.
type ledger map[model.AccountID]*model.PositionBefore

func (l ledger) of(id model.AccountID) *model.PositionBefore {
	if l[id] == nil {
		l[id] = &model.PositionBefore{Known: true, InitialMargin: 500}
	}
	return l[id]
}

// trade books a trade in the ledger and tells it as the venue does. A naive book-keeper: one unit after the other.
func (l ledger) trade(id uint64, at model.Millis, buyer, seller model.AccountID, size num.Size, price num.Price, makerAsk, told bool) model.Trade {
	tr := model.Trade{ID: id, Time: at, Price: price, Size: size, BidAccount: buyer, AskAccount: seller, MakerAsk: makerAsk}
	before := [2]model.PositionBefore{*l.of(buyer), *l.of(seller)}
	if buyer != seller {
		for side, p := range []*model.PositionBefore{l.of(buyer), l.of(seller)} {
			by := size
			if side == 1 {
				by = -size
			}
			held := max(p.Size, -p.Size)
			if p.Size != 0 && (p.Size < 0) != (by < 0) {
				closed := min(held, size)
				left := new(big.Int).Mul(big.NewInt(int64(p.EntryQuote)), big.NewInt(int64(held-closed)))
				p.EntryQuote = num.USD(left.Div(left, big.NewInt(int64(held))).Int64())
				p.EntryQuote += num.USD(int64(price) * int64(size-closed))
			} else {
				p.EntryQuote += num.USD(int64(price) * int64(size))
			}
			p.Size += by
		}
	}
	if told {
		tr.MakerBefore, tr.TakerBefore = before[0], before[1]
		if tr.TakerBuys() {
			tr.MakerBefore, tr.TakerBefore = before[1], before[0]
		}
	}
	return tr
}

// Positions that follow from trades alone are the ledger's, whether the trades tell the positions before them or not,
// repeated or not, through restarts and crashes.
func TestPositionsEqualLedger(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := ledger{}
		store := kvtest.Open(t)
		tr := newTracker(t, store)
		var all []model.Trade
		n := rapid.IntRange(1, 120).Draw(rt, "trades")
		for i := range n {
			account := func(name string) model.AccountID { return model.AccountID(rapid.IntRange(1, 8).Draw(rt, name)) }
			told := rapid.IntRange(0, 3).Draw(rt, "told") > 0
			row := l.trade(uint64(i+1), model.Millis(1000+i/3), account("buyer"), account("seller"),
				num.Size(rapid.Int64Range(1, 50).Draw(rt, "size")), num.Price(rapid.Int64Range(1, 1000).Draw(rt, "price")),
				rapid.Bool().Draw(rt, "maker ask"), told)
			all = append(all, row)
			tr.OnEvent(&model.Event{Payload: &model.TradeBatch{Rows: []model.Trade{row}}}, nil)
			if rapid.IntRange(0, 9).Draw(rt, "again") == 0 {
				tr.Trade(0, &all[rapid.IntRange(0, len(all)-1).Draw(rt, "which")], rapid.Bool().Draw(rt, "late"))
			}
			if rapid.IntRange(0, 30).Draw(rt, "restart") == 0 {
				if err := tr.Save(); err != nil {
					rt.Fatal(err)
				}
				tr = newTracker(t, store)
			}
		}
		var row model.Account
		for id, want := range l {
			if !tr.Get(id, &row) {
				rt.Fatalf("account %d is not known", id)
			}
			if len(row.Positions) == 0 {
				if want.Size != 0 {
					rt.Fatalf("account %d has no position, the ledger %d", id, want.Size)
				}
				continue
			}
			if p := row.Positions[0]; p.Size != want.Size || p.Entry != want.EntryQuote {
				rt.Fatalf("account %d: size %d entry %d, the ledger has %d and %d", id, p.Size, p.Entry, want.Size, want.EntryQuote)
			}
		}
	})
}

// What was realised is what the closed parts earned: long 2 at 10 and 2 at 20, sold 3 at 30, then through zero.
func TestRealized(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	for i, f := range []struct {
		by    num.Size
		price num.Price
	}{{2_0000, 10_00}, {2_0000, 20_00}, {-3_0000, 30_00}, {-4_0000, 40_00}} {
		row := model.Trade{ID: uint64(i + 1), Time: 5, Price: f.price, Size: max(f.by, -f.by), BidAccount: 1, AskAccount: 2}
		if f.by < 0 {
			row.BidAccount, row.AskAccount = 2, 1
		}
		tr.Trade(0, &row, false)
	}
	var a model.Account
	tr.Get(1, &a)
	p := a.Positions[0]
	// 3 of entry 15 at 30: 45; 1 of entry 15 at 40: 25; 3 short at 40.
	if p.Size != -3_0000 || p.Entry != 120_000000 || p.Realized != 70_000000 {
		t.Errorf("size %d, entry %d, realised %d", p.Size, p.Entry, p.Realized)
	}
	tr.Get(2, &a)
	if p := a.Positions[0]; p.Size != 3_0000 || p.Realized != -70_000000 {
		t.Errorf("the other side: size %d, realised %d", p.Size, p.Realized)
	}
}

func TestPollWins(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	tr.Trade(0, &model.Trade{ID: 1, Time: 100, Price: 10_00, Size: 5_0000, BidAccount: 1, AskAccount: 2}, false)
	before := disagreedPolls.Get()
	poll := &model.Account{
		ID: 1, Index: 1, Address: model.Address{7}, Polled: 200, Collateral: 55, Status: 1,
		Positions: []model.Position{{Market: 0, Size: 6_0000, Entry: 60_000000, Liquidation: num.Decimal{Mant: 900, Scale: 2}}},
	}
	tr.Polled(poll)
	var a model.Account
	tr.Get(1, &a)
	if a.Source != model.SourceBoth || a.Collateral != 55 || a.Positions[0].Size != 6_0000 || a.AsOf != 200 {
		t.Errorf("after the poll: %+v", a)
	}
	if got := disagreedPolls.Get() - before; got != 1 {
		t.Errorf("%d disagreements counted", got)
	}
	// A trade goes on from there; the venue's liquidation price was that of the position before.
	tr.Trade(0, &model.Trade{ID: 2, Time: 300, Price: 10_00, Size: 1_0000, BidAccount: 2, AskAccount: 1}, false)
	tr.Get(1, &a)
	if p := a.Positions[0]; p.Size != 5_0000 || p.Liquidation != (num.Decimal{}) {
		t.Errorf("after the trade: %+v", p)
	}
	// A poll from before that trade knows nothing of it, but of the collateral.
	poll.Polled, poll.Collateral = 250, 77
	tr.Polled(poll)
	tr.Get(1, &a)
	if a.Positions[0].Size != 5_0000 || a.Collateral != 77 {
		t.Errorf("after an older poll: %+v", a)
	}
	// One that came late altogether is nothing.
	poll.Polled, poll.Collateral = 240, 1
	tr.Polled(poll)
	if tr.Get(1, &a); a.Collateral != 77 {
		t.Errorf("a late answer was taken: %+v", a)
	}
	// What the venue lists no more is flat.
	tr.Polled(&model.Account{ID: 1, Polled: 400})
	if tr.Get(1, &a); a.Positions[0].Size != 0 || a.Positions[0].Entry != 0 {
		t.Errorf("not listed any more: %+v", a.Positions[0])
	}
	if got := tr.Owned(model.Address{7}); !slices.Equal(got, []model.AccountID{1}) {
		t.Errorf("owned %v", got)
	}
}

// Everything is there after a restart, to the last member.
func TestRestart(t *testing.T) {
	store := kvtest.Open(t)
	tr := newTracker(t, store)
	tr.Trade(0, &model.Trade{ID: 9, Time: 100, Price: 10_00, Size: 5_0000, BidAccount: 1, AskAccount: 1<<50 + 2}, false)
	tr.Polled(&model.Account{
		ID: 3, Index: 3, Address: model.Address{1, 2}, Polled: 50, Type: 1, Status: 2, Mode: 1, Collateral: -5, Available: 6, TotalValue: 7,
		CrossValue: 8, TotalOrders: 9, PendingOrders: 10, Positions: []model.Position{{
			Market: 4, Epoch: 1, Size: -3, Entry: 4, Initial: 500, Isolated: true, Allocated: 7, Realized: -8, FundingPaid: 9,
			Liquidation: num.Decimal{Mant: 123, Scale: 2}, OpenOrders: 1, Pending: 2, Tied: 3,
		}},
	})
	tr.See(77)
	if err := tr.Save(); err != nil {
		t.Fatal(err)
	}
	again := newTracker(t, kvtest.CrashClone(t, store, 0))
	if again.Known() != 4 || tr.Known() != 4 {
		t.Fatalf("%d accounts known, %d before", again.Known(), tr.Known())
	}
	tr.Each(func(want *model.Account) bool {
		var got model.Account
		again.Get(want.ID, &got)
		if len(got.Positions)+len(want.Positions) == 0 {
			got.Positions, want.Positions = nil, nil
		}
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("account %d: %+v, want %+v", want.ID, got, *want)
		}
		return true
	})
	if got := again.Owned(model.Address{1, 2}); !slices.Equal(got, []model.AccountID{3}) {
		t.Errorf("owned %v", got)
	}
}

// What the store refused is written the next time.
func TestSaveAfterRefusal(t *testing.T) {
	store := kvtest.Open(t)
	tr := newTracker(t, store)
	tr.See(5)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tr.Save(); err == nil {
		t.Fatal("a closed store took the rows")
	}
	if ids := tr.saves.Take(); !slices.Equal(ids, []model.AccountID{5}) {
		t.Errorf("%v wait to be written", ids)
	}
}

// Changes lists an account once, and again after it was taken.
func TestChanges(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	c := tr.Follow()
	for i := range 5 {
		tr.Trade(0, &model.Trade{ID: uint64(i + 1), Time: 1, Price: 1, Size: 1, BidAccount: 1, AskAccount: 2}, false)
	}
	ids := c.Take()
	slices.Sort(ids)
	if !slices.Equal(ids, []model.AccountID{1, 2}) {
		t.Errorf("changed %v", ids)
	}
	if ids := c.Take(); len(ids) != 0 {
		t.Errorf("changed %v without a change", ids)
	}
	tr.See(2)
	if ids := c.Take(); len(ids) != 0 {
		t.Errorf("a known account changed by being seen: %v", ids)
	}
}
