package http

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/account"
	"hyperlight/engine/exposure"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// ownerAddress owns the accounts 42 and subAccount.
var ownerAddress = model.Address{0x70, 0x99, 0x79, 0x70, 0xc5, 0x18, 0x12, 0xdc, 0x3a, 0x01, 0x0c, 0x7d, 0x01, 0xb5, 0x0e, 0x0d, 0x17, 0xdc, 0x79, 0xc8}

const (
	ownerText  = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	subAccount = 281474976710654
)

// venueAccounts is the table of accounts, what it computes, and a venue that can be asked.
type venueAccounts struct {
	tracker *account.Tracker
	desk    *exposure.Desk
	venue   *fakeVenue

	mu    sync.Mutex
	marks map[model.MarketID]num.Decimal
}

// testMarkets are the fixture's, with the margin rules of the contract's example.
func testMarkets() []*model.Market {
	eth, btc := newMarket(0, "ETH", 2, 4), newMarket(1, "BTC", 2, 4)
	for _, m := range []*model.Market{eth, btc} {
		m.DefaultInitialMargin, m.MinInitialMargin, m.MaintenanceMargin, m.CloseOutMargin = 1000, 1000, 300, 200
	}
	return []*model.Market{eth, btc}
}

func newVenueAccounts(t testing.TB, markets []*model.Market) *venueAccounts {
	t.Helper()
	v := &venueAccounts{marks: map[model.MarketID]num.Decimal{0: {Mant: 320000, Scale: 2}, 1: {Mant: 4300000, Scale: 2}}}
	find := func(id model.MarketID) (*model.Market, bool) {
		i := slices.IndexFunc(markets, func(m *model.Market) bool { return m.ID == id })
		if i < 0 {
			return nil, false
		}
		return markets[i], true
	}
	now := func() time.Time { return time.UnixMilli(int64(testNow)) }
	var err error
	if v.tracker, err = account.New(account.Options{Store: kvtest.Open(t), Markets: find, Now: now}); err != nil {
		t.Fatal(err)
	}
	v.venue = &fakeVenue{tracker: v.tracker, accounts: map[model.AccountID]*model.Account{}}
	v.desk = exposure.New(exposure.Options{Accounts: v.tracker, Markets: func() []*model.Market { return markets }, Stats: v.stats, Now: now})
	return v
}

func (v *venueAccounts) stats(id model.MarketID) (*model.Stats, model.Micros) {
	v.mu.Lock()
	defer v.mu.Unlock()
	mark, ok := v.marks[id]
	if !ok {
		return nil, 0
	}
	return &model.Stats{Has: model.HasMark | model.HasOpenInterest, Mark: mark, OpenInterest: num.Decimal{Mant: 752_800_000000, Scale: 6}}, testNow.Micros()
}

