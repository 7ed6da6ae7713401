package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// busy lets trades happen in a market, a few a minute and now and then none.
func (r *localRig) busy(id model.MarketID, minutes int, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	price := num.Price(250_000)
	for range minutes {
		minute := r.clock.Load()
		var at []int64
		if rnd.IntN(12) > 0 {
			for range 1 + rnd.IntN(5) {
				at = append(at, minute+rnd.Int64N(59_000))
			}
		}
		slices.Sort(at)
		for _, t := range at {
			r.clock.Store(t)
			price += num.Price(rnd.IntN(2001) - 1000)
			r.trade(id, price, num.Size(1+rnd.IntN(90_000)))
		}
		r.clock.Store(minute + 59_000)
		r.tick()
	}
	r.flush()
}

// float writes a mantissa as the venue's floats look, with nothing of ours.
func float(mant int64, scale int) string {
	s := fmt.Sprintf("%0*d", scale+1, mant)
	return strings.TrimSuffix(strings.TrimRight(s[:len(s)-scale]+"."+s[len(s)-scale:], "0"), ".")
}

// naiveCandles makes an answer of trades alone; ok is false where a bucket has none.
func naiveCandles(trades []model.Trade, word string, length, from, to, now int64) (string, bool) {
	var bars []string
	for start := (from + length - 1) / length * length; start <= to && start <= now; start += length {
		var first, last *model.Trade
		var high, low num.Price
		var volume, quote int64
		for i := range trades {
			t := &trades[i]
			if int64(t.Time) < start || int64(t.Time) >= start+length {
				continue
			}
			if first == nil {
				first, low = t, t.Price
			}
			last, high, low = t, max(high, t.Price), min(low, t.Price)
			volume, quote = volume+int64(t.Size), quote+int64(t.USD)
		}
		if first == nil {
			return "", false
		}
		bars = append(bars, fmt.Sprintf(`{"t":%d,"o":%s,"h":%s,"l":%s,"c":%s,"v":%s,"V":%s,"i":%d}`, start, float(int64(first.Price), 2),
			float(int64(high), 2), float(int64(low), 2), float(int64(last.Price), 2), float(volume, 4), float(quote, 6), last.ID))
	}
	return `{"code":200,"r":"` + word + `","c":[` + strings.Join(bars, ",") + `]}`, len(bars) > 0 && len(bars) <= 500
}

func TestLocalCandlesAreTheTrades(t *testing.T) {
	r := newLocalRig(t, 1)
	r.trade(0, 250_000, 1)
	r.busy(0, 150, 4)
	begin, now := int64(localBegin), r.clock.Load()
	answered := 0
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.SampledFrom([]string{"1m", "5m", "15m", "30m", "1h"}).Draw(rt, "resolution")
		length := localResolutions[word].Milliseconds()
		from := begin + rapid.Int64Range(0, now-begin).Draw(rt, "from")
		if rapid.Bool().Draw(rt, "aligned") {
			from = from / length * length
		}
		to := from + rapid.Int64Range(1, 40*60_000).Draw(rt, "span")
		want, whole := naiveCandles(r.trades[0], word, length, from, to, now)
		got, ok := r.answer("candles", fmt.Sprintf("market_id=0&resolution=%s&start_timestamp=%d&end_timestamp=%d&count_back=0", word, from, to))
		if ok != whole {
			rt.Fatalf("answered %t, want %t", ok, whole)
		}
		if ok && got != want {
			rt.Fatalf("got %s\nwant %s", got, want)
		}
		if ok {
			answered++
		}
	})
	if answered < 10 {
		t.Errorf("only %d ranges were answered", answered)
	}
	// Before the first trade nothing is held.
	if _, ok := r.answer("candles", fmt.Sprintf("market_id=0&resolution=1m&start_timestamp=%d&end_timestamp=%d&count_back=0", begin-120_000, begin+60_000)); ok {
		t.Error("a range that is not held is answered")
	}
}

