package history

import (
	"errors"
	"fmt"
	"slices"
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
	for range rounds(200, 2000) {
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

// TestReadyCandles asks for 1-minute candles and those made of them while trades come, late ones among them that renew
// candles of the past, and candles are given; a reader that keeps pieces ready must say what the store does.
func TestReadyCandles(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 2)
	g.r.KeepReady(256 << 10)
	g.start()
	began := g.now.Millis()
	write := func(form string) func(dst []byte, c *record.Candle) []byte {
		return func(dst []byte, c *record.Candle) []byte { return fmt.Appendf(dst, "%s%+v", form, *c) }
	}
	for i := range rounds(110, 1500) {
		n := g.markets[g.rnd.IntN(2)]
		switch g.rnd.IntN(8) {
		case 0:
			g.advance(model.Micros(1 + g.rnd.IntN(40_000_000_000)))
			if g.rnd.IntN(8) == 0 {
				g.advance(100 * 86_400_000_000) // many pieces without a row
			}
		case 1:
			// A late trade long after its time, or candles that somebody gives.
			at := began + model.Millis(g.rnd.Int64N(max(1, int64(g.now.Millis()-began))))
			if i%3 > 0 {
				tr := g.trade(n)
				tr.Time = at
				g.event(n, &model.TradeBatch{Rows: []model.Trade{tr}, REST: true}, at, nil)
				break
			}
			at -= at % 60_000
			row := model.Candle{Resolution: time.Minute, Time: at, Open: 5, High: 9, Low: 1, Close: 3, Volume: 4, QuoteVolume: 2}
			if err := g.w.AddCandles(t.Context(), n.m.ID, []model.Candle{row}, Span{at, at + 60_000}); err != nil {
				t.Fatal(err)
			}
		default:
			g.advance(model.Micros(1 + g.rnd.IntN(200_000_000)))
			g.deliverTrades(n)
		}
		g.flush()
		fresh := NewReader(g.store, g.market)
		for range 3 {
			from := began + model.Millis(g.rnd.Int64N(max(1, int64(g.now.Millis()-began))))
			sp := Span{from, from + model.Millis(g.rnd.Int64N(1<<uint(16+g.rnd.IntN(14))))}
			if g.rnd.IntN(6) == 0 {
				sp = Span{From: 0, To: g.now.Millis() + 86_400_000}
			}
			resolution, reverse := []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute}[g.rnd.IntN(3)], g.rnd.IntN(2) == 0
			var want, have []byte
			read := func(r *Reader, dst []byte) []byte {
				for c, err := range r.Candles(t.Context(), n.m.ID, resolution, sp, reverse) {
					if err != nil {
						t.Fatal(err)
					}
					dst = append(write("x")(dst, &c), ',')
				}
				return dst
			}
			if want, have = read(fresh, nil), read(g.r, nil); string(want) != string(have) {
				t.Fatalf("candles of %s in %+v:\nhave %s\nwant %s", resolution, sp, have, want)
			}
			form := strconv.Itoa(g.rnd.IntN(2))
			resolution, reverse = time.Minute, false
			want, have = nil, nil
			for c, err := range fresh.Candles(t.Context(), n.m.ID, resolution, sp, reverse) {
				if err != nil {
					t.Fatal(err)
				}
				want = append(write(form)(want, &c), ',')
			}
			settled := began + model.Millis(g.rnd.Int64N(int64(g.now.Millis()-began)+1))
			for run, err := range g.r.CandleTexts(t.Context(), n.m.ID, sp, settled, Texts[record.Candle]{Form: form, Append: write(form)}) {
				if err != nil {
					t.Fatal(err)
				}
				cut := g.rnd.IntN(run.Len() + 1)
				for _, piece := range [][2]int{{0, cut}, {cut, run.Len()}} {
					if piece[0] < piece[1] {
						have = append(run.Append(have, piece[0], piece[1]), ',')
					}
				}
			}
			if string(want) != string(have) {
				t.Fatalf("texts of %+v:\nhave %s\nwant %s", sp, have, want)
			}
		}
	}
	s := g.r.Ready()
	if s.Hits == 0 || s.Bytes > 256<<10 {
		t.Errorf("ready rows: %+v", s)
	}
	t.Logf("%+v in %s", s, time.Duration(g.now.Millis()-began)*time.Millisecond)
	g.stop()
}

// TestReadyBooks asks for the books of past seconds while updates, snapshots, gaps, changes of scale, restarts and seals
// come at random; a reader that keeps seconds ready must show the books that the store has.
func TestReadyBooks(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 2)
	for _, n := range g.markets {
		if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
			t.Fatal(err)
		}
	}
	g.start()
	began := g.now.Millis()
	reader := NewReader(g.store, g.market)
	reader.KeepReady(128 << 10)
	held := 0
	for i := range rounds(1000, 10_000) {
		g.step()
		if i%8 > 0 {
			continue
		}
		g.flush()
		if i%200 == 0 {
			if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now))); err != nil {
				t.Fatal(err)
			}
		}
		fresh := NewReader(g.store, g.market)
		for range 6 {
			n := g.markets[g.rnd.IntN(2)]
			at := (began + model.Millis(g.rnd.Int64N(max(1, int64(g.now.Millis()-began))))).Micros().Second()
			want, wantErr := fresh.BookAt(t.Context(), n.m.ID, at)
			have, err := reader.BookAt(t.Context(), n.m.ID, at)
			if !errors.Is(err, wantErr) || (want == nil) != (have == nil) {
				t.Fatalf("book at %d: %v, want %v", at, err, wantErr)
			}
			if want == nil {
				continue
			}
			held++
			if want.Meta != have.Meta || !slices.Equal(want.Append(nil, model.Bid, 0), have.Append(nil, model.Bid, 0)) ||
				!slices.Equal(want.Append(nil, model.Ask, 0), have.Append(nil, model.Ask, 0)) {
				t.Fatalf("book at %d:\nhave %+v\nwant %+v", at, have, want)
			}
			if last, err := reader.LastBook(t.Context(), n.m.ID, Span{at.Millis() - 60_000, at.Millis() + 1}); err != nil ||
				last.At != at.Millis() || last.View.Meta != want.Meta {
				t.Fatalf("the last book up to %d: %+v, %v", at, last, err)
			}
		}
	}
	s := reader.Ready()
	if s.Hits == 0 || s.Bytes > 128<<10 {
		t.Errorf("ready rows: %+v", s)
	}
	t.Logf("%d books, %+v", held, s)
	g.stop()
}
