package account

import (
	"math"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// state returns an account's only position, and fails where it has none or several.
func state(t *testing.T, tr *Tracker, id model.AccountID) model.Position {
	t.Helper()
	var a model.Account
	if !tr.Get(id, &a) || len(a.Positions) != 1 {
		t.Fatalf("account %d has no single position: %+v", id, a)
	}
	return a.Positions[0]
}

func known(size num.Size, entry num.USD) model.PositionBefore {
	return model.PositionBefore{Known: true, Size: size, EntryQuote: entry}
}

// buys is a trade in which account 1, the taker, buys from account 2.
func buys(id uint64, at model.Millis, size num.Size, price num.Price, before model.PositionBefore) *model.Trade {
	return &model.Trade{ID: id, Time: at, Price: price, Size: size, MakerAsk: true, BidAccount: 1, AskAccount: 2, TakerBefore: before}
}

// A poll that is newer than a trade may contain it, and others behind it, or not.
func TestTradeAfterNewerPoll(t *testing.T) {
	liquidation := num.Decimal{Mant: 900, Scale: 2}
	for _, tt := range []struct {
		name           string
		polled         num.Size
		trade          *model.Trade
		late           bool
		size           num.Size
		entry, realize num.USD
		liquidation    num.Decimal
		trades         uint64
	}{
		{"not contained", -4_0000, buys(1, 100, 1_0000, 20_00, known(-4_0000, 40_000000)), false, -3_0000, 30_000000, 5 - 10_000000, num.Decimal{}, 1},
		{"contained", -3_0000, buys(1, 100, 1_0000, 20_00, known(-4_0000, 40_000000)), false, -3_0000, 77, 5, liquidation, 1},
		{"contained with others", -1_0000, buys(1, 100, 1_0000, 20_00, known(-4_0000, 40_000000)), false, -1_0000, 77, 5, liquidation, 1},
		{"nothing told", -4_0000, buys(1, 100, 1_0000, 20_00, model.PositionBefore{}), false, -4_0000, 77, 5, liquidation, 0},
		{"late", -4_0000, buys(1, 100, 1_0000, 20_00, known(-4_0000, 40_000000)), true, -4_0000, 77, 5, liquidation, 0},
		{"late but newer", -4_0000, buys(1, 201, 1_0000, 20_00, known(-4_0000, 40_000000)), true, -3_0000, 30_000000, 5 - 10_000000, num.Decimal{}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTracker(t, kvtest.Open(t))
			tr.Polled(&model.Account{ID: 1, Polled: 200, Positions: []model.Position{{Size: tt.polled, Entry: 77, Realized: 5, Liquidation: liquidation}}})
			before := disagreedTrades.Get()
			tr.Trade(0, tt.trade, tt.late)
			p := state(t, tr, 1)
			if p.Size != tt.size || p.Entry != tt.entry || p.Realized != tt.realize || p.Liquidation != tt.liquidation || p.Trade != tt.trades {
				t.Errorf("%+v", p)
			}
			if n := disagreedTrades.Get() - before; n != 0 {
				t.Errorf("%d disagreements", n)
			}
		})
	}
}

// What passed us by between two trades is counted, and the venue is right.
func TestTradeDisagrees(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	tr.Trade(0, buys(1, 100, 1_0000, 20_00, known(0, 0)), false)
	before := disagreedTrades.Get()
	tr.Trade(0, buys(2, 101, 1_0000, 20_00, known(1_0000, 20_000001)), false)
	if p := state(t, tr, 1); disagreedTrades.Get() != before || p.Entry != 40_000001 {
		t.Errorf("another rounding of the entry value: %d disagreements, %+v", disagreedTrades.Get()-before, p)
	}
	tr.Trade(0, buys(5, 101, 1_0000, 20_00, known(-5_0000, 50_000000)), false)
	if p := state(t, tr, 1); disagreedTrades.Get() != before+1 || p.Size != -4_0000 || p.Entry != 40_000000 {
		t.Errorf("%d disagreements, %+v", disagreedTrades.Get()-before, p)
	}
}

// The venue leaves out what is zero: a side whose sign changed and that tells no position before was flat.
func TestSignChangedTellsFlat(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	tr.Trade(0, buys(1, 100, 9_0000, 20_00, model.PositionBefore{}), false)
	row := buys(2, 101, 1_0000, 20_00, model.PositionBefore{})
	row.TakerSignChanged = true
	tr.Trade(0, row, false)
	if p := state(t, tr, 1); p.Size != 1_0000 || p.Entry != 20_000000 {
		t.Errorf("the taker: %+v", p)
	}
	if p := state(t, tr, 2); p.Size != -10_0000 {
		t.Errorf("the maker, of whom nothing was told: %+v", p)
	}
}