// naiveRecent makes an answer of trades alone.
func (r *localRig) naiveRecent(id model.MarketID, limit int) string {
	var rows []string
	all := r.trades[id]
	for i := len(all) - 1; i >= 0 && len(rows) < limit; i-- {
		rows = append(rows, string(lighter.AppendTrade(nil, r.markets.all[id], &all[i])))
	}
	return `{"code":200,"trades":[` + strings.Join(rows, ",") + `]}`
}

// Recent trades are the same whether they come from memory, from the record, or from both.
func TestLocalRecentTrades(t *testing.T) {
	r := newLocalRig(t, 1)
	r.trade(0, 250_000, 1)
	r.busy(0, 60, 9)
	check := func(what string) {
		t.Helper()
		for _, limit := range []int{1, 2, 30, 99, 100} {
			want := r.naiveRecent(0, limit)
			if got, ok := r.answer("recentTrades", fmt.Sprint("market_id=0&limit=", limit)); !ok || got != want {
				t.Fatalf("%s, limit %d: got %t %.300s\nwant %.300s", what, limit, ok, got, want)
			}
		}
	}
	check("memory")
	r.live.market(0).rows = nil
	check("record")
	for i := range 250 {
		r.clock.Add(7)
		r.trade(0, num.Price(250_000+i), 5)
		if i%60 == 3 {
			r.flush()
			check("both")
		}
	}
	check("memory again")
	if rows, _ := r.live.recent(0); len(rows) > 2*recentMost {
		t.Errorf("%d trades are kept", len(rows))
	}

	// A hole that nobody could fill: what was before it is no longer the unbroken past.
	r.tell(0, &model.Gap{Kind: model.KindTrades, From: r.millis().Micros(), Cause: model.CauseDisconnect})
	r.clock.Add(5000)
	r.tell(0, &model.Gap{Kind: model.KindTrades, From: r.millis().Micros() - 5_000_000, To: r.millis().Micros(), Cause: model.CauseDisconnect})
	for i := range 5 {
		r.clock.Add(7)
		r.trade(0, num.Price(250_000+i), 5)
	}
	r.flush()
	if got, ok := r.answer("recentTrades", "market_id=0&limit=5"); !ok || got != r.naiveRecent(0, 5) {
		t.Errorf("behind the hole: %t %s", ok, got)
	}
	if got, ok := r.answer("recentTrades", "market_id=0&limit=6"); ok {
		t.Errorf("across the hole: %s", got)
	}
	minute := r.millis() / 60_000 * 60_000
	if got, ok := r.answer("candles", fmt.Sprintf("market_id=0&resolution=1m&start_timestamp=%d&end_timestamp=%d&count_back=0", minute, minute+1)); ok {
		t.Errorf("a candle with a hole: %s", got)
	}
}

// The past that a subscribe repeats says nothing of what lies between its rows, and rows that fill a hole fall into place.
func TestLiveTakesRowsInPlace(t *testing.T) {
	l := NewLive()
	rows := func(ids ...uint64) (out []model.Trade) {
		for _, id := range ids {
			out = append(out, model.Trade{ID: id})
		}
		return out
	}
	add := func(b model.TradeBatch) {
		l.OnEvent(&model.Event{Market: 3, Payload: &b}, nil)
	}
	add(model.TradeBatch{Rows: rows(1, 2, 3), History: true})
	add(model.TradeBatch{Rows: rows(10, 11)})
	before, _ := l.recent(3)
	add(model.TradeBatch{Rows: rows(20)})
	add(model.TradeBatch{Rows: rows(5, 10, 12, 15), History: true, REST: true})
	add(model.TradeBatch{Rows: rows(21, 22), History: true, Recovered: true})
	var got []uint64
	after, _ := l.recent(3)
	for _, r := range after {
		got = append(got, r.ID)
	}
	if want := []uint64{10, 11, 12, 15, 20, 21, 22}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(before) != 2 || before[0].ID != 10 || before[1].ID != 11 {
		t.Errorf("rows given away have changed: %v", before)
	}
}

