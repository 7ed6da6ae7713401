package history

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/kvtest"
)

// TestReadyRows asks a reader that keeps rows ready, again and again during random trades, late ones, seals and retention,
// and one that has just been made and keeps nothing. Both must say the same, whatever is in the little memory that there is.
func TestReadyRows(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 2)
	g.r.KeepReady(96 << 10)
	g.start()
	began := g.now.Millis()
	for range 400 {
		n := g.markets[g.rnd.IntN(2)]
		g.turn(n)
		fresh := NewReader(g.store, g.market)
		for range 4 {
			from := began + model.Millis(g.rnd.Int64N(max(1, int64(g.now.Millis()-began))))
			sp := Span{from, from + model.Millis(1+g.rnd.Int64N(1<<uint(4+g.rnd.IntN(24))))}
			q := TradeQuery{Columns: record.Core | record.Hash, Reverse: g.rnd.IntN(2) == 0, Rows: g.rnd.IntN(40)}
			g.compareTexts(fresh, n, sp, q)
			want, _, err := fresh.CountTrades(t.Context(), n.m.ID, sp)
			if err != nil {
				t.Fatal(err)
			}
			if have, _, err := g.r.CountTrades(t.Context(), n.m.ID, sp); err != nil || have != want {
				t.Fatalf("%d trades of %d in %+v, want %d (%v)", have, n.m.ID, sp, want, err)
			}
		}
	}
	s := g.r.Ready()
	if s.Hits == 0 || s.Misses == 0 || s.Bytes > 96<<10 {
		t.Errorf("ready rows: %+v", s)
	}
	t.Logf("%d trades and %d, %+v", len(g.markets[0].trades), len(g.markets[1].trades), s)
	g.stop()
}

// turn does one random thing to the record.
func (g *rig) turn(n *naiveMarket) {
	g.t.Helper()
	switch g.rnd.IntN(16) {
	case 0:
		g.advance(model.Micros(1 + g.rnd.IntN(7_200_000_000)))
	case 1:
		g.flush()
		if err := g.w.SealNow(g.t.Context(), time.UnixMicro(int64(g.now))); err != nil {
			g.t.Fatal(err)
		}
	case 2:
		if g.rnd.IntN(4) > 0 {
			return
		}
		g.flush()
		if err := g.w.do(g.t.Context(), func() error { g.w.o.Retention.Trades = 24 * time.Hour; return nil }); err != nil {
			g.t.Fatal(err)
		}
		if err := g.w.retain(g.t.Context(), time.UnixMicro(int64(g.now))); err != nil {
			g.t.Fatal(err)
		}
	default:
		g.advance(model.Micros(1 + g.rnd.IntN(2_000_000)))
		g.deliverTrades(n)
		g.flush()
	}
}

// appendTest is a text of a trade that tells it from any other one, with a word that stands for what the market says.
func appendTest(form string) func(dst []byte, t *model.Trade) []byte {
	return func(dst []byte, t *model.Trade) []byte {
		dst = strconv.AppendInt(append(append(dst, form...), ':'), int64(t.Time), 10)
		dst = strconv.AppendUint(append(dst, ':'), t.ID, 10)
		dst = strconv.AppendInt(append(dst, ':'), int64(t.Price), 10)
		return append(append(dst, ':'), t.TxHash...)
	}
}

// compareTexts walks the texts of a span in two pages, the second of which goes on from the end of the first, and compares
// them with the trades of another reader.
func (g *rig) compareTexts(other *Reader, n *naiveMarket, sp Span, q TradeQuery) {
	g.t.Helper()
	form := strconv.Itoa(g.rnd.IntN(2))
	write := appendTest(form)
	var want []byte
	rows, first := 0, 0
	for tr, err := range other.Trades(g.t.Context(), n.m.ID, sp, TradeQuery{Columns: q.Columns, Reverse: q.Reverse}) {
		if err != nil {
			g.t.Fatal(err)
		}
		want = append(write(want, tr), ',')
		rows++
	}
	var have []byte
	if rows > 0 {
		first = g.rnd.IntN(rows)
	}
	page := func(limit int) (sent int) {
		for run, err := range g.r.TradeTexts(g.t.Context(), n.m.ID, sp, q, Texts[model.Trade]{Form: form, Append: write}) {
			if err != nil {
				g.t.Fatal(err)
			}
			take := min(limit-sent, run.Len())
			if take > 0 {
				// In two pieces, as an offset would.
				cut := g.rnd.IntN(take + 1)
				for _, piece := range [][2]int{{0, cut}, {cut, take}} {
					if piece[0] < piece[1] {
						have = append(run.Append(have, piece[0], piece[1]), ',')
					}
				}
				p := run.Position(take - 1)
				p.Market = n.m.ID
				q.After = &p
			}
			if sent += take; take < run.Len() {
				break
			}
		}
		return sent
	}
	sent := page(first)
	sent += page(rows + 10)
	if sent != rows || string(have) != string(want) {
		g.t.Fatalf("%d rows of %d in %+v of %+v:\nhave %s\nwant %s", sent, rows, sp, q, have, want)
	}
}

// TestReadyDuringSeals reads what lies still while hours around it are sealed: every walk must give the same.
func TestReadyDuringSeals(t *testing.T) {
	g, n := edgeRig(t)
	g.r.KeepReady(32 << 10)
	for range 300 {
		g.advance(model.Micros(1 + g.rnd.IntN(30_000_000)))
		g.deliverTrades(n)
	}
	g.flush()
	still := n.sortedTrades(Span{0, 1 << 45})
	sp := Span{still[0].Time, g.now.Millis()}
	still = n.sortedTrades(sp)
	var want []byte
	write := appendTest("x")
	for i := range still {
		want = append(write(want, &still[i]), ',')
	}
	done := make(chan struct{})
	var reading sync.WaitGroup
	for range 3 {
		reading.Go(func() {
			var have []byte
			for {
				select {
				case <-done:
					return
				default:
				}
				have = have[:0]
				for run, err := range g.r.TradeTexts(t.Context(), n.m.ID, sp, TradeQuery{Columns: record.All}, Texts[model.Trade]{Form: 1, Append: write}) {
					if err != nil {
						t.Error(err)
						return
					}
					have = append(run.Append(have, 0, run.Len()), ',')
				}
				if string(have) != string(want) {
					t.Errorf("a walk during seals gives %d bytes, not the %d that lie still", len(have), len(want))
					return
				}
			}
		})
	}
	for range 60 {
		g.advance(model.Micros(600_000_000))
		g.deliverNew(n)
		g.flush()
		if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now))); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	reading.Wait()
	g.stop()
}
