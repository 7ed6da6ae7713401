package signal

import (
	"context"
	"fmt"
	"iter"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// listener feeds live events to a function, as a desk does.
type listener struct {
	feed *Feed
	each func(*Event)
	m    *model.Market
	lost func(since model.Micros) // the book's loss is noticed
}

func (l *listener) OnEvent(e *model.Event, _ *book.View) {
	switch p := e.Payload.(type) {
	case *model.TradeBatch:
		l.feed.Trades(l.m, p, l.each)
	case *model.Stats:
		l.feed.Stats(e.Recv, p)
	case *model.Gap:
		if p.Kind == model.KindBook && p.To == 0 {
			l.lost(p.From)
		}
	}
}

func (l *listener) OnTick(second model.Micros, held []market.Held) {
	var v *book.View
	for _, h := range held {
		v = h.View
	}
	l.feed.Tick(second, l.m, v, l.each)
}

// recorded is a store with a made-up record, and the events that a desk was given meanwhile.
type recorded struct {
	market   *model.Market
	reader   *history.Reader
	heatmaps []HeatmapRow
	live     []Event
	from, to model.Millis
}

func (r *recorded) record() Record {
	return Record{History: r.reader, Heatmaps: func(_ context.Context, _ model.MarketID, sp history.Span) iter.Seq2[HeatmapRow, error] {
		return func(yield func(HeatmapRow, error) bool) {
			for _, row := range r.heatmaps {
				if row.Time >= sp.From && row.Time < sp.To && !yield(row, nil) {
					return
				}
			}
		}
	}}
}

// makeRecord records a market through the path that live data takes, with trades that come late and with none at all,
// statistics, heatmaps, lost and found books, and frames received on the very edge of a second.
func makeRecord(t testing.TB, seconds, perSecond int, seal bool) *recorded {
	t.Helper()
	start := time.Date(2025, 10, 9, 10, 0, 0, 0, time.UTC)
	s := &recorded{from: model.Millis(start.UnixMilli())}
	s.to = s.from + model.Millis(seconds)*1000
	s.market = &model.Market{Symbol: "ETH", Active: true, PriceScale: 2, SizeScale: 1, Scales: []model.Scale{{Price: 2, Size: 1}}}
	db := kvtest.Open(t)
	get := func(model.MarketID) (*model.Market, bool) { return s.market, true }
	w, err := history.NewWriter(history.WriterOptions{Store: db, Markets: get, Import: true, Now: func() time.Time { return start.Add(24 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}()
	l := &listener{feed: NewFeed(0), m: s.market, each: func(e *Event) { s.live = append(s.live, *e) }}
	l.lost = func(since model.Micros) { // the record does not hold the seconds from then to now
		s.live = slices.DeleteFunc(s.live, func(e Event) bool { return e.Kind == BookEvent && e.Time.Micros() > since })
	}
	imp := market.NewImporter(market.Options{Listeners: []market.Listener{w, l}})
	imp.Registry().Restore(s.market, market.Start{})
	s.write(imp, l.feed, perSecond)
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if seal {
		if err := w.SealNow(ctx, start.Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	s.reader = history.NewReader(db, get)
	return s
}

func (s *recorded) write(imp *market.Importer, feed *Feed, perSecond int) {
	r := newRand()
	seq, id, price := uint64(0), uint64(0), int64(10_000)
	step := model.Micros(1_000_000 / perSecond)
	whole := func() *model.BookUpdate {
		u := &model.BookUpdate{Snapshot: true, Seq: seq + 1, Chained: true}
		for i := range num.Price(100) {
			u.Bids = append(u.Bids, model.Level{Price: num.Price(price) - 1 - i, Size: 100})
			u.Asks = append(u.Asks, model.Level{Price: num.Price(price) + 1 + i, Size: 100})
		}
		return u
	}
	u := whole()
	for at := s.from.Micros(); at < s.to.Micros(); at += step {
		recv := at
		if r.Intn(3) > 0 {
			recv += model.Micros(r.Int63n(int64(step)))
		}
		switch r.Intn(400) {
		case 0: // the chain breaks: the book is lost until a whole one comes
			u.Prev += 7
		case 1:
			u = whole()
		}
		imp.Handle(&model.Event{Time: at.Millis() - 15, Recv: recv, Payload: u})
		if seq = max(seq, u.Seq); r.Intn(60) == 0 {
			u = whole()
		} else {
			u = &model.BookUpdate{Prev: seq, Seq: seq + 1, Chained: true}
			for range 3 {
				u.Bids = append(u.Bids, model.Level{Price: num.Price(price - 1 - r.Int63n(60)), Size: num.Size(r.Intn(1000))})
				u.Asks = append(u.Asks, model.Level{Price: num.Price(price + 1 + r.Int63n(60)), Size: num.Size(r.Intn(1000))})
			}
		}
		if r.Intn(2) == 0 {
			b := &model.TradeBatch{}
			for range 1 + r.Intn(3) {
				id++
				made := recv.Millis() - model.Millis(r.ExpFloat64()*400) + 100
				b.Rows = append(b.Rows, model.Trade{ID: id, Time: made, Recv: recv, Price: num.Price(price + r.Int63n(40) - 20),
					Size: num.Size(1 + r.Intn(1000)), USD: num.USD(r.Intn(1e9)), MakerAsk: r.Intn(2) == 0})
			}
			imp.Handle(&model.Event{Recv: recv, Payload: b})
		}
		if r.Intn(2*perSecond) == 0 {
			stats := &model.Stats{CurrentFundingRate: num.Rate(r.Intn(50) * 1e6)}
			if r.Intn(4) > 0 {
				stats.Has = model.HasCurrentFundingRate
			}
			imp.Handle(&model.Event{Recv: recv, Payload: stats})
		}
		if at.Millis()%10_000 == 0 {
			row := HeatmapRow{Time: recv.Millis(), Long: num.Decimal{Mant: r.Int63n(1e9), Scale: 3}, Short: num.Decimal{Mant: r.Int63n(1e9), Scale: 3}}
			s.heatmaps = append(s.heatmaps, row)
			feed.Heatmap(row.Time, row.Long, row.Short)
		}
	}
}

func describe(e *Event) string {
	return fmt.Sprint(e.Kind, e.Time, e.Has, e.Values, e.TradeID, e.TakerBuys, e.BestBid, e.BestAsk)
}

// The record gives a backtest the very events that live evaluation had, in the same order, sealed or not; and so every rule
// triggers at the same events.
func TestStreamEqualsLive(t *testing.T) {
	t.Parallel()
	for _, seal := range []bool{false, true} {
		s := makeRecord(t, 150, 20, seal)
		var want, got []string
		kinds := map[Kind]int{}
		for i := range s.live {
			want = append(want, describe(&s.live[i]))
			kinds[s.live[i].Kind]++
		}
		if len(kinds) != kindCount || kinds[FundingEvent] < 5 || kinds[HeatmapEvent] < 10 || kinds[BookEvent] < 100 || kinds[TradeEvent] < 1000 {
			t.Fatalf("the record holds too little: %v", kinds)
		}
		var all FieldSet = 1<<fieldCount - 1
		for e, err := range Stream(t.Context(), s.record(), s.market, history.Span{From: s.from, To: s.to}, all) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, describe(e))
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("sealed %v: event %d of %d and %d:\n got %v\nwant %v", seal, i, len(got), len(want),
					got[min(i, len(got)):min(i+3, len(got))], want[min(i, len(want)):min(i+3, len(want))])
			}
		}
		s.compareRules(t)
	}
}

// compareRules runs rules live and as backtests.
func (s *recorded) compareRules(t *testing.T) {
	t.Helper()
	r := newRand()
	var rules []Rule
	var cooldowns []time.Duration
	e, live, total := NewEvaluator(), map[uuid.UUID][]string{}, 0
	for i := range 20 {
		rule := Rule{Any: r.Intn(2) == 0}
		for range 1 + r.Intn(3) {
			ev := s.live[r.Intn(len(s.live))]
			fields := slices.DeleteFunc([]Field{TradePrice, TradeSize, TradeNotional, Spread, BidDepth, AskDepth, FundingRate, LongAtRisk, ShortAtRisk},
				func(f Field) bool { return !ev.Has.Has(f) })
			f := fields[r.Intn(len(fields))]
			rule.Conditions = append(rule.Conditions, Condition{Field: f, Op: Op(r.Intn(opCount)), Value: ev.Values[f]})
		}
		rules, cooldowns = append(rules, rule), append(cooldowns, time.Duration(r.Intn(3)*20)*time.Second)
		e.Set(uuid.UUID{byte(i)}, rule, true, cooldowns[i], State{})
	}
	for i := range s.live {
		e.OnEvent(&s.live[i], func(t *Trigger) { live[t.Signal] = append(live[t.Signal], fmt.Sprint(t.At, t.Matched)) })
	}
	for i, rule := range rules {
		events := Stream(t.Context(), s.record(), s.market, history.Span{From: s.from, To: s.to}, rule.Fields())
		result, err := Backtest(t.Context(), rule, cooldowns[i], events)
		if err != nil {
			t.Fatal(err)
		}
		want := live[uuid.UUID{byte(i)}]
		var got []string
		for _, f := range result.First {
			got = append(got, fmt.Sprint(f.At, f.Matched))
		}
		if result.Triggers != len(want) || !slices.Equal(got, want[:min(len(want), MaxTriggers)]) || result.Matches < result.Triggers {
			t.Errorf("%s: %d triggers, live %d", rule.AppendJSON(nil), result.Triggers, len(want))
		}
		total += len(want)
	}
	if total < 30 {
		t.Errorf("only %d triggers", total)
	}
}

// A piece of a span gives the events that stand in it, and any set of fields only its own.
func TestStreamOfAPiece(t *testing.T) {
	t.Parallel()
	s := makeRecord(t, 80, 20, true)
	r := rand.New(rand.NewSource(2))
	for range 10 {
		fields := FieldSet(1 + r.Intn(1<<fieldCount-1))
		from := s.from + model.Millis(r.Intn(60_000))
		to := from + model.Millis(r.Intn(60_000))
		var got []string
		for e, err := range Stream(t.Context(), s.record(), s.market, history.Span{From: from, To: to}, fields) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Has&fields == 0 && e.Kind != BookEvent {
				continue
			}
			got = append(got, describe(e))
		}
		trades := 0
		for i := range s.live {
			ev := &s.live[i]
			kind := map[Kind]FieldSet{TradeEvent: tradeFields, BookEvent: bookFields, FundingEvent: fundingFields, HeatmapEvent: heatmapFields}[ev.Kind]
			inside := kind&fields != 0 && ev.Time >= from && ev.Time < to
			if ev.Kind == TradeEvent {
				if inside {
					trades++
				}
				continue // stands at its receive time
			}
			if at := slices.Index(got, describe(ev)); inside != (at >= 0) {
				t.Fatalf("fields %b in [%d, %d): event %s is there: %v", fields, from, to, describe(ev), at >= 0)
			} else if inside {
				got = slices.Delete(got, at, at+1)
			}
		}
		if len(got) < trades-30 || len(got) > trades+30 {
			t.Errorf("fields %b in [%d, %d): %d trades, about %d were made", fields, from, to, len(got), trades)
		}
	}
}

// A backtest ends with its context.
func TestBacktestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, err := Backtest(ctx, one(t, TradePrice, Greater, "1"), 0, func(yield func(*Event, error) bool) {
		for yield(setting(model.Millis(n), map[Field]string{TradePrice: "2"}), nil) && n < 10_000 {
			if n++; n == 2_000 {
				cancel()
			}
		}
	})
	if err == nil || n >= 10_000 {
		t.Errorf("went on for %d events, %v", n, err)
	}
}

// BenchmarkBacktest is a backtest over an hour of a busy market, with all that a rule can look at, and with trades only.
func BenchmarkBacktest(b *testing.B) {
	s := makeRecord(b, 3600, 50, true)
	for name, raw := range map[string]string{
		"trades": `{"conditions":[{"field":"trade_price","op":"gt","value":101}]}`,
		"books":  `{"conditions":[{"field":"trade_price","op":"gt","value":101},{"field":"bid_depth","op":"gt","value":10}]}`,
	} {
		r := rule(b, raw)
		b.Run(name, func(b *testing.B) {
			events := 0
			for b.Loop() {
				result, err := Backtest(b.Context(), r, time.Minute, Stream(b.Context(), s.record(), s.market, history.Span{From: s.from, To: s.to}, r.Fields()))
				if err != nil {
					b.Fatal(err)
				}
				events += result.Evaluated
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(24*b.Elapsed().Seconds()/float64(b.N), "s/day")
		})
	}
}

// A backtest lists the first hundred triggers, and says whether there were more.
func TestBacktestListsAHundred(t *testing.T) {
	t.Parallel()
	for n, truncated := range map[int]bool{99: false, 100: false, 101: true} {
		events := func(yield func(*Event, error) bool) {
			for i := range n {
				if !yield(setting(model.Millis(1000*i+1000), map[Field]string{TradePrice: "2"}), nil) {
					return
				}
			}
		}
		r, err := Backtest(context.Background(), one(t, TradePrice, Greater, "1"), 0, events)
		if err != nil || r.Triggers != n || r.Matches != n || r.Evaluated != n || len(r.First) != min(n, 100) || r.Truncated != truncated || r.First[0].At != 1000 {
			t.Errorf("of %d: %d triggers, %d matches, %d listed, truncated %v, %v", n, r.Triggers, r.Matches, len(r.First), r.Truncated, err)
		}
	}
}
