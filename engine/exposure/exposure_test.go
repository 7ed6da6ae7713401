package exposure

import (
	"cmp"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"hyperlight/engine/account"
	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
	"hyperlight/kv/kvtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

// world is a venue of three markets whose marks move, and accounts that trade.
type world struct {
	markets []*model.Market
	marks   []num.Price
	tracker *account.Tracker
	desk    *Desk
	polled  model.Millis
}

func newWorld(t testing.TB, rows int) *world {
	t.Helper()
	w := &world{marks: []num.Price{3000_00, 60000_0, 150_000}, polled: 1}
	for i, ps := range []uint8{2, 1, 3} {
		w.markets = append(w.markets, &model.Market{
			ID: model.MarketID(i), Native: int64(i), Symbol: []string{"ETH", "BTC", "SOL"}[i], Active: true, PriceScale: ps, SizeScale: 6 - ps,
			Scales: []model.Scale{{Price: ps, Size: 6 - ps}}, DefaultInitialMargin: 500, MinInitialMargin: 200, MaintenanceMargin: 120, CloseOutMargin: 80,
		})
	}
	tracker, err := account.New(account.Options{Store: kvtest.Open(t), Now: time.Now, Markets: func(id model.MarketID) (*model.Market, bool) {
		return w.markets[id], true
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.tracker = tracker
	w.desk = New(Options{
		Accounts: tracker, Markets: func() []*model.Market { return w.markets }, Rows: rows,
		Stats: func(id model.MarketID) (*model.Stats, model.Micros) {
			ps := w.markets[id].PriceScale
			return &model.Stats{
				Has: model.HasMark | model.HasOpenInterest, Mark: num.Decimal{Mant: int64(w.marks[id]), Scale: ps},
				OpenInterest: num.Decimal{Mant: 5_000_000},
			}, 1
		},
		Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) },
	})
	return w
}

func (w *world) rules(id model.MarketID) (risk.Market, bool) {
	m := w.markets[id]
	return risk.Market{Info: m, Mark: num.Decimal{Mant: int64(w.marks[id]), Scale: m.PriceScale}}, true
}

// change lets some accounts trade, some be polled, and some marks move.
func (w *world) change(t *rapid.T) {
	for range rapid.IntRange(0, 15).Draw(t, "polls") {
		w.polled++
		a := &model.Account{ID: model.AccountID(rapid.IntRange(1, 25).Draw(t, "account")), Polled: w.polled,
			Collateral: num.USD(rapid.Int64Range(0, 50_000e6).Draw(t, "collateral"))}
		for id, m := range w.markets {
			if size := rapid.Int64Range(-2, 2).Draw(t, "size"); size != 0 {
				size *= num.Pow10(m.SizeScale)
				entry := max(size, -size) * int64(w.marks[id]) / 100 * rapid.Int64Range(90, 110).Draw(t, "entry")
				a.Positions = append(a.Positions, model.Position{Market: m.ID, Size: num.Size(size), Entry: num.USD(entry), Initial: 500,
					Isolated: rapid.IntRange(0, 4).Draw(t, "isolated") == 0, Allocated: 100e6})
			}
		}
		w.tracker.Polled(a)
	}
	for i := range w.marks {
		w.marks[i] += w.marks[i] / 100 * num.Price(rapid.Int64Range(-1, 1).Draw(t, "move"))
	}
}

// Whatever changed between the steps, a snapshot is what one account after the other adds up to.
func TestSnapshotEqualsNaive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.IntRange(1, 30).Draw(rt, "rows")
		w := newWorld(t, rows)
		for range rapid.IntRange(1, 4).Draw(rt, "steps") {
			w.change(rt)
			s := w.desk.Step()
			for _, m := range w.markets {
				w.compareMarket(rt, s.Market(m.ID), rows)
			}
			w.compareRankings(rt, s, rows)
		}
	})
}

