package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

func testMarket(id model.MarketID) *model.Market {
	return &model.Market{ID: id, Native: int64(id), Symbol: fmt.Sprint("M", id), PriceScale: 2, SizeScale: 4,
		Scales: []model.Scale{{Price: 2, Size: 4}}}
}

// madeHistory draws a record of a few markets over twenty seconds: books with updates, sometimes a hole with a resync,
// trades, and many equal times.
func madeHistory(seed int64, markets int) *fakeHistory {
	r := rand.New(rand.NewSource(seed))
	f := newFake()
	for m := model.MarketID(1); m <= model.MarketID(markets); m++ {
		makeBook(r, f, m)
		id, t := uint64(1), model.Millis(1000)
		for t < 21_000 {
			t += model.Millis(r.Intn(400))
			for range 1 + r.Intn(3) {
				kind := model.KindTrade
				if r.Intn(5) == 0 {
					kind = model.KindLiquidation
				}
				f.trades[m] = append(f.trades[m], model.Trade{ID: id, Time: t, Kind: kind, Price: 100, Size: 1,
					Recv: t.Micros() + model.Micros(r.Intn(900_000)-100_000)})
				id++
			}
		}
		f.held[recordID{m, model.KindTrades}] = []history.Interval{{From: 0, To: 30_000_000}}
		makeRows(r, f, m)
	}
	return f
}

// makeRows draws statistics each second or so, with a hole, funding each four seconds, and a hole in the trades.
func makeRows(r *rand.Rand, f *fakeHistory, m model.MarketID) {
	from := model.Millis(3000 + r.Intn(8000))
	to := from + 1500 + model.Millis(r.Intn(4000))
	for t := model.Millis(500); t < 21_000; t += model.Millis(1 + r.Intn(1000)) {
		if t <= from || t >= to {
			f.stats[m] = append(f.stats[m], history.StatsRow{Time: t, Stats: model.Stats{Mark: num.Decimal{Mant: int64(t)}}})
		}
	}
	f.held[recordID{m, model.KindStats}] = []history.Interval{{From: 500_000, To: from.Micros()}, {From: to.Micros(), To: 21_000_000}}
	f.gaps = append(f.gaps, history.GapRow{Market: m, Gap: model.Gap{Kind: model.KindStats, From: from.Micros(), To: to.Micros()}},
		history.GapRow{Market: m, Gap: model.Gap{Kind: model.KindTrades, From: to.Micros(), To: to.Micros() + 1, Cause: model.CauseStale}})
	for t := model.Millis(0); t < 21_000; t += 4000 {
		f.funded[m] = append(f.funded[m], model.Funding{Time: t, Rate: num.Rate(r.Intn(100) - 50)})
	}
}

func makeBook(r *rand.Rand, f *fakeHistory, m model.MarketID) {
	seq, recv := uint64(0), model.Micros(500_000)
	start := recv
	snapshot := func() {
		seq += 10
		f.rows[m] = append(f.rows[m], record.BookRow{Recv: recv, Time: recv.Millis(), Update: model.BookUpdate{
			Snapshot: true, Seq: seq, Bids: []model.Level{{Price: 99, Size: num.Size(seq)}}, Asks: []model.Level{{Price: 101, Size: 1}}}})
	}
	snapshot()
	for recv < 21_000_000 {
		// Steps of whole and half seconds make equal milliseconds and exact seconds frequent.
		recv += []model.Micros{0, 300, 50_000, 500_000, 1_000_000}[r.Intn(5)]
		recv -= recv % []model.Micros{1, 1000, 500_000}[r.Intn(3)] * model.Micros(r.Intn(2))
		if last := f.rows[m][len(f.rows[m])-1].Recv; recv < last {
			recv = last
		}
		if r.Intn(25) == 0 {
			last := f.rows[m][len(f.rows[m])-1].Recv
			f.held[recordID{m, model.KindBook}] = append(f.held[recordID{m, model.KindBook}], history.Interval{From: start, To: last})
			recv += model.Micros(1 + r.Intn(3_000_000))
			f.gaps = append(f.gaps, history.GapRow{Market: m, Gap: model.Gap{Kind: model.KindBook, From: last, To: recv, Cause: model.CauseNonce}})
			start = recv
			snapshot()
			continue
		}
		f.rows[m] = append(f.rows[m], record.BookRow{Recv: recv, Time: recv.Millis(), Update: model.BookUpdate{
			Prev: seq, Seq: seq + 1, Bids: []model.Level{{Price: 98, Size: num.Size(seq + 1)}}}})
		seq++
	}
	f.held[recordID{m, model.KindBook}] = append(f.held[recordID{m, model.KindBook}], history.Interval{From: start, To: recv})
}