// An account that trades with itself keeps its position; a row whose two sides agree still tells it.
func TestSelfTrade(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	row := buys(1, 100, 2_0000, 20_00, known(7, 7))
	row.AskAccount, row.MakerBefore = 1, known(2_0007, 9)
	tr.Trade(0, row, false)
	var a model.Account
	if !tr.Get(1, &a) || len(a.Positions) != 0 {
		t.Errorf("of two sides that do not fit together a position was made: %+v", a)
	}
	row = buys(2, 100, 2_0000, 20_00, known(3_0000, 30_000000))
	row.AskAccount, row.MakerBefore = 1, known(3_0000, 30_000000)
	tr.Trade(0, row, false)
	if p := state(t, tr, 1); p.Size != 3_0000 || p.Entry != 30_000000 || p.Realized != 0 {
		t.Errorf("%+v", p)
	}
	row = buys(3, 100, 2_0000, 20_00, model.PositionBefore{})
	row.AskAccount = 1
	tr.Trade(0, row, false)
	if p := state(t, tr, 1); p.Size != 3_0000 || p.Entry != 30_000000 {
		t.Errorf("%+v", p)
	}
}

// Trades of spot markets and rows without accounts make no positions.
func TestTradesWithoutPositions(t *testing.T) {
	store := kvtest.Open(t)
	tr, err := New(Options{Store: store, Markets: func(model.MarketID) (*model.Market, bool) {
		return &model.Market{ID: 9, Type: "spot", PriceScale: 2, SizeScale: 4}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	tr.Trade(9, buys(1, 100, 1_0000, 20_00, model.PositionBefore{}), false)
	var a model.Account
	if !tr.Get(1, &a) || len(a.Positions) != 0 || tr.Known() != 2 {
		t.Errorf("%d accounts, %+v", tr.Known(), a)
	}
	tr = newTracker(t, kvtest.Open(t))
	tr.Trade(0, &model.Trade{ID: 1, Size: 1, Price: 1}, false)
	if tr.Known() != 0 {
		t.Errorf("a row without accounts made %d", tr.Known())
	}
	// The venue's own account has the index 0.
	row := buys(2, 100, 1_0000, 20_00, known(0, 0))
	row.AskAccount = 0
	tr.Trade(0, row, false)
	if p := state(t, tr, 0); p.Size != -1_0000 {
		t.Errorf("%+v", p)
	}
}

// Forced trades and settlements move positions as any other.
func TestForcedTrades(t *testing.T) {
	for _, kind := range []model.TradeKind{model.KindLiquidation, model.KindDeleverage, model.KindSettlement, model.KindOther} {
		tr := newTracker(t, kvtest.Open(t))
		row := buys(1, 100, 1_0000, 20_00, known(-1_0000, 10_000000))
		row.Kind = kind
		tr.Trade(0, row, false)
		if p := state(t, tr, 1); p.Size != 0 || p.Entry != 0 || p.Realized != -10_000000 {
			t.Errorf("%v: %+v", kind, p)
		}
	}
}

// A position and a trade may be of different scale epochs.
func TestTradeOfLaterEpoch(t *testing.T) {
	market := &model.Market{PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 2}, {Price: 2, Size: 4}}}
	tr, err := New(Options{Store: kvtest.Open(t), Markets: func(model.MarketID) (*model.Market, bool) { return market, true }})
	if err != nil {
		t.Fatal(err)
	}
	before := disagreedTrades.Get()
	tr.Trade(0, buys(1, 100, 1_00, 20_00, known(0, 0)), false)
	row := buys(2, 101, 5000, 20_00, known(1_0000, 20_000000))
	row.Epoch = 1
	tr.Trade(0, row, false)
	row = buys(3, 102, 1, 20_00, model.PositionBefore{})
	row.Epoch = 1
	tr.Trade(0, row, false)
	if p := state(t, tr, 1); p.Size != 1_5001 || p.Epoch != 1 || p.Entry != 30_002000 || disagreedTrades.Get() != before {
		t.Errorf("%+v, %d disagreements", p, disagreedTrades.Get()-before)
	}
}

// Isolated margin comes with each trade of the position.
func TestIsolatedMargin(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	step := func(id uint64, before model.PositionBefore, extra string) model.Position {
		row := buys(id, model.Millis(100+id), 1_0000, 20_00, before)
		row.Extra = extra
		tr.Trade(0, row, false)
		return state(t, tr, 1)
	}
	if p := step(1, known(-3_0000, 30_000000), `"x":"a,b","taker_allocated_margin_usdc_before":900,"taker_allocated_margin_usdc_after":600`); !p.Isolated || p.Allocated != 600 {
		t.Errorf("reduced: %+v", p)
	}
	if p := state(t, tr, 2); p.Isolated || p.Allocated != 0 {
		t.Errorf("the other side: %+v", p)
	}
	if p := step(2, known(-2_0000, 20_000000), `"maker_allocated_margin_usdc_after":7`); !p.Isolated || p.Allocated != 600 {
		t.Errorf("not told: %+v", p)
	}
	if p := step(3, known(-1_0000, 10_000000), `"taker_allocated_margin_usdc_before":300`); !p.Isolated || p.Allocated != 0 || p.Size != 0 {
		t.Errorf("closed: %+v", p)
	}
	for _, bad := range []string{`"taker_allocated_margin_usdc_after":{}`, `"taker_allocated_margin_usdc_after":`, `"taker_allocated_margin_usdc_after":1.5`} {
		if p := step(state(t, tr, 1).Trade+1, known(5_0000, 1), bad); p.Allocated != 0 {
			t.Errorf("%s: %+v", bad, p)
		}
	}
}

// An account may change its mode of margin while it is flat: what it opens without a margin of its own is a cross position.
func TestOpenedAsCross(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	row := buys(1, 100, 1_0000, 20_00, known(-1_0000, 10_000000))
	row.Extra = `"taker_allocated_margin_usdc_before":300`
	tr.Trade(0, row, false)
	tr.Trade(0, buys(2, 101, 1_0000, 20_00, known(0, 0)), false)
	if p := state(t, tr, 1); p.Isolated || p.Allocated != 0 || p.Size != 1_0000 {
		t.Errorf("opened as cross: %+v", p)
	}
	row = buys(3, 102, 2_0000, 20_00, known(1_0000, 20_000000))
	row.BidAccount, row.AskAccount, row.MakerAsk = 2, 1, false // it closes and opens the other way round
	row.Extra = `"taker_allocated_margin_usdc_after":500`
	tr.Trade(0, row, false)
	if p := state(t, tr, 1); !p.Isolated || p.Allocated != 500 || p.Size != -1_0000 {
		t.Errorf("opened as isolated: %+v", p)
	}
	// A poll that is newer than the trade knows better.
	tr.Polled(&model.Account{ID: 7, Polled: 200, Positions: []model.Position{{Size: 3_0000, Isolated: true, Allocated: 9}}})
	row = buys(4, 150, 1_0000, 20_00, known(0, 0))
	row.BidAccount = 7
	tr.Trade(0, row, false)
	if p := state(t, tr, 7); !p.Isolated || p.Allocated != 9 {
		t.Errorf("polled as isolated: %+v", p)
	}
}

// The answer to an account call contains what was traded until the venue made it, which is after it was asked.
func TestAnswerContainsLaterTrade(t *testing.T) {
	poll := func(trade *model.Trade) model.Position {
		tr := newTracker(t, kvtest.Open(t))
		tr.Polled(&model.Account{ID: 1, Polled: 200, Positions: []model.Position{{Size: -3_0000, Entry: 30_000000, Realized: -10_000000}}})
		before := disagreedTrades.Get()
		tr.Trade(0, trade, false)
		if trade.Time < 1000 && disagreedTrades.Get() != before {
			t.Error("counted as a disagreement")
		}
		return state(t, tr, 1)
	}
	if p := poll(buys(1, 250, 1_0000, 20_00, known(-4_0000, 40_000000))); p.Size != -3_0000 || p.Realized != -10_000000 || p.Trade != 1 || p.AsOf != 250 {
		t.Errorf("contained: %+v", p)
	}
	if p := poll(buys(1, 250, 1_0000, 20_00, known(-3_0000, 30_000000))); p.Size != -2_0000 || p.Realized != -20_000000 {
		t.Errorf("not contained: %+v", p)
	}
	if p := poll(buys(1, 200+answerTime, 1_0000, 20_00, known(-4_0000, 40_000000))); p.Size != -3_0000 || p.Realized != -20_000000 {
		t.Errorf("long after: %+v", p)
	}
}

// A trade whose sums do not fit into 64 bits is refused: nothing wraps.
func TestTradeOutOfRange(t *testing.T) {
	for name, before := range map[string]model.PositionBefore{
		"entry": known(1_0000, math.MaxInt64-5), "size": known(math.MaxInt64-5, 1),
	} {
		tr := newTracker(t, kvtest.Open(t))
		refused := tradesRefused.Get()
		tr.Trade(0, buys(1, 100, 1_0000, 20_00, before), false)
		if p := state(t, tr, 1); p != (model.Position{}) || tradesRefused.Get() != refused+1 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	tr := newTracker(t, kvtest.Open(t))
	tr.Polled(&model.Account{ID: 1, Polled: 50, Positions: []model.Position{{Size: -1_0000, Realized: math.MinInt64 + 5}}})
	tr.Trade(0, buys(1, 100, 1_0000, 20_00, known(-1_0000, 0)), false)
	if p := state(t, tr, 1); p.Realized != math.MinInt64+5 || p.Size != -1_0000 {
		t.Errorf("realised: %+v", p)
	}
}