func (w *world) compareMarket(t *rapid.T, got *Market, rows int) {
	var entries []risk.Entry
	var tracked num.Size
	var holders []Holder
	w.tracker.Each(func(a *model.Account) bool {
		s := risk.Assess(a, w.rules)
		for i := range s.Exposures {
			e := &s.Exposures[i]
			if e.Position.Market != got.Info.ID {
				continue
			}
			tracked += max(e.Position.Size, 0)
			holders = append(holders, Holder{Account: a.ID, Size: e.Position.Size, Value: e.Notional, Profit: e.Profit})
			if entry, ok := e.Entry(a.ID, got.Info.SizeScale); ok {
				entries = append(entries, entry)
			}
		}
		return true
	})
	if got.Tracked != tracked {
		t.Fatalf("market %d: tracked %d, want %d", got.Info.ID, got.Tracked, tracked)
	}
	mark, _ := got.mark()
	want, err := risk.NewMap(got.Info.SizeScale, entries).Heatmap(mark, Defaults)
	if err != nil {
		t.Fatal(err)
	}
	have, err := got.Map.Heatmap(mark, Defaults)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(have.Buckets, want.Buckets) || have.LongAtRisk != want.LongAtRisk || have.ShortOut != want.ShortOut || have.Positions != want.Positions {
		t.Fatalf("market %d: the heatmap differs", got.Info.ID)
	}
	slices.SortFunc(holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(max(b.Size, -b.Size), max(a.Size, -a.Size)), cmp.Compare(a.Account, b.Account))
	})
	for list, keep := range map[HolderList]func(Holder) bool{
		HoldersAll: func(Holder) bool { return true }, HoldersLong: func(h Holder) bool { return h.Size > 0 }, HoldersShort: func(h Holder) bool { return h.Size < 0 },
	} {
		var expected []Holder
		for _, h := range holders {
			if keep(h) && len(expected) < rows {
				expected = append(expected, h)
			}
		}
		if !slices.EqualFunc(got.Holders(list), expected, func(a, b Holder) bool {
			return a.Account == b.Account && a.Size == b.Size && a.Value == b.Value && a.Profit == b.Profit
		}) {
			t.Fatalf("market %d: ranking %d is %v, want %v", got.Info.ID, list, got.Holders(list), expected)
		}
	}
}

func (w *world) compareRankings(t *rapid.T, s *Snapshot, rows int) {
	var all []Total
	w.tracker.Each(func(a *model.Account) bool {
		x := risk.Assess(a, w.rules)
		total := Total{Account: a.ID, Collateral: a.Collateral, Profit: x.Account.Profit, Positions: len(x.Exposures)}
		for _, e := range x.Exposures {
			if e.Position.Size > 0 {
				total.Long += e.Notional
			} else {
				total.Short += e.Notional
			}
		}
		all = append(all, total)
		return true
	})
	for by, value := range map[Sort]func(Total) num.USD{
		ByNotional: func(t Total) num.USD { return t.Long + t.Short }, ByProfit: func(t Total) num.USD { return t.Profit },
		ByCollateral: func(t Total) num.USD { return t.Collateral },
	} {
		var want []Total
		for _, x := range all {
			if by == ByCollateral && (x.Collateral != 0 || x.Positions > 0) || by != ByCollateral && x.Positions > 0 {
				want = append(want, x)
			}
		}
		slices.SortFunc(want, func(a, b Total) int {
			return cmp.Or(cmp.Compare(value(b), value(a)), cmp.Compare(a.Account, b.Account))
		})
		want = want[:min(rows, len(want))]
		if !slices.EqualFunc(s.Ranking(by), want, func(a, b Total) bool { return a.Account == b.Account && value(a) == value(b) }) {
			t.Fatalf("ranking %d is %v, want %v", by, s.Ranking(by), want)
		}
	}
}

