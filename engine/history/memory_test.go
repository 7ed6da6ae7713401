package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/kvtest"
)

// Each import adds some seconds at another multiple of importStep before the record.
const importStep = 600 * second

var memorySteps = rounds(200, 2000)

// TestMemory asks a reader that has lived through everything, and one that has just been made for each question, while the
// record is written live and late, imported, sealed, thinned, dropped by retention and given back to it, and while others
// ask the first one all the time, so that it remembers what it read at the worst moments. Both must say the same as soon
// as a write is acknowledged.
func TestMemory(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 2)
	for _, n := range g.markets {
		if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
			t.Fatal(err)
		}
	}
	g.start()
	old := NewReader(g.store, g.market)
	old.KeepReady(256 << 10)
	began := (testStart - model.Micros(memorySteps+1)*importStep).Millis()

	done := make(chan struct{})
	asked := make(chan int, 1)
	asking := rand.New(rand.NewPCG(g.rnd.Uint64(), 2))
	until := g.now.Millis() + 4*86_400_000
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-done:
				asked <- n
				return
			default:
				randomQuestion(asking, began, until).ask(t, old)
			}
		}
	}()
	for i := range memorySteps {
		g.step()
		if i%6 > 0 {
			continue
		}
		g.upset(i)
		g.flush()
		for range 6 {
			q := randomQuestion(g.rnd, began, g.now.Millis())
			if want, have := q.ask(t, NewReader(g.store, g.market)), q.ask(t, old); want != have {
				t.Fatalf("step %d, %+v:\nhave %.2000s\nwant %.2000s", i, q, have, want)
			}
		}
	}
	close(done)
	t.Logf("%d questions meanwhile, %+v in %s", <-asked, old.Ready(), time.Duration(g.now.Millis()-began)*time.Millisecond)
	g.stop()
}

