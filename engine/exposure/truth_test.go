package exposure

import (
	"cmp"
	"encoding/hex"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/account"
	"hyperlight/engine/book"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
	"hyperlight/engine/sim"
	"hyperlight/kv/kvtest"
)

// venue follows a simulated exchange through its trade frames alone.
type venue struct {
	exchange *sim.Exchange
	markets  map[int64]*model.Market
	tracker  *account.Tracker
	frames   int
	seen     map[int64]map[int64]bool // account: markets it traded in
}

// Market and Observe make it the decoder's resolver.
func (v *venue) Market(native int64) (*model.Market, bool) { m, ok := v.markets[native]; return m, ok }

func (v *venue) Observe(int64, string, uint8, uint8) (*model.Market, bool) { return nil, false }

func followVenue(t *testing.T, o sim.Options) *venue {
	t.Helper()
	v := &venue{exchange: sim.New(o), markets: map[int64]*model.Market{}, seen: map[int64]map[int64]bool{}}
	all := v.exchange.Markets()
	for i := range all {
		all[i].Scales = []model.Scale{{Price: all[i].PriceScale, Size: all[i].SizeScale}}
		v.markets[all[i].Native] = &all[i]
	}
	tracker, err := account.New(account.Options{Store: kvtest.Open(t), Now: time.Now, Markets: func(id model.MarketID) (*model.Market, bool) {
		m, ok := v.markets[int64(id)]
		return m, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	v.tracker = tracker
	d := lighter.NewDecoder(v)
	v.exchange.Tap(func(channel string, frame []byte) {
		if !strings.HasPrefix(channel, "trade:") {
			return
		}
		v.frames++
		err := d.Decode(frame, 1, func(e *model.Event) error {
			if b, ok := e.Payload.(*model.TradeBatch); ok {
				for i := range b.Rows {
					for _, id := range []model.AccountID{b.Rows[i].AskAccount, b.Rows[i].BidAccount} {
						if v.seen[int64(id)] == nil {
							v.seen[int64(id)] = map[int64]bool{}
						}
						v.seen[int64(id)][int64(e.Market)] = true
					}
				}
			}
			tracker.OnEvent(e, nil)
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", channel, err)
		}
	})
	return v
}

// poll tells the tracker every account as the venue's account call would.
func (v *venue) poll(t *testing.T, ledger []sim.Account, at model.Millis) {
	t.Helper()
	for i := range ledger {
		l := &ledger[i]
		a := &model.Account{ID: model.AccountID(l.Index), Index: l.Index, Polled: at, Collateral: l.Collateral}
		if b, err := hex.DecodeString(strings.TrimPrefix(l.L1, "0x")); err == nil {
			copy(a.Address[:], b)
		}
		for _, p := range l.Positions {
			a.Positions = append(a.Positions, model.Position{
				Market: model.MarketID(p.Market), Size: p.Size, Entry: p.Entry, Initial: int32(p.Fraction), Isolated: p.Isolated,
				Allocated: p.Allocated, Realized: p.Realized, FundingPaid: p.Paid,
			})
		}
		slices.SortFunc(a.Positions, func(a, b model.Position) int { return cmp.Compare(a.Market, b.Market) })
		v.tracker.Polled(a)
	}
}

// The simulator is the truth: every position of every account that traded follows from the trade frames alone, and the
// liquidation prices, heatmaps, cascades and rankings are those that its ledger comes to, computed the long way. With
// HYPERLIGHT_SOAK it has 20,000 accounts in 100 markets for ten minutes of its time.
func TestSimulatorsLedger(t *testing.T) {
	o := sim.Options{Seed: 11, Markets: 12, Accounts: 800, Rate: 3000, Volatility: 20, Start: time.Date(2026, 11, 1, 11, 59, 0, 0, time.UTC)}
	span := 90 * time.Second
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		o.Markets, o.Accounts, o.Rate, span = 100, 20_000, 6000, 10*time.Minute
	}
	v := followVenue(t, o)
	v.exchange.AdvanceBy(span)
	if err := v.exchange.Check(); err != nil {
		t.Fatal(err)
	}
	ledger := v.exchange.Ledger(true)
	v.comparePositions(t, ledger)

	v.poll(t, ledger, model.Millis(o.Start.Add(span).UnixMilli()))
	marks := map[int64]num.Decimal{}
	for i := range ledger {
		for _, p := range ledger[i].Positions {
			marks[p.Market] = num.Decimal{Mant: int64(p.Mark), Scale: v.markets[p.Market].PriceScale}
		}
	}
	desk := New(Options{
		Accounts: v.tracker, Now: func() time.Time { return o.Start },
		Markets: func() (all []*model.Market) {
			for _, m := range v.markets {
				all = append(all, m)
			}
			return all
		},
		Stats: func(id model.MarketID) (*model.Stats, model.Micros) {
			mark, ok := marks[int64(id)]
			if !ok {
				return nil, 0
			}
			return &model.Stats{Has: model.HasMark, Mark: mark}, 1
		},
	})
	s := desk.Step()
	naive := naiveExposure(t, v, ledger)
	compared := 0
	for native, m := range v.markets {
		got := s.Market(m.ID)
		if got == nil {
			if len(naive.entries[native]) > 0 {
				t.Errorf("market %d is missing", native)
			}
			continue
		}
		compared += len(naive.entries[native])
		naive.compare(t, v, got)
	}
	naive.compareRankings(t, s)
	totals := v.exchange.Totals()
	t.Logf("%d trade frames, %d trades, %d liquidations, %d deleverages, %d rounds of funding; %d liquidation prices compared",
		v.frames, totals.Trades, totals.Liquidations, totals.Deleverages, totals.FundingRounds, compared)
	if compared < o.Accounts/4 || totals.Trades == 0 {
		t.Errorf("only %d liquidation prices compared", compared)
	}
}

func (v *venue) comparePositions(t *testing.T, ledger []sim.Account) {
	t.Helper()
	compared := 0
	var row model.Account
	for i := range ledger {
		l := &ledger[i]
		if v.seen[l.Index] == nil {
			continue
		}
		if !v.tracker.Get(model.AccountID(l.Index), &row) {
			t.Errorf("account %d traded and is not known", l.Index)
			continue
		}
		for _, want := range l.Positions {
			if !v.seen[l.Index][want.Market] {
				continue
			}
			compared++
			j := slices.IndexFunc(row.Positions, func(p model.Position) bool { return int64(p.Market) == want.Market })
			switch {
			case j < 0:
				if want.Size != 0 {
					t.Errorf("account %d market %d: no position, the ledger has %d", l.Index, want.Market, want.Size)
				}
			case row.Positions[j].Size != want.Size || row.Positions[j].Entry != want.Entry:
				t.Errorf("account %d market %d: size %d entry %d, the ledger has %d and %d", l.Index, want.Market,
					row.Positions[j].Size, row.Positions[j].Entry, want.Size, want.Entry)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d positions of %d accounts that traded equal the ledger", compared, len(v.seen))
}

// naiveEntry is an open position with what the venue says about it.
type naiveEntry struct {
	account int64
	size    int64 // unsigned
	long    bool
	price   int64 // at risk.PriceScale, 0 where there is none
	slack   int64 // what the price may be off by, since the venue prints 17 digits
	value   num.USD
	profit  num.USD
}

type naiveMap struct {
	entries map[int64][]naiveEntry // by market
	totals  map[int64]*Total
	marks   map[int64]int64 // at risk.PriceScale
}

// naiveExposure goes through the ledger: liquidation prices are those that the venue printed.
func naiveExposure(t *testing.T, v *venue, ledger []sim.Account) *naiveMap {
	t.Helper()
	n := &naiveMap{entries: map[int64][]naiveEntry{}, totals: map[int64]*Total{}, marks: map[int64]int64{}}
	for i := range ledger {
		l := &ledger[i]
		total := &Total{Index: l.Index, Collateral: l.Collateral}
		n.totals[l.Index] = total
		for _, p := range l.Positions {
			if p.Size == 0 {
				continue
			}
			m := v.markets[p.Market]
			value := new(big.Int).Mul(big.NewInt(int64(p.Mark)), big.NewInt(int64(max(p.Size, -p.Size)))).Int64() // six decimals in all
			e := naiveEntry{account: l.Index, size: int64(max(p.Size, -p.Size)), long: p.Size > 0, value: num.USD(value), profit: num.USD(value) - p.Entry}
			if !e.long {
				e.profit = -e.profit
			}
			if p.LiquidationPrice != "" {
				r, ok := new(big.Rat).SetString(p.LiquidationPrice)
				if !ok {
					t.Fatalf("liquidation price %q", p.LiquidationPrice)
				}
				e.price = round(r.Mul(r, new(big.Rat).SetInt64(num.Pow10(risk.PriceScale))))
				if whole := strings.IndexByte(p.LiquidationPrice, '.'); whole > 4 {
					e.slack = num.Pow10(uint8(max(0, risk.PriceScale+whole-17))) // rounded twice, or not told at all
				}
			}
			n.marks[p.Market] = int64(p.Mark) * num.Pow10(risk.PriceScale-m.PriceScale)
			n.entries[p.Market] = append(n.entries[p.Market], e)
			total.Positions++
			total.Profit += e.profit
			if e.long {
				total.Long += e.value
			} else {
				total.Short += e.value
			}
		}
	}
	return n
}

// round is half-even to a whole number.
func round(r *big.Rat) int64 {
	q, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	twice := new(big.Int).Lsh(new(big.Int).Abs(rest), 1)
	if c := twice.Cmp(r.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(int64(rest.Sign())))
	}
	return q.Int64()
}

func notional(price, size int64, sizeScale uint8) num.USD {
	r := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(price), big.NewInt(size)), big.NewInt(num.Pow10(risk.PriceScale+sizeScale-num.USDScale)))
	return num.USD(round(r))
}

func (n *naiveMap) compare(t *testing.T, v *venue, got *Market) {
	t.Helper()
	native, ss := got.Info.Native, got.Info.SizeScale
	entries, mark := n.entries[native], n.marks[native]
	var tracked int64
	for _, e := range entries {
		if e.long {
			tracked += e.size
		}
	}
	if int64(got.Tracked) != tracked {
		t.Errorf("market %d: open interest %d, want %d", native, got.Tracked, tracked)
	}
	entries = slices.DeleteFunc(slices.Clone(entries), func(e naiveEntry) bool { return e.price <= 0 })
	h, err := got.Map.Heatmap(mark, Defaults)
	if err != nil {
		t.Fatal(err)
	}
	if h.Positions != len(entries) {
		t.Errorf("market %d: %d positions have a price, want %d", native, h.Positions, len(entries))
	}
	var inside, all, slack [2]num.USD
	for _, e := range entries {
		side := 0
		if !e.long {
			side = 1
		}
		all[side] += notional(e.price, e.size, ss)
		if e.slack > 0 {
			slack[side] += notional(e.slack, e.size, ss) + 1
		}
	}
	for i := range h.Buckets {
		b := &h.Buckets[i]
		var long, short risk.Sum
		for _, e := range entries {
			if e.price < b.Low || e.price >= b.High {
				continue
			}
			s, side := &long, 0
			if !e.long {
				s, side = &short, 1
			}
			s.Size, s.Notional, s.Count = s.Size+e.size, s.Notional+notional(e.price, e.size, ss), s.Count+1
			inside[side] += notional(e.price, e.size, ss)
		}
		if b.Long != long || b.Short != short {
			t.Errorf("market %d, bucket from %d: %+v %+v, want %+v %+v", native, b.Low, b.Long, b.Short, long, short)
			return
		}
	}
	// Far prices are high ones: their last digit may be another.
	for side, out := range []num.USD{h.LongOut, h.ShortOut} {
		if want := all[side] - inside[side]; max(out-want, want-out) > slack[side] {
			t.Errorf("market %d: %d outside on side %d, want %d", native, out, side, want)
		}
	}
	n.compareCascade(t, v, got, entries, mark)
}

// compareCascade pushes the price down by five percent, one position and one level at a time.
func (n *naiveMap) compareCascade(t *testing.T, v *venue, got *Market, entries []naiveEntry, mark int64) {
	t.Helper()
	bids, asks, _ := v.exchange.Book(got.Info.Native)
	trigger, err := got.Trigger(num.Decimal{Mant: -5})
	if err != nil {
		t.Fatal(err)
	}
	c, err := got.Map.Cascade(mark, trigger, levels(book.NewView(book.Meta{}, bids, asks), got.Info, true), 50)
	if err != nil {
		t.Fatal(err)
	}
	up := num.Pow10(risk.PriceScale - got.Info.PriceScale)
	price, level, taken := trigger, 0, map[int64]bool{}
	for level < len(bids) && int64(bids[level].Price)*up > trigger {
		level++
	}
	var left int64
	if level < len(bids) {
		left = int64(bids[level].Size)
	}
	for i := 0; ; i++ {
		var size int64
		for _, e := range entries {
			if e.long && !taken[e.account] && e.price >= price {
				taken[e.account] = true
				size += e.size
			}
		}
		if size == 0 || i == 50 {
			if len(c.Steps) != i {
				t.Errorf("market %d: %d steps, want %d", got.Info.Native, len(c.Steps), i)
			}
			break
		}
		if i >= len(c.Steps) || c.Steps[i].From != price || c.Steps[i].Closed.Size != size {
			t.Errorf("market %d: step %d differs: %+v, want %d closed from %d", got.Info.Native, i, c.Steps, size, price)
			return
		}
		touched := price
		for size > 0 && level < len(bids) {
			part := min(size, left)
			size, left, touched = size-part, left-part, int64(bids[level].Price)*up
			if left == 0 {
				if level++; level < len(bids) {
					left = int64(bids[level].Size)
				}
			}
		}
		if c.Steps[i].To != touched {
			t.Errorf("market %d: step %d ends at %d, want %d", got.Info.Native, i, c.Steps[i].To, touched)
		}
		price = min(price, touched)
		if size > 0 {
			if !c.Exhausted {
				t.Errorf("market %d: the book is not exhausted", got.Info.Native)
			}
			break
		}
	}
	if c.Final != price {
		t.Errorf("market %d: ends at %d, want %d", got.Info.Native, c.Final, price)
	}
}

func (n *naiveMap) compareRankings(t *testing.T, s *Snapshot) {
	t.Helper()
	for by, value := range map[Sort]func(*Total) num.USD{
		ByNotional: (*Total).Notional, ByProfit: func(t *Total) num.USD { return t.Profit }, ByCollateral: func(t *Total) num.USD { return t.Collateral },
	} {
		var want []*Total
		for _, x := range n.totals {
			if x.Positions > 0 || by == ByCollateral && x.Collateral != 0 {
				want = append(want, x)
			}
		}
		slices.SortFunc(want, func(a, b *Total) int { return cmp.Or(cmp.Compare(value(b), value(a)), cmp.Compare(a.Index, b.Index)) })
		want = want[:min(defaultRows, len(want))]
		got := s.Ranking(by)
		if len(got) != len(want) {
			t.Errorf("ranking %d has %d rows, want %d", by, len(got), len(want))
			continue
		}
		for i := range want {
			if got[i].Index != want[i].Index || value(&got[i]) != value(want[i]) {
				t.Errorf("ranking %d, place %d: account %d with %d, want %d with %d", by, i+1, got[i].Index, value(&got[i]), want[i].Index, value(want[i]))
				break
			}
		}
	}
}