// The text of a heatmap and of a cascade is JSON with the contract's members.
func TestText(t *testing.T) {
	w := newWorld(t, 0)
	w.tracker.Polled(&model.Account{ID: 7, Index: 7, Polled: 5, Collateral: 1000e6, Positions: []model.Position{{Market: 0, Size: 2_0000, Entry: 6000e6}}})
	if w.desk.Heatmap(0) != nil {
		t.Error("a heatmap before the first step")
	}
	m := w.desk.Step().Market(0)
	var heatmap struct {
		Mark    string `json:"mark_price"`
		Width   string `json:"bucket_size"`
		Buckets []struct {
			Low  string `json:"price_low"`
			Long string `json:"long_size"`
		}
		AtRisk   string            `json:"long_at_risk"`
		Outside  map[string]string `json:"outside_range"`
		Coverage map[string]string
	}
	if err := json.Unmarshal(w.desk.Heatmap(0), &heatmap); err != nil {
		t.Fatalf("%v: %s", err, w.desk.Heatmap(0))
	}
	if heatmap.Mark != "3000.00" || heatmap.Width != "12" || len(heatmap.Buckets) != 100 || heatmap.Buckets[0].Low != "2400" ||
		heatmap.Buckets[10].Long != "2.0000" || heatmap.AtRisk != "0" || heatmap.Outside["long_notional"] != "0" {
		t.Errorf("heatmap %+v", heatmap)
	}
	// 5,000,000 of open interest at 3,000.
	if want := map[string]string{"tracked_open_interest": "2.0000", "market_open_interest": "1666.66666667", "ratio": "0.0012"}; !mapsEqual(heatmap.Coverage, want) {
		t.Errorf("coverage %v, want %v", heatmap.Coverage, want)
	}
	trigger, err := m.Trigger(num.Decimal{Mant: -20})
	if err != nil {
		t.Fatal(err)
	}
	v := book.NewView(book.Meta{}, []model.Level{{Price: 2390_00, Size: 1_0000}}, nil)
	text, err := m.AppendCascade(nil, v, m.Info, []int64{trigger}, 50)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"market_id":0,"symbol":"ETH","mark_price":"3000.00","scenarios":[{"direction":"down","trigger_price":"2400",` +
		`"initial_move_pct":"-20","final_price":"2390","total_move_pct":"-20.33333333","amplification":"1.01666667","positions_liquidated":1,` +
		`"liquidated_size":"2.0000","liquidated_notional":"5060.728745","book_exhausted":true,"steps":[{"step":1,"price_from":"2400","price_to":"2390",` +
		`"positions":1,"liquidated_size":"2.0000","liquidated_notional":"5060.728745","cumulative_notional":"5060.728745"}]}],` +
		`"coverage":{"tracked_open_interest":"2.0000","market_open_interest":"1666.66666667","ratio":"0.0012"},"computed_at":1700000000000}`
	if string(text) != want {
		t.Errorf("cascade\n%s\nwant\n%s", text, want)
	}
	if _, err := m.AppendCascade(nil, v, m.Info, []int64{3000e8}, 50); err != ErrTrigger {
		t.Errorf("a trigger at the mark: %v", err)
	}
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// BenchmarkStep is a step over 100,000 accounts with three positions each while a tenth changes.
func BenchmarkStep(b *testing.B) {
	w := newWorld(b, 0)
	poll := func(i int) {
		a := &model.Account{ID: model.AccountID(i), Polled: w.polled, Collateral: num.USD(1000e6 + i)}
		for id, m := range w.markets {
			size := num.Pow10(m.SizeScale) * int64(i%5+1)
			a.Positions = append(a.Positions, model.Position{Market: m.ID, Size: num.Size(size), Entry: num.USD(size * int64(w.marks[id])), Initial: 500})
		}
		w.tracker.Polled(a)
	}
	for i := range 100_000 {
		poll(i)
	}
	w.desk.Step()
	for b.Loop() {
		w.polled++
		for i := range 10_000 {
			poll(i)
		}
		w.marks[0]++
		w.desk.Step()
	}
}