const localList = `{"code":200,"order_book_details":[{"symbol":"M0","market_id":0,"market_type":"perp","status":"active","last_trade_price":10,"mark_price":"10.00"},` +
	`{"symbol":"M1","market_id":1,"market_type":"perp","status":"inactive","last_trade_price":11}],"spot_order_book_details":[{"symbol":"M2","market_id":2,"market_type":"spot","status":"active","last_trade_price":12}]}`

func TestLocalLists(t *testing.T) {
	r := newLocalRig(t, 3)
	if _, ok := r.answer("orderBookDetails", ""); ok {
		t.Error("answered before any poll")
	}
	r.keep("orderBookDetails", localList)
	perp, _, _ := strings.Cut(localList, `,"spot_order_book_details":`)
	first := perp[strings.Index(perp, "[")+1 : strings.Index(perp, ",{")]
	for query, want := range map[string]string{
		"": localList, "market_id=255": localList, "filter=all": localList,
		"market_id=0":            `{"code":200,"order_book_details":[` + first + `],"spot_order_book_details":[]}`,
		"filter=perp":            perp + `,"spot_order_book_details":[]}`,
		"market_id=0&filter=all": `{"code":200,"order_book_details":[` + first + `],"spot_order_book_details":[]}`,
		"market_id=2":            "", "filter=spot": "", "market_id=0&filter=spot": "", "market_id=9": "",
	} {
		if got, ok := r.answer("orderBookDetails", query); got != want || ok != (want != "") {
			t.Errorf("%q: got %s\nwant %s", query, got, want)
		}
	}

	r.clock.Add(1000)
	stats := &model.Stats{Has: model.HasLastTrade | model.HasMark, LastTrade: num.Decimal{Mant: 1050, Scale: 2}, Mark: num.Decimal{Mant: 1020, Scale: 2}}
	r.tell(0, stats)
	moved := strings.NewReplacer(`:10,`, `:10.5,`, `"10.00"`, `"10.20"`).Replace(localList)
	if got, _ := r.answer("orderBookDetails", ""); got != moved {
		t.Errorf("the stream's figures: %s", got)
	}
	one, _ := r.local.Answer(context.Background(), "orderBookDetails", ParseQuery(nil))
	two, _ := r.local.Answer(context.Background(), "orderBookDetails", ParseQuery(nil))
	if &one[0] != &two[0] {
		t.Error("encoded twice although nothing has changed")
	}
	r.tell(0, &model.Gap{Kind: model.KindStats, From: r.millis().Micros(), Cause: model.CauseDisconnect})
	if got, _ := r.answer("orderBookDetails", ""); got != localList {
		t.Errorf("the stream has stopped: %s", got)
	}
	r.tell(0, stats)
	r.clock.Add(1000)
	r.keep("orderBookDetails", localList)
	if got, _ := r.answer("orderBookDetails", ""); got != localList {
		t.Errorf("the poll is newer: %s", got)
	}

	r.markets.state[1] = market.State{}
	if _, ok := r.answer("orderBookDetails", ""); !ok {
		t.Error("an inactive market need not be in sync")
	}
	r.markets.state[0] = market.State{}
	for query, want := range map[string]bool{"": false, "market_id=0": false, "market_id=1": true} {
		if _, ok := r.answer("orderBookDetails", query); ok != want {
			t.Errorf("out of sync, %q: answered %t", query, ok)
		}
	}
	r.markets.state[0] = market.State{Synced: true}
	r.clock.Add(PolledAge.Milliseconds() + 1)
	if _, ok := r.answer("orderBookDetails", ""); ok {
		t.Error("answered from an old poll")
	}
}

