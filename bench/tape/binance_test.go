package tape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
)

// binanceRow is a line as the venue names its members.
type binanceRow struct {
	Data struct {
		Event string          `json:"e"`
		U     json.RawMessage `json:"U"` // keeps the next ones apart: names differ by case alone
		Last  uint64          `json:"u"`
		Prev  uint64          `json:"pu"`
		ID    uint64          `json:"t"`
		At    int64           `json:"T"`
		Sent  int64           `json:"E"`
		B, A  [][2]string
		P, Q  string
		M     bool   `json:"m"`
		Kind  string `json:"X"`
	} `json:"data"`
	Last       uint64 `json:"lastUpdateId"`
	Bids, Asks [][2]string
}

// A client of the frames has, after each of them, the book that the venue's own rules give: the whole book, then every
// update that ends behind it. Every trade comes, with its side.
func TestBinanceBooksAndTradesAreTheRecorded(t *testing.T) {
	name := head(t, "captures/binance-futures/btcusdt_20240808.gz", 4_000)
	frames, c := transcode(t, name)
	type state struct{ bids, asks ladder }
	states := map[uint64]state{} // by nonce, at some of them
	bids, asks := ladder{}, ladder{}
	var early []binanceRow
	var trades []string
	whole, updates := uint64(0), 0
	take := func(r *binanceRow) {
		if r.Data.Last <= whole {
			return
		}
		updates++
		for _, l := range r.Data.B {
			bids.set(l[0], l[1])
		}
		for _, l := range r.Data.A {
			asks.set(l[0], l[1])
		}
		if updates%25 == 1 {
			states[r.Data.Last] = state{maps.Clone(bids), maps.Clone(asks)}
		}
	}
	rows(t, name, func(line []byte) {
		at, body, _ := bytes.Cut(line, []byte{' '})
		if bytes.Contains(body, []byte("bookTicker")) {
			return
		}
		var r binanceRow
		if err := json.Unmarshal(body, &r); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		switch {
		case r.Last != 0:
			whole = r.Last
			for _, l := range r.Bids {
				bids.set(l[0], l[1])
			}
			for _, l := range r.Asks {
				asks.set(l[0], l[1])
			}
			states[whole] = state{maps.Clone(bids), maps.Clone(asks)}
			for i := range early {
				take(&early[i])
			}
		case r.Data.Event == "depthUpdate" && whole == 0:
			early = append(early, r)
		case r.Data.Event == "depthUpdate":
			take(&r)
		case r.Data.Event == "trade":
			ns, _ := strconv.ParseInt(string(at), 10, 64)
			trades = append(trades, fmt.Sprintf("%d %s %s %d %v %d", r.Data.ID, trim(r.Data.P), trim(r.Data.Q), r.Data.At, !r.Data.M, ns/1000))
		}
	})
	client := &follower{t: t}
	compared := 0
	for i := range frames {
		f := &frames[i]
		client.apply(f)
		for _, r := range f.Msg.Trades {
			if len(trades) == 0 {
				t.Fatal("more trades than recorded")
			}
			if got := fmt.Sprintf("%d %s %s %d %v %d", r.ID, trim(r.Price), trim(r.Size), r.Time, r.MakerAsk, f.Recv); got != trades[0] {
				t.Fatalf("trade %s is recorded as %s", got, trades[0])
			}
			trades = trades[1:]
		}
		if f.Msg.Book == nil {
			continue
		}
		if s, ok := states[client.nonce]; ok {
			compared++
			if !maps.Equal(s.bids, client.bids) || !maps.Equal(s.asks, client.asks) {
				t.Fatalf("book %d differs from the recorded one", client.nonce)
			}
		}
	}
	if len(trades) != 0 || compared != len(states) || compared < 8 || len(early) == 0 {
		t.Errorf("%d trades missing; %d of %d books compared; %d early updates", len(trades), compared, len(states), len(early))
	}
	if c.Books != 1 || c.Updates != updates || c.Breaks != 0 {
		t.Errorf("counted %+v of %d updates", c, updates)
	}
}

// Nothing is written between a break of the chain and the whole book behind it; ids of trades that are missing begin a
// channel anew.
func TestBinanceBreaks(t *testing.T) {
	var b strings.Builder
	at := int64(1721347020_000_000_000)
	add := func(format string, args ...any) {
		at += 1_000_000
		fmt.Fprintf(&b, "%d ", at)
		fmt.Fprintf(&b, format+"\n", args...)
	}
	update := func(pu, first, last int, bid string) {
		add(`{"stream":"s","data":{"e":"depthUpdate","E":2,"T":1,"s":"BTCUSDT","U":%d,"u":%d,"pu":%d,"b":[["%s","1.000"]],"a":[]}}`, first, last, pu, bid)
	}
	book := func(last int) {
		add(`{"lastUpdateId":%d,"E":2,"T":1,"bids":[["10.00","1.000"]],"asks":[["30.00","1.000"]]}`, last)
	}
	trade := func(id int) {
		add(`{"stream":"s","data":{"e":"trade","E":2,"T":1,"s":"BTCUSDT","t":%d,"p":"15.00","q":"0.001","X":"MARKET","m":true}}`, id)
	}
	update(1, 2, 3, "11.00") // in the whole book already
	update(3, 4, 8, "12.00") // begins in it
	update(8, 9, 9, "13.00")
	book(5)
	trade(7)
	update(9, 10, 12, "14.00")
	update(13, 14, 15, "16.00") // 13 is missing
	update(15, 16, 17, "17.00")
	trade(8)
	book(16)
	trade(11)
	update(17, 18, 19, "18.00")
	frames, c := transcode(t, text(t, b.String()))
	var got []string
	client := &follower{t: t}
	for i := range frames {
		f := &frames[i]
		client.apply(f)
		if o := f.Msg.Book; o != nil {
			got = append(got, fmt.Sprintf("%d-%d %v", o.Begin, o.Nonce, len(client.bids)))
		}
		for _, r := range f.Msg.Trades {
			got = append(got, fmt.Sprintf("trade %d %v", r.ID, f.whole()))
		}
	}
	want := "[0-5 1 5-8 2 8-9 3 trade 7 true 9-12 4 trade 8 false 0-16 1 16-17 2 trade 11 true 17-19 3]"
	if fmt.Sprint(got) != want || c.Breaks != 1 {
		t.Errorf("%v with %d breaks, want\n%s", got, c.Breaks, want)
	}
}
