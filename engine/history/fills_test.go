package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

const testAccounts = 10 // the rig's, and one that never trades

// naiveFills returns what Fills must give, from every trade that was delivered.
func (g *rig) naiveFills(account model.AccountID, sp Span, q FillQuery) (out []model.Fill, total uint64) {
	for _, n := range g.markets {
		for _, t := range n.trades {
			for _, maker := range []bool{false, true} {
				f := t.Fill(n.m.ID, maker)
				own := t.AskAccount
				if f.Buys {
					own = t.BidAccount
				}
				switch {
				case own != account, f.Time < sp.From, f.Time >= sp.To,
					q.Market != nil && *q.Market != f.Market,
					q.Side == FillBuys && !f.Buys, q.Side == FillSells && f.Buys,
					q.Role == FillMaker && !f.Maker, q.Role == FillTaker && f.Maker,
					q.Kinds != 0 && q.Kinds&Kinds(f.Kind) == 0:
					continue
				}
				total++
				out = append(out, f)
			}
		}
	}
	slices.SortFunc(out, func(a, b model.Fill) int { return compareFills(a, b, q.Reverse) })
	if q.After != nil {
		after := model.Fill{Time: q.After.Time, Market: q.After.Market, ID: q.After.ID, Maker: q.After.Maker}
		out = slices.DeleteFunc(out, func(f model.Fill) bool { return compareFills(f, after, q.Reverse) <= 0 })
	}
	return out, total
}

func compareFills(a, b model.Fill, reverse bool) int {
	role := func(f model.Fill) int {
		if f.Maker {
			return 1
		}
		return 0
	}
	c := cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Market, b.Market), cmp.Compare(a.ID, b.ID), cmp.Compare(role(a), role(b)))
	if reverse {
		return -c
	}
	return c
}

func collectFills(t testing.TB, r *Reader, account model.AccountID, sp Span, q FillQuery) (out []model.Fill) {
	t.Helper()
	for f, err := range r.Fills(t.Context(), account, sp, q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, *f)
	}
	return out
}

func (g *rig) randomQuery() (Span, FillQuery) {
	from, to := testStart.Millis()-5_000, g.now.Millis()+5_000
	sp := Span{From: from, To: to}
	if g.rnd.IntN(2) == 0 {
		sp.From += model.Millis(g.rnd.Int64N(int64(to - from)))
		sp.To = sp.From + 1 + model.Millis(g.rnd.Int64N(int64(to-sp.From)))
	}
	q := FillQuery{Reverse: g.rnd.IntN(2) == 0, Side: FillSide(g.rnd.IntN(3)), Role: FillRole(g.rnd.IntN(3)), Rows: g.rnd.IntN(20)}
	if g.rnd.IntN(2) == 0 {
		m := g.markets[g.rnd.IntN(len(g.markets))].m.ID
		q.Market = &m
	}
	if g.rnd.IntN(3) == 0 {
		q.Kinds = ForcedKinds
	}
	return sp, q
}

// checkFills compares random queries with the naive list.
func (g *rig) checkFills(queries int) {
	g.t.Helper()
	for range queries {
		sp, q := g.randomQuery()
		account := model.AccountID(g.rnd.IntN(testAccounts))
		want, total := g.naiveFills(account, sp, q)
		what := fmt.Sprintf("account %d, %+v, %+v", account, sp, q)
		if n, exact, err := g.r.CountFills(g.t.Context(), account, sp, q, 0); err != nil || !exact || n != total {
			g.t.Fatalf("%s: counted %d (exact %v), %v; want %d", what, n, exact, err, total)
		}
		if got := collectFills(g.t, g.r, account, sp, q); !sameFills(got, want) {
			g.t.Fatalf("%s: %s", what, fillsDiff(got, want))
		}
		if len(want) > 0 { // from any of them on
			at := PositionOf(&want[g.rnd.IntN(len(want))])
			q.After = &at
			want, _ = g.naiveFills(account, sp, q)
			if got := collectFills(g.t, g.r, account, sp, q); !sameFills(got, want) {
				g.t.Fatalf("%s after %+v: %s", what, at, fillsDiff(got, want))
			}
		}
	}
	sp, q := g.randomQuery()
	accounts := []model.AccountID{8, 3, 3, 9, 0, 5}
	per := 1 + g.rnd.IntN(30)
	got, err := g.r.FillsOf(g.t.Context(), accounts, sp, q, per)
	if err != nil || len(got) != len(accounts) {
		g.t.Fatalf("%d accounts, %v", len(got), err)
	}
	for i, a := range got {
		want, total := g.naiveFills(accounts[i], sp, q)
		want = want[:min(len(want), per)]
		if a.Account != accounts[i] || a.Total != total || !a.Counted || !sameFills(a.Fills, want) {
			g.t.Fatalf("account %d of %+v, %+v: total %d of %d, %s", accounts[i], sp, q, a.Total, total, fillsDiff(a.Fills, want))
		}
	}
}