func TestLocalExchangeStatsFundingRatesAndHeight(t *testing.T) {
	r := newLocalRig(t, 2)
	const body = `{"code":200,"total":2,"order_book_stats":[{"symbol":"M0","last_trade_price":1,"daily_trades_count":4},{"symbol":"M1","last_trade_price":2}],"daily_usd_volume":3.5}`
	r.keep("exchangeStats", body)
	r.clock.Add(10)
	r.tell(1, &model.Stats{Has: model.HasLastTrade, LastTrade: num.Decimal{Mant: 5}})
	if got, ok := r.answer("exchangeStats", ""); !ok || got != strings.Replace(body, `_price":2`, `_price":5`, 1) {
		t.Errorf("exchangeStats: %t %s", ok, got)
	}
	r.markets.state[0] = market.State{}
	if _, ok := r.answer("exchangeStats", ""); ok {
		t.Error("exchangeStats is answered out of sync")
	}

	const rates = `{"code":200,"funding_rates":[{"market_id":0,"exchange":"lighter","symbol":"ETH","rate":0.00009599999999999999}]}`
	r.keep("funding-rates", rates)
	if got, ok := r.answer("funding-rates", ""); !ok || got != rates {
		t.Errorf("funding-rates: %t %s", ok, got)
	}

	if _, ok := r.answer("currentHeight", ""); ok {
		t.Error("a height came from nowhere")
	}
	r.tell(model.NoMarket, &model.Height{Height: 77})
	if got, ok := r.answer("currentHeight", ""); !ok || got != `{"code":200,"height":77}` {
		t.Errorf("currentHeight: %t %s", ok, got)
	}
	r.clock.Add(5001)
	if _, ok := r.answer("currentHeight", ""); ok {
		t.Error("an old height is answered")
	}
}

func TestLocalFundings(t *testing.T) {
	r := newLocalRig(t, 1)
	for i := range 5 {
		if i == 3 {
			continue // never fetched
		}
		r.tell(0, &model.Funding{Time: localBegin + model.Millis(i)*hour, Rate: num.Rate(4_000_000 * (1 - 2*(i%2))), Value: num.Decimal{Mant: 92448, Scale: 8}, LongPays: i%2 == 0})
	}
	r.clock.Store(int64(localBegin + 4*hour + 100))
	r.flush()
	ask := func(from, to model.Millis, back int) (string, bool) {
		return r.answer("fundings", fmt.Sprintf("market_id=0&resolution=1h&start_timestamp=%d&end_timestamp=%d&count_back=%d", from, to, back))
	}
	got, ok := ask(localBegin-1, localBegin+hour, 2)
	want := fmt.Sprintf(`{"code":200,"resolution":"1h","fundings":[{"timestamp":%d,"value":"0.00092448","rate":"0.0004","direction":"long"},`+
		`{"timestamp":%d,"value":"0.00092448","rate":"0.0004","direction":"short"}]}`, localBegin/1000, (localBegin+hour)/1000)
	if !ok || got != want {
		t.Errorf("got %t %s\nwant %s", ok, got, want)
	}
	if _, ok := ask(localBegin+4*hour, localBegin+9*hour, 0); !ok {
		t.Error("an hour that has not come yet need not be held")
	}
	for _, span := range [][3]model.Millis{{localBegin + 2*hour, localBegin + 4*hour}, {localBegin - hour, localBegin}, {localBegin + 1, localBegin + 2},
		{localBegin, localBegin + hour, 3}} {
		if got, ok := ask(span[0], span[1], int(span[2])); ok {
			t.Errorf("%v: %s", span, got)
		}
	}
}