// line is an event as text: everything that a client could see of it.
func line(e *Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s m%d", e.TS, e.Kind, e.Market.ID)
	switch e.Kind {
	case Trade, Liquidation:
		fmt.Fprintf(&b, " id%d r%d", e.Trade.ID, e.Trade.Recv)
	case Stats:
		fmt.Fprintf(&b, " %v", e.Stats.Mark)
	case Funding:
		fmt.Fprintf(&b, " %d", e.Funding.Rate)
	case BookUpdate:
		fmt.Fprintf(&b, " n%d %v %v", e.Row.Update.Seq, e.Row.Update.Bids, e.Row.Update.Asks)
	case Snapshot:
		if e.Top != nil {
			fmt.Fprintf(&b, " n%d %v %v", e.Top.Seq, e.Top.Bids, e.Top.Asks)
			break
		}
		fmt.Fprintf(&b, " n%d %v i%v r%v", e.View.Seq, e.View.Append(nil, model.Bid, 0), e.Initial, e.Resync)
	case Gap:
		fmt.Fprintf(&b, " %s %d-%d %s", e.Gap.Kind, e.Gap.From, e.Gap.To, e.Gap.Cause)
	}
	return b.String()
}

func readAll(t interface{ Fatal(...any) }, s Source, between func(n int)) []string {
	var out []string
	for n := 0; ; n++ {
		e, err := s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if between != nil {
			between(n)
		}
		out = append(out, line(e))
	}
}

// naive is an event of the reference timeline with everything that its place depends on.
type naive struct {
	time   model.Micros // in the unit of the order
	class  int
	market model.MarketID
	lane   int
	index  int
	text   string
}

// naiveTimeline builds each market's lanes as plain lists and sorts them all at once by the contract's rule.
func naiveTimeline(f *fakeHistory, req Request) []string {
	var all []naive
	unit := func(ts model.Micros) model.Micros {
		if req.Order == EventOrder {
			return ts / 1000
		}
		return ts
	}
	add := func(lane int, of Kind, evs []*Event) {
		class, last := 0, model.Micros(-1)
		for i, e := range evs {
			k := int(e.Kind)
			if e.Kind == Gap {
				k = int(of)
			}
			at := unit(e.TS)
			if e.Initial && req.Order == ReceiveOrder {
				at = 0
			}
			// A lane keeps its own order: within one time a later event never sorts before an earlier one.
			if at == last {
				class = max(class, k)
			} else {
				class = k
			}
			last = at
			all = append(all, naive{at, class, e.Market.ID, lane, i, line(e)})
		}
	}
	for _, m := range req.Markets {
		if req.Include.Has(Trade) {
			add(0, Trade, withGaps(f, req, m, model.KindTrades, naiveTrades(f, req, m, Trade)))
		}
		if req.Include.Has(Liquidation) {
			evs := naiveTrades(f, req, m, Liquidation)
			if !req.Include.Has(Trade) {
				evs = withGaps(f, req, m, model.KindTrades, evs)
			}
			add(1, Liquidation, evs)
		}
		if req.Include.Has(Funding) {
			var evs []*Event
			for _, r := range f.funded[m.ID] {
				if r.Time >= req.From && r.Time < req.To {
					evs = append(evs, &Event{Kind: Funding, Market: m, TS: r.Time.Micros(), Funding: &r})
				}
			}
			add(2, Funding, evs)
		}
		if req.Include.Has(Stats) {
			var evs []*Event
			for _, r := range f.stats[m.ID] {
				if r.Time >= req.From && r.Time < req.To {
					evs = append(evs, &Event{Kind: Stats, Market: m, TS: r.Time.Micros(), Stats: &r.Stats})
				}
			}
			add(3, Stats, withGaps(f, req, m, model.KindStats, evs))
		}
		if req.Include.Has(BookUpdate) || req.Include.Has(Snapshot) || req.StartBooks {
			add(4, BookUpdate, naiveBooks(f, req, m))
		}
	}
	slices.SortStableFunc(all, func(a, b naive) int {
		for _, d := range []int{int(a.time - b.time), a.class - b.class, int(a.market) - int(b.market), a.lane - b.lane, a.index - b.index} {
			if d != 0 {
				return d
			}
		}
		return 0
	})
	var out []string
	for _, n := range all {
		out = append(out, n.text)
	}
	return out
}

func naiveTrades(f *fakeHistory, req Request, m *model.Market, k Kind) []*Event {
	var evs []*Event
	for _, t := range f.trades[m.ID] {
		ts := t.Time.Micros()
		if req.Order == ReceiveOrder {
			ts = t.Recv
		}
		if ts < req.From.Micros() || ts >= req.To.Micros() || k == Liquidation && t.Kind != model.KindLiquidation {
			continue
		}
		evs = append(evs, &Event{Kind: k, Market: m, TS: ts, Trade: &t})
	}
	slices.SortStableFunc(evs, func(a, b *Event) int {
		if a.TS != b.TS {
			return int(a.TS - b.TS)
		}
		return int(a.Trade.ID) - int(b.Trade.ID)
	})
	return evs
}