// upset does what happens seldom: it puts rows in other forms, away, or where they were not.
func (g *rig) upset(i int) {
	g.t.Helper()
	at := time.UnixMicro(int64(g.now))
	set := func(change func(r *Retention)) {
		g.w.jobs.Lock()
		defer g.w.jobs.Unlock()
		if err := g.w.do(g.t.Context(), func() error { change(&g.w.o.Retention); return nil }); err != nil {
			g.t.Fatal(err)
		}
	}
	var err error
	switch g.rnd.IntN(24) {
	case 0:
		g.advance(model.Micros(g.rnd.IntN(40_000_000_000)))
	case 1:
		err = g.w.SealNow(g.t.Context(), at)
	case 2:
		set(func(r *Retention) { r.Ticks = 12 * time.Hour })
		err = g.w.ThinNow(g.t.Context(), at)
	case 3:
		set(func(r *Retention) {
			*r = Retention{Ticks: r.Ticks, Books: 48 * time.Hour, Trades: 24 * time.Hour, Candles: 24 * time.Hour}
		})
		err = g.w.retain(g.t.Context(), at)
	case 4:
		day := g.now.Millis() - model.Millis(g.rnd.IntN(4*86_400_000))
		err = g.w.Unpin(g.t.Context(), Span{day, day + 1})
	case 5:
		start := g.now.Millis() - model.Millis(g.rnd.IntN(86_400_000))
		start -= start % 60_000
		row := model.Candle{Resolution: time.Minute, Time: start, Open: 5, High: 9, Low: 1, Close: 3, Volume: 4, QuoteVolume: 2}
		err = g.w.AddCandles(g.t.Context(), g.markets[i%2].m.ID, []model.Candle{row}, Span{start, start + 120_000})
	case 6:
		n := g.markets[i%2]
		tr := g.trade(n)
		tr.Time -= model.Millis(g.rnd.IntN(86_400_000))
		g.event(n, &model.TradeBatch{Rows: []model.Trade{tr}, REST: true}, tr.Time, nil)
	case 7, 8:
		g.importPast(g.markets[i%2], i)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// importPast stops the writer and lets another one add a few pinned seconds from before the record, each time other ones.
func (g *rig) importPast(n *naiveMarket, i int) {
	g.t.Helper()
	g.flush()
	g.stop()
	w, err := NewWriter(WriterOptions{Store: g.store, Markets: g.market, Import: true, Pin: true, Interval: 3 * time.Millisecond})
	if err != nil {
		g.t.Fatal(err)
	}
	stop := runWriter(g.t, w)
	past := newRig(g.t, g.store, g.rnd.Uint64(), len(g.markets))
	past.now = testStart - model.Micros(1+i)*importStep
	past.tick, past.sink = past.now, w
	p := past.markets[n.m.ID]
	p.m, p.nextID = n.m, uint64(past.now)
	p.book.SetEpoch(n.m.Epoch)
	past.snapshot(p)
	for range 8 {
		past.advance(model.Micros(g.rnd.IntN(1_500_000)))
		past.delta(p)
		past.deliverTrades(p)
	}
	w.OnTick(past.tick+second, []market.Held{{Market: p.m, TradesHeld: true, View: p.book.View()}})
	if err := w.Flush(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	if g.rnd.IntN(2) == 0 {
		if err := w.SealNow(g.t.Context(), time.UnixMicro(int64(testStart))); err != nil {
			g.t.Fatal(err)
		}
	}
	stop()
	g.start()
	g.restart()
}

// question is one of everything that a reader is asked for.
type question struct {
	what    int
	market  model.MarketID
	kind    model.Kind
	span    Span
	reverse bool
	length  time.Duration
}

func randomQuestion(rnd *rand.Rand, from, to model.Millis) question {
	at := from + model.Millis(rnd.Int64N(int64(to-from)))
	q := question{what: rnd.IntN(6), market: model.MarketID(rnd.IntN(2)), kind: model.Kind(rnd.IntN(len(kindFamilies))), reverse: rnd.IntN(2) == 0,
		length: []time.Duration{time.Minute, 5 * time.Minute, time.Hour, day}[rnd.IntN(4)]}
	q.span = Span{at, at + model.Millis(1+rnd.Int64N(1<<uint(4+rnd.IntN(24))))}
	if rnd.IntN(8) == 0 {
		q.span = Span{0, to}
	}
	return q
}

// ask returns the answer as text.
func (q question) ask(t testing.TB, r *Reader) string {
	var out strings.Builder
	check := func(err error) {
		if err != nil && !errors.Is(err, ErrNoData) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	switch q.what {
	case 0:
		held, err := r.Coverage(t.Context(), q.kind, q.market, q.span)
		check(err)
		start, end, complete, some, err := r.Covered(t.Context(), q.kind, q.market, q.span)
		check(err)
		since, err := r.KeptSince(q.kind)
		check(err)
		pins, err := r.Pins()
		check(err)
		fmt.Fprint(&out, held, start, end, complete, some, since, pins)
	case 1:
		s, err := r.LastBook(t.Context(), q.market, Span{q.span.From, min(q.span.To, q.span.From+90_000)})
		check(err)
		if err == nil {
			fmt.Fprint(&out, s.At, s.View.Meta)
			out.Write(r.AppendLevels(nil, q.market, s, q.market, func(dst []byte) []byte {
				return fmt.Append(dst, s.View.Append(nil, model.Bid, 0), s.View.Append(nil, model.Ask, 0))
			}))
		}
	case 2:
		v, err := r.BookAt(t.Context(), q.market, q.span.From.Micros())
		check(err)
		if err == nil {
			fmt.Fprint(&out, v.Meta, v.Append(nil, model.Bid, 0), v.Append(nil, model.Ask, 0))
		}
		for at, err := range r.BookTimes(t.Context(), q.market, q.span, 10*time.Minute, q.reverse) {
			check(err)
			fmt.Fprint(&out, at, " ")
		}
	case 3:
		for c, err := range r.Candles(t.Context(), q.market, q.length, q.span, q.reverse) {
			check(err)
			fmt.Fprintf(&out, "%+v", c)
		}
	case 4:
		texts := Texts[record.Candle]{Form: q.market, Append: func(dst []byte, c *record.Candle) []byte { return fmt.Appendf(dst, "%+v", *c) }}
		for run, err := range r.CandleTexts(t.Context(), q.market, q.span, q.span.To, texts) {
			check(err)
			if err == nil {
				out.Write(append(run.Append(nil, 0, run.Len()), ','))
			}
		}
	case 5:
		n, _, err := r.CountTrades(t.Context(), q.market, q.span)
		check(err)
		fmt.Fprint(&out, n)
		for tr, err := range r.Trades(t.Context(), q.market, q.span, TradeQuery{Columns: record.Core, Reverse: q.reverse, Rows: 50}) {
			check(err)
			if err == nil {
				fmt.Fprint(&out, tr.ID, " ")
			}
		}
	}
	return out.String()
}