func (v *venueAccounts) setMark(id model.MarketID, text string) {
	d, err := num.ParseDecimal([]byte(text))
	if err != nil {
		panic(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.marks[id] = d
}

func (v *venueAccounts) options(h *fakeHistory) AccountOptions {
	return AccountOptions{Accounts: v.tracker, Refresh: v.venue, History: h, Fills: &fakeRecent{h: h}, Orders: fakeOrders{}, Exposure: v.desk,
		Stats: v.stats, ReadyBodies: 1 << 20}
}

// openPosition makes a position from plain texts, of ETH or BTC.
func openPosition(m model.MarketID, size, entry string, initial int32) model.Position {
	s, serr := num.Parse([]byte(size), 4)
	e, eerr := num.Parse([]byte(entry), num.USDScale)
	if serr != nil || eerr != nil {
		panic("bad position in a test")
	}
	return model.Position{Market: m, Size: num.Size(s), Entry: num.USD(e), Initial: initial}
}

// usd reads money.
func usd(text string) num.USD {
	v, err := num.Parse([]byte(text), num.USDScale)
	if err != nil {
		panic(err)
	}
	return num.USD(v)
}

// fill gives the table four accounts: one with two positions and all that the venue tells, its sub-account, one that only
// traded, and one without a position that was read long ago.
func (v *venueAccounts) fill() {
	long := openPosition(0, "50.5", "152745.33", 2000)
	long.Realized, long.FundingPaid, long.OpenOrders = usd("2"), usd("34.2"), 3
	flat := openPosition(2, "0", "0", 500)
	v.tracker.Polled(&model.Account{ID: 42, Index: 42, Address: ownerAddress, Polled: testNow - 500, Status: 1, Collateral: usd("46342"), Available: usd("19995"),
		TotalValue: usd("55196.67"), CrossValue: usd("55196.67"), TotalOrders: 3,
		Positions: []model.Position{long, openPosition(1, "-2", "90000", 1000), flat}})
	isolated := openPosition(0, "-1", "3300", 1000)
	isolated.Isolated, isolated.Allocated, isolated.Liquidation = true, usd("400"), num.Decimal{Mant: 3592233009708738, Scale: 12}
	v.tracker.Polled(&model.Account{ID: subAccount, Index: subAccount, Address: ownerAddress, Polled: testNow - 500, Type: 1, Status: 1, Collateral: usd("100"),
		TotalValue: usd("600"), CrossValue: usd("100"), Positions: []model.Position{isolated}})
	row := trade(12300, testNow-900_000, "3190.00", "10", false)
	row.AskAccount, row.BidAccount = 99, 7
	row.TakerBefore, row.MakerBefore = model.PositionBefore{Known: true, InitialMargin: 500}, model.PositionBefore{Known: true, InitialMargin: 500}
	v.tracker.Trade(0, &row, false)
	v.tracker.Polled(&model.Account{ID: 8, Index: 8, Address: model.Address{8}, Polled: testNow - 90_000, Status: 1, Collateral: usd("25")})
	v.desk.Step()
}

// sharedAccounts is a table that tests only read.
var sharedAccounts struct {
	once sync.Once
	v    *venueAccounts
}

func readOnlyAccounts(t testing.TB) *venueAccounts {
	sharedAccounts.once.Do(func() {
		sharedAccounts.v = newVenueAccounts(t, testMarkets())
		sharedAccounts.v.fill()
	})
	return sharedAccounts.v
}

// fakeVenue answers refreshes: from accounts, with a failure, or not at all.
type fakeVenue struct {
	tracker *account.Tracker

	mu       sync.Mutex
	accounts map[model.AccountID]*model.Account
	asked    []model.AccountID
	looked   []model.Address
	tracked  []model.AccountID

	// hangs is an account that the venue does not answer for until answer is closed; reached is told of each caller.
	hangs   model.AccountID
	reached chan struct{}
	answer  chan struct{}
}

// unreachable are accounts that the venue cannot be asked about in time.
const unreachable = 4

func (f *fakeVenue) Refresh(_ context.Context, ids []model.AccountID, addresses []model.Address) map[model.AccountID]*model.Error {
	if f.answer != nil && slices.Contains(ids, f.hangs) {
		f.reached <- struct{}{}
		<-f.answer
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.looked = append(f.asked, ids...), append(f.looked, addresses...)
	var failed map[model.AccountID]*model.Error
	for id, a := range f.accounts {
		if slices.Contains(ids, id) || slices.Contains(addresses, a.Address) {
			f.tracker.Polled(a)
		}
	}
	if slices.Contains(ids, unreachable) {
		failed = map[model.AccountID]*model.Error{unreachable: errNotReached}
	}
	return failed
}

// unreachableAddress is one that the venue cannot be asked about in time.
var unreachableAddress = model.Address{4, 4}

func (f *fakeVenue) Unknown(a model.Address) bool { return a != unreachableAddress }

func (f *fakeVenue) Track(id model.AccountID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tracked = append(f.tracked, id)
}

// fakeOrders knows one order of account 42.
type fakeOrders struct{}

func (fakeOrders) AppendOrders(dst []model.OpenOrder, id model.AccountID) []model.OpenOrder {
	if id != 42 {
		return dst
	}
	return append(dst, model.OpenOrder{RestingOrder: model.RestingOrder{Account: 42, ID: 281476000000001, Price: 319950, Size: 7_5000, Initial: 10_0000,
		Expiry: 1709337600000}, Side: model.Bid, At: testNow - 1000})
}

// fills returns the fills of an account by (time, market, id), the taker of a self-trade first.
func (h *fakeHistory) fills(id model.AccountID, sp history.Span, q history.FillQuery) []model.Fill {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []model.Fill
	for _, t := range slices.Concat(h.trades, h.forced) {
		for _, maker := range []bool{false, true} {
			f := t.Fill(t.Market, maker)
			owner := t.AskAccount
			if f.Buys {
				owner = t.BidAccount
			}
			if owner == id && t.Time >= sp.From && t.Time < sp.To && (q.Market == nil || *q.Market == t.Market) &&
				(q.Kinds == 0 || q.Kinds&history.Kinds(t.Kind) != 0) && (q.Side == 0 || (q.Side == history.FillBuys) == f.Buys) &&
				(q.Role == 0 || (q.Role == history.FillMaker) == maker) {
				out = append(out, f)
			}
		}
	}
	slices.SortFunc(out, compareFills)
	if q.Reverse {
		slices.Reverse(out)
	}
	return out
}

func compareFills(a, b model.Fill) int {
	role := func(f model.Fill) int {
		if f.Maker {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Market, b.Market), cmp.Compare(a.ID, b.ID), cmp.Compare(role(a), role(b)))
}

func (h *fakeHistory) Fills(_ context.Context, id model.AccountID, sp history.Span, q history.FillQuery) iter.Seq2[*model.Fill, error] {
	return func(yield func(*model.Fill, error) bool) {
		if h.err != nil {
			yield(nil, h.err)
			return
		}
		for _, f := range h.fills(id, sp, q) {
			if q.After != nil {
				order := compareFills(f, model.Fill{Time: q.After.Time, Market: q.After.Market, ID: q.After.ID, Maker: q.After.Maker})
				if order == 0 || (order < 0) != q.Reverse {
					continue
				}
			}
			if !yield(&f, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) CountFills(_ context.Context, id model.AccountID, sp history.Span, q history.FillQuery, limit uint64) (uint64, bool, error) {
	n := uint64(len(h.fills(id, sp, q)))
	return n, limit == 0 || n <= limit, h.err
}

func (h *fakeHistory) FillsOf(_ context.Context, ids []model.AccountID, sp history.Span, q history.FillQuery, most int) ([]history.AccountFills, error) {
	var out []history.AccountFills
	for _, id := range ids {
		all := h.fills(id, sp, q)
		out = append(out, history.AccountFills{Account: id, Fills: all[:min(len(all), most)], Total: uint64(len(all))})
	}
	return out, h.err
}

func (h *fakeHistory) FillsWhole(history.Span) (bool, error) { return !h.building, h.err }

func (h *fakeHistory) AccountSnapshots(_ context.Context, id model.AccountID, sp history.Span, resolution time.Duration, reverse bool) iter.Seq2[*model.AccountSnapshot, error] {
	var last []model.AccountSnapshot
	bucket := func(t model.Millis) model.Millis { return t / model.Millis(resolution.Milliseconds()) }
	for _, s := range h.snapshots {
		if s.Account != id || s.Time < sp.From || s.Time >= sp.To {
			continue
		}
		if n := len(last); n > 0 && bucket(last[n-1].Time) == bucket(s.Time) {
			last[n-1] = s
			continue
		}
		last = append(last, s)
	}
	if reverse {
		slices.Reverse(last)
	}
	return func(yield func(*model.AccountSnapshot, error) bool) {
		for i := range last {
			if !yield(&last[i], nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) CountAccountSnapshots(ctx context.Context, id model.AccountID, sp history.Span, resolution time.Duration) (n uint64, err error) {
	for range h.AccountSnapshots(ctx, id, sp, resolution, false) {
		n++
	}
	return n, h.err
}

// fillSnapshots gives account 42 a snapshot a minute for three hours.
func (h *fakeHistory) fillSnapshots() {
	for at, i := testNow-3*hour, num.USD(0); at < testNow; at, i = at+60_000, i+1 {
		h.snapshots = append(h.snapshots, model.AccountSnapshot{Account: 42, Time: at, Value: usd("46620") + i, Collateral: usd("46342"), Unrealized: usd("278") + i,
			Realized: usd("2"), Funding: usd("34.2"), Notional: usd("11456.36"), Positions: 1})
	}
}

// fakeRecent has nothing in memory at first.
type fakeRecent struct {
	h      *fakeHistory
	mu     sync.Mutex
	loaded map[model.AccountID]bool
}

func (f *fakeRecent) Load(_ context.Context, ids []model.AccountID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded == nil {
		f.loaded = map[model.AccountID]bool{}
	}
	for _, id := range ids {
		f.loaded[id] = true
	}
	return f.h.err
}

func (f *fakeRecent) Recent(id model.AccountID, n int, dst []model.Fill) ([]model.Fill, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.loaded[id] {
		return dst, false
	}
	all := f.h.fills(id, history.Span{To: 1 << 60}, history.FillQuery{Reverse: true})
	return append(dst, all[:min(n, len(all))]...), true
}

func (f *fakeRecent) Append(dst []byte, id model.AccountID, n int, market func(model.MarketID) *model.Market) ([]byte, bool) {
	rows, ok := f.Recent(id, n, nil)
	return appendFakeFills(dst, rows, market), ok
}

func appendFakeFills(dst []byte, rows []model.Fill, market func(model.MarketID) *model.Market) []byte {
	from := len(dst)
	for i := range rows {
		if m := market(rows[i].Market); m != nil {
			if len(dst) > from {
				dst = append(dst, ',')
			}
			dst = rows[i].AppendFill(dst, m)
		}
	}
	return dst
}