// withGaps puts the gaps of a record before the first event behind each one's start.
func withGaps(f *fakeHistory, req Request, m *model.Market, kind model.Kind, evs []*Event) []*Event {
	from, to := req.From.Micros(), req.To.Micros()
	for _, g := range f.gaps {
		if g.Market != m.ID || g.Kind != kind || g.From >= to || g.To <= from {
			continue
		}
		i := slices.IndexFunc(evs, func(e *Event) bool { return e.TS > g.From })
		if i < 0 {
			i = len(evs)
		}
		evs = slices.Insert(evs, i, &Event{Kind: Gap, Market: m, TS: max(g.From, from), Gap: &g.Gap})
	}
	return evs
}

func naiveBooks(f *fakeHistory, req Request, m *model.Market) []*Event {
	from, to := req.From.Micros(), req.To.Micros()
	var evs []*Event
	if v, err := f.BookAt(context.Background(), m.ID, from); err == nil && req.StartBooks {
		evs = append(evs, &Event{Kind: Snapshot, Market: m, TS: from, View: v, Initial: true})
	}
	b := book.New()
	rows := f.rows[m.ID]
	sec := (from + 999_999) / 1_000_000 * 1_000_000
	seconds := func(until model.Micros) {
		for ; sec <= until && sec < to && req.Include.Has(Snapshot); sec += 1_000_000 {
			if v, err := f.BookAt(context.Background(), m.ID, sec); err == nil {
				e := &Event{Kind: Snapshot, Market: m, TS: sec, View: v}
				if n := req.Depth; n > 0 {
					e.Top = &Top{Bids: v.Append(nil, model.Bid, n), Asks: v.Append(nil, model.Ask, n), Seq: v.Seq}
				}
				evs = append(evs, e)
			}
		}
	}
	gaps := slices.Clone(f.gaps)
	tell := func(before model.Micros) {
		for len(gaps) > 0 && gaps[0].From < before {
			if g := gaps[0]; g.Market == m.ID && g.Kind == model.KindBook && g.To > from && g.From < to {
				seconds(g.From)
				evs = append(evs, &Event{Kind: Gap, Market: m, TS: max(g.From, from), Gap: &g.Gap})
			}
			gaps = gaps[1:]
		}
	}
	slices.SortFunc(gaps, func(a, b history.GapRow) int { return int(a.From - b.From) })
	for i := range rows {
		r := &rows[i]
		if r.Recv >= to {
			break
		}
		if err := b.Apply(&r.Update, r.Time, r.Recv); err != nil {
			panic(err)
		}
		if r.Recv < from {
			continue
		}
		tell(r.Recv)
		seconds(r.Recv)
		switch {
		case r.Update.Snapshot && req.StartBooks:
			evs = append(evs, &Event{Kind: Snapshot, Market: m, TS: r.Recv, View: b.View(), Resync: true})
		case req.Include.Has(BookUpdate):
			evs = append(evs, &Event{Kind: BookUpdate, Market: m, TS: r.Recv, Row: r})
		}
	}
	tell(to)
	seconds(to)
	return evs
}

func drawRequest(t *rapid.T, markets int) Request {
	req := Request{From: model.Millis(rapid.IntRange(0, 10_000).Draw(t, "from")), To: model.Millis(rapid.IntRange(10_001, 25_000).Draw(t, "to"))}
	if rapid.Bool().Draw(t, "full second") {
		req.From -= req.From % 1000
	}
	for m := range markets {
		req.Markets = append(req.Markets, testMarket(model.MarketID(m+1)))
	}
	for _, k := range []Kind{Trade, Liquidation, Funding, Stats, BookUpdate, Snapshot} {
		if rapid.Bool().Draw(t, k.String()) {
			req.Include |= Kinds(k)
		}
	}
	req.Depth = rapid.IntRange(0, 3).Draw(t, "depth")
	req.StartBooks = req.Include.Has(BookUpdate)
	if rapid.Bool().Draw(t, "receive order") {
		req.Order = ReceiveOrder
	}
	return req
}

func TestTimelineEqualsNaiveSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		markets := rapid.IntRange(1, 3).Draw(t, "markets")
		f := madeHistory(rapid.Int64().Draw(t, "seed"), markets)
		req := drawRequest(t, markets)
		want := naiveTimeline(f, req)
		releases := rand.New(rand.NewSource(rapid.Int64().Draw(t, "releases")))
		s := NewSource(f, req)
		got := readAll(t, s, func(int) {
			if releases.Intn(4) == 0 {
				s.Release()
				if f.open != 0 {
					t.Fatalf("%d iterators open after Release", f.open)
				}
			}
		})
		if i := firstDifference(got, want); i >= 0 {
			t.Fatalf("event %d of %d and %d:\n got %s\nwant %s", i, len(got), len(want), at(got, i), at(want, i))
		}
		s.Close()
		if f.open != 0 {
			t.Fatalf("%d iterators open after Close", f.open)
		}
	})
}

func firstDifference(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if at(a, i) != at(b, i) {
			return i
		}
	}
	return -1
}

func at(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return "(end)"
}

// A seek to t gives what a replay that begins at t gives.
func TestSeekEqualsStartThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := madeHistory(rapid.Int64().Draw(t, "seed"), 2)
		req := drawRequest(t, 2)
		s := NewSource(f, req)
		for range rapid.IntRange(0, 50).Draw(t, "read first") {
			if _, err := s.Next(context.Background()); err != nil {
				break
			}
		}
		to := model.Millis(rapid.IntRange(int(req.From), int(req.To)-1).Draw(t, "seek to"))
		if err := s.Seek(to); err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s, nil)
		req.From = to
		want := readAll(t, NewSource(f, req), nil)
		if i := firstDifference(got, want); i >= 0 {
			t.Fatalf("event %d:\n got %s\nwant %s", i, at(got, i), at(want, i))
		}
	})
}

func TestSeekOutsideIsRefused(t *testing.T) {
	s := NewSource(newFake(), Request{From: 1000, To: 2000})
	for _, to := range []model.Millis{999, 2000, 2001} {
		if err := s.Seek(to); !errors.Is(err, ErrRange) {
			t.Errorf("Seek(%d) = %v, want ErrRange", to, err)
		}
	}
}

func TestTotalIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := madeHistory(rapid.Int64().Draw(t, "seed"), 2)
		req := drawRequest(t, 2)
		s := NewSource(f, req)
		some, err := s.HasData(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		n, known, err := s.Total(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if known != (req.Order == EventOrder) {
			t.Fatalf("known = %v", known)
		}
		events := readAll(t, s, nil)
		if known && uint64(len(events)) != n {
			t.Fatalf("Total says %d, %d came", n, len(events))
		}
		if want := slices.ContainsFunc(events, func(s string) bool { return !strings.Contains(s, " gap ") }); some != want {
			t.Fatalf("HasData = %v, want %v", some, want)
		}
	})
}

// Time in which nothing was recorded is skipped, and only that.
func TestSkipIsTheSilenceInsideHoles(t *testing.T) {
	f := newFake()
	const m = model.MarketID(1)
	sec := model.Micros(1_000_000)
	for _, kind := range []model.Kind{model.KindTrades, model.KindBook} {
		f.held[recordID{m, kind}] = []history.Interval{{From: sec, To: 10 * sec}, {From: 100 * sec, To: 110 * sec}}
	}
	for i, t := range []model.Millis{2000, 9000, 100_000, 105_000} {
		f.trades[m] = append(f.trades[m], model.Trade{ID: uint64(i + 1), Time: t, Recv: t.Micros()})
	}
	f.gaps = []history.GapRow{{Market: m, Gap: model.Gap{Kind: model.KindTrades, From: 10 * sec, To: 100 * sec, Cause: model.CauseDisconnect}}}
	req := Request{Markets: []*model.Market{testMarket(m)}, From: 0, To: 200_000, Include: Kinds(Trade)}
	s := NewSource(f, req)
	var got []string
	for {
		e, err := s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		got = append(got, fmt.Sprint(e.Kind, " ", e.TS/sec, " skip ", e.Skip/sec))
	}
	want := []string{"trade 2 skip 0", "trade 9 skip 0", "gap 10 skip 0", "trade 100 skip 90", "trade 105 skip 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// Two imported stretches without a gap row between them are told as downtime.
func TestHoleWithoutGapRowIsDowntime(t *testing.T) {
	f := newFake()
	const m = model.MarketID(1)
	f.held[recordID{m, model.KindTrades}] = []history.Interval{{From: 1e6, To: 2e6}, {From: 60e6, To: 61e6}}
	f.trades[m] = []model.Trade{{ID: 1, Time: 1500}, {ID: 2, Time: 60_500}}
	got := readAll(t, NewSource(f, Request{Markets: []*model.Market{testMarket(m)}, To: 100_000, Include: Kinds(Trade)}), nil)
	want := []string{"1500000 trade m1 id1 r0", "2000000 gap m1 trade 2000000-60000000 downtime", "60500000 trade m1 id2 r0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