func TestPolled(t *testing.T) {
	p := NewPolled()
	now := time.UnixMilli(int64(localBegin))
	if due := p.Due(now); len(due) != 0 {
		t.Errorf("nobody wants %v", due)
	}
	if err := p.Keep("orderBooks", []byte(`{"a":`), now); err == nil {
		t.Error("half an answer is kept")
	}
	p.Get("orderBooks", now)
	p.Get("orderBookDetails", now)
	select {
	case <-p.Wake():
	default:
		t.Error("the poll was not woken")
	}
	if due := p.Due(now); !slices.Equal(due, []string{"orderBooks"}) {
		t.Errorf("due %v", due)
	}
	if due := p.Due(now.Add(time.Second)); len(due) != 0 {
		t.Errorf("tried again at once: %v", due)
	}
	p.Failed("orderBooks", now)
	if _, ok := p.Await(t.Context(), "orderBooks", func() time.Time { return now }); ok {
		t.Error("a failed try gave an answer")
	}
	later := now.Add(pollRetry)
	done := make(chan bool)
	go func() {
		_, ok := p.Await(t.Context(), "orderBooks", func() time.Time { return later })
		done <- ok
	}()
	<-p.Wake()
	if err := p.Keep("orderBooks", []byte(`{"code":200}`), later); err != nil {
		t.Fatal(err)
	}
	if !<-done {
		t.Error("whoever waited got nothing")
	}
	if due := p.Due(later.Add(PollEvery - 1)); len(due) != 0 {
		t.Errorf("polled too early: %v", due)
	}
	if due := p.Due(later.Add(PollEvery)); len(due) != 1 {
		t.Error("not polled again")
	}
	if due := p.Due(later.Add(pollWanted + 1)); len(due) != 0 {
		t.Errorf("nobody asks any more: %v", due)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := p.Await(ctx, "exchangeStats", func() time.Time { return now }); ok || !errors.Is(ctx.Err(), context.Canceled) {
		t.Error("a caller that left got an answer")
	}
}

// known are the parameters of each local call.
var known = map[string][]string{
	"orderBooks": {"market_id", "filter"}, "orderBookDetails": {"market_id", "filter"}, "exchangeStats": nil, "funding-rates": nil, "currentHeight": nil,
	"recentTrades": {"market_id", "limit"}, "fundings": {"market_id", "resolution", "start_timestamp", "end_timestamp", "count_back"},
	"candles": {"market_id", "resolution", "start_timestamp", "end_timestamp", "count_back", "set_timestamp_to_end"},
}

// Nothing that the venue might refuse or read otherwise is answered.
func FuzzLocalQuery(f *testing.F) {
	r := newLocalRig(f, 3)
	r.busy(0, 5, 1)
	r.trade(0, 250_000, 1)
	r.keep("orderBookDetails", localList)
	r.keep("orderBooks", strings.Replace(localList, "order_book_details", "order_books", 1))
	r.keep("exchangeStats", `{"code":200}`)
	r.keep("funding-rates", `{"code":200,"funding_rates":[]}`)
	r.tell(model.NoMarket, &model.Height{Height: 77})
	r.tell(0, &model.Funding{Time: localBegin})
	r.flush()
	for call, names := range known {
		f.Add(call, "")
		f.Add(call, "market_id=0&limit=3")
		f.Add(call, fmt.Sprintf("market_id=0&resolution=1h&start_timestamp=%d&end_timestamp=%d&count_back=0", localBegin, localBegin+1))
		f.Add(call, "market_id=%30&filter=perp")
		f.Add(call, strings.Join(names, "=0&")+"=+1")
	}
	f.Fuzz(func(t *testing.T, call, query string) {
		got, ok := r.answer(call, query)
		if !ok {
			return
		}
		names, isLocal := known[call]
		if !isLocal || !json.Valid([]byte(got)) || !strings.HasPrefix(got, `{"code":200`) {
			t.Fatalf("%s?%s: %s", call, query, got)
		}
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("%s?%q is answered: %v", call, query, err)
		}
		for name, v := range q {
			if !slices.Contains(names, name) || len(v) != 1 {
				t.Fatalf("%s?%q is answered", call, query)
			}
			switch name {
			case "market_id", "limit", "start_timestamp", "end_timestamp", "count_back":
				if n, err := strconv.ParseUint(v[0], 10, 63); err != nil || strconv.FormatUint(n, 10) != v[0] {
					t.Fatalf("%s?%q is answered", call, query)
				}
			}
		}
	})
}