// sameFills leaves the receive time out: of a trade that came twice the stored one may be either.
func sameFills(a, b []model.Fill) bool {
	return slices.EqualFunc(a, b, func(x, y model.Fill) bool { x.Recv, y.Recv = 0, 0; return x == y })
}

func fillsDiff(got, want []model.Fill) string {
	for i := range min(len(got), len(want)) {
		if !sameFills(got[i:i+1], want[i:i+1]) {
			return fmt.Sprintf("%d fills of %d, number %d is\n%+v, want\n%+v", len(got), len(want), i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d fills, want %d", len(got), len(want))
}

// Checklist 54, 56, 58: whatever the order in which trades come, are sealed, come late and survive restarts, the fills of
// an account are those of a plain list.
func TestFillsAgainstNaive(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 3)
	g.start()
	for round := range 6 {
		for range 150 {
			g.step()
		}
		if round%3 == 1 {
			g.advance(9 * 3600 * second)
		}
		g.flush()
		g.checkFills(15)
		if round%2 == 1 {
			if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)).Add(48*time.Hour)); err != nil {
				t.Fatal(err)
			}
			g.checkFills(15)
		}
	}
	g.stop()
	findings, err := Check(t.Context(), g.store, true)
	if err != nil || len(findings) > 0 {
		t.Fatalf("%v, %v", findings, err)
	}
}

// Small blocks and segments make the same list: the limits of reading and sealing are crossed all the time.
func TestFillsInSmallPieces(t *testing.T) {
	segment, batch := segmentPostings, sealPostings
	segmentPostings, sealPostings = 7, 50
	defer func() { segmentPostings, sealPostings = segment, batch }()
	g := newRig(t, kvtest.Open(t), testSeed(t), 2)
	g.start()
	for range 300 {
		g.deliverTrades(g.markets[g.rnd.IntN(2)])
		g.advance(model.Micros(g.rnd.IntN(400_000)))
	}
	g.flush()
	for range 3 {
		for account := range model.AccountID(testAccounts) {
			for _, reverse := range []bool{false, true} {
				q := FillQuery{Reverse: reverse}
				sp := Span{From: 0, To: g.now.Millis() + 1}
				want, _ := g.naiveFills(account, sp, q)
				slice := postingSlice{reverse: reverse, limit: 3}
				var got []record.Posting
				for day := key.DayOfMicros(int64(testStart)); day <= key.DayOfMicros(int64(g.now)); day++ {
					var rows []record.Posting
					for lo, hi := key.DayStart(day), key.DayStart(day+1); lo < hi; {
						var err error
						if lo, hi, err = slice.load(t.Context(), g.r, account, lo, hi); err != nil {
							t.Fatal(err)
						}
						if reverse {
							rows = append(slices.Clone(slice.rows), rows...)
						} else {
							rows = append(rows, slice.rows...)
						}
					}
					got = append(got, rows...)
				}
				if reverse {
					slices.Reverse(want)
				}
				if len(got) != len(want) {
					t.Fatalf("account %d: %d postings, want %d", account, len(got), len(want))
				}
				for i := range got {
					if got[i].ID != want[i].ID || got[i].Market != want[i].Market || got[i].Maker != want[i].Maker || got[i].Buys != want[i].Buys {
						t.Fatalf("account %d, posting %d: %+v, want %+v", account, i, got[i], want[i])
					}
				}
			}
		}
		g.checkFills(8)
		for range 20 { // some of which are late
			g.deliverTrades(g.markets[g.rnd.IntN(2)])
		}
		if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)).Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		g.checkFills(8)
	}
}

// A store from before there were postings gets them beside its work, and says until then that fills are not whole.
func TestPostingsAreBuilt(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 2)
	g.start()
	for range 300 {
		g.deliverTrades(g.markets[g.rnd.IntN(2)])
		g.advance(model.Micros(g.rnd.IntN(3_000_000)))
	}
	g.flush()
	g.stop()
	b := g.store.NewBatch()
	b.DeleteRange(key.All(key.Fills))
	b.Delete(key.MetaRow(nil, metaFills))
	if err := g.store.Commit(b, 1); err != nil {
		t.Fatal(err)
	}
	sp := Span{From: 0, To: g.now.Millis() + 1}
	whole := func(want bool) {
		t.Helper()
		if got, err := g.r.FillsWhole(sp); err != nil || got != want {
			t.Fatalf("whole: %v, %v", got, err)
		}
	}
	whole(false)
	g.options.Import = true // no jobs of its own
	g.start()
	g.deliverTrades(g.markets[0]) // today's come while the day is built
	g.flush()
	whole(false)
	for range 2 {
		if err := g.w.buildPostings(t.Context(), time.UnixMicro(int64(g.now))); err != nil {
			t.Fatal(err)
		}
		g.deliverTrades(g.markets[1])
		g.flush()
		whole(true)
		g.checkFills(15)
	}
	if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)).Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	g.checkFills(15)
	g.stop()
	if findings, err := Check(context.Background(), g.store, true); err != nil || len(findings) > 0 {
		t.Fatalf("%v, %v", findings, err)
	}
}
