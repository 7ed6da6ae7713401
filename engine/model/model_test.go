package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"hyperlight/engine/num"
)

func TestClocks(t *testing.T) {
	for _, c := range []struct {
		u      Micros
		ms     Millis
		second Micros
	}{
		{0, 0, 0},
		{999, 0, 0},
		{1000, 1, 0},
		{1760041996606618, 1760041996606, 1760041996000000},
		{1760041996000000, 1760041996000, 1760041996000000},
		{-1, -1, -1000000},
		{-1000, -1, -1000000},
		{-1001, -2, -1000000},
		{-1000000, -1000, -1000000},
	} {
		if got := c.u.Millis(); got != c.ms {
			t.Errorf("Micros(%d).Millis() = %d, want %d", c.u, got, c.ms)
		}
		if got := c.u.Second(); got != c.second {
			t.Errorf("Micros(%d).Second() = %d, want %d", c.u, got, c.second)
		}
		if got := c.ms.Micros().Millis(); got != c.ms {
			t.Errorf("Millis(%d) there and back = %d", c.ms, got)
		}
	}
}

func TestWords(t *testing.T) {
	for k := KindTrade; k <= KindOther; k++ {
		if got := ParseTradeKind(k.String()); got != k {
			t.Errorf("ParseTradeKind(%q) = %d, want %d", k.String(), got, k)
		}
	}
	if got := ParseTradeKind([]byte("auction")); got != KindOther {
		t.Errorf("an unknown word is kind %d", got)
	}
	var words []string
	for k := KindBook; k <= KindDayCandles+1; k++ {
		words = append(words, k.String())
	}
	for c := CauseNone; c <= CauseDowntime+1; c++ {
		words = append(words, c.String())
	}
	words = append(words, TradeKind(200).String(), Bid.String(), Ask.String())
	want := "order_book trade market_stats candles funding candles_1h candles_1d other none upstream_disconnect nonce_gap parse_error stale crossed downtime none other bid ask"
	if got := strings.Join(words, " "); got != want {
		t.Errorf("words are\n%s, want\n%s", got, want)
	}
}

func TestScaleAt(t *testing.T) {
	m := &Market{PriceScale: 3, SizeScale: 1, Epoch: 1, Scales: []Scale{{Price: 2, Size: 4}, {Price: 3, Size: 1}}}
	for epoch, want := range [][2]uint8{{2, 4}, {3, 1}, {3, 1}} {
		if p, s := m.ScaleAt(uint8(epoch)); p != want[0] || s != want[1] {
			t.Errorf("ScaleAt(%d) = %d, %d, want %v", epoch, p, s, want)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk gone")
	err := error(&Error{Code: CodeInternal, Message: "try again", Err: cause})
	if !errors.Is(err, cause) || err.Error() != "internal_error: try again: disk gone" {
		t.Errorf("%v", err)
	}
	if e := BadRequest("limit", "limit must be an integer"); e.Error() != "bad_request: limit must be an integer" || e.Details["field"] != "limit" {
		t.Errorf("%v %v", e, e.Details)
	}
	if e := NotFound("market is unknown"); e.Code != CodeNotFound || e.Unwrap() != nil {
		t.Errorf("%v", e)
	}
}

func TestAppendStringIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("\"\\\n\r\t\x00\x1f\x7fa\u2028é🙂")))).Draw(t, "s")
		got := AppendString([]byte("x"), s)[1:]
		if !utf8.ValidString(s) {
			t.Skip("rapid drew no text")
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != s {
			t.Fatalf("AppendString(%q) = %s: %q, %v", s, got, back, err)
		}
	})
}

// Bytes that are no UTF-8 are replaced as the standard library does.
func TestAppendStringOfBrokenText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.SampledFrom([]byte("a\"\n\xff\xfe\x80\xc3\xa9\xed\xa0\xe2\x82\xac\xf0\x9f\x99\x82"))).Draw(t, "s"))
		got := AppendString(nil, s)
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back, meant string
		if err := json.Unmarshal(want, &meant); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &back); err != nil || back != meant || !utf8.Valid(got) {
			t.Fatalf("AppendString(%q) = %s: %q, %v; want %q", s, got, back, err, meant)
		}
	})
}

func TestTradeJSON(t *testing.T) {
	m := &Market{Native: 7, Symbol: `E"TH`, PriceScale: 2, SizeScale: 4, Scales: []Scale{{Price: 2, Size: 4}, {Price: 1, Size: 0}}}
	tr := &Trade{
		ID: 212690112, Time: 1760040869198, Recv: 1760041996606618, Kind: KindLiquidation, Price: 433502, Size: 13792, USD: 5978859584,
		AskOrder: 281475209716547, BidOrder: 562949723828832, AskAccount: 17593, BidAccount: 35538, Block: 60916735, TxHash: "0000ab",
	}
	const want = `{"trade_id":212690112,"tx_hash":"0000ab","type":"liquidation","market_id":7,"symbol":"E\"TH","price":"4335.02","size":"1.3792",` +
		`"usd_amount":"5978.859584","side":"sell","ask_id":281475209716547,"ask_id_str":"281475209716547","bid_id":562949723828832,` +
		`"bid_id_str":"562949723828832","ask_account_id":17593,"bid_account_id":35538,"is_maker_ask":false,"whale":true,` +
		`"block_height":60916735,"timestamp":1760040869198,"recv_ts":1760041996606618}`
	if got := string(tr.AppendJSON(nil, m, true)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// A row that was fetched, of another epoch, without a hash.
	tr.Recv, tr.TxHash, tr.Epoch, tr.MakerAsk = 0, "", 1, true
	got := tr.AppendJSON(nil, m, false)
	var v struct {
		Hash   *string `json:"tx_hash"`
		Recv   *int64  `json:"recv_ts"`
		Price  string
		Size   string
		Side   string
		Whale  bool
		Native int64 `json:"market_id"`
	}
	if err := json.Unmarshal(got, &v); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if v.Hash != nil || v.Recv != nil || v.Price != "43350.2" || v.Size != "13792" || v.Side != "buy" || v.Whale || v.Native != 7 {
		t.Errorf("got %+v from %s", v, got)
	}
	if n := testing.AllocsPerRun(100, func() { got = tr.AppendJSON(got[:0], m, false) }); n != 0 {
		t.Errorf("AppendJSON into a large enough buffer allocates %v times", n)
	}
}

func TestLevelJSON(t *testing.T) {
	l := Level{Price: 433502, Size: -5}
	if got := string(l.AppendPair(nil, 2, 1)); got != `["4335.02","-0.5"]` {
		t.Error(got)
	}
	if got := string(l.AppendObject(nil, 0, 0)); got != `{"price":"433502","size":"-5"}` {
		t.Error(got)
	}
}

// TestCloneSharesNothing scribbles over every payload after cloning it.
func TestCloneSharesNothing(t *testing.T) {
	payloads := []Payload{
		&BookUpdate{Snapshot: true, Bids: []Level{{1, 2}, {3, 4}}, Asks: []Level{{5, 6}}, Prev: 1, Seq: 2},
		&BookUpdate{Asks: []Level{{5, 6}}},
		&TradeBatch{Rows: []Trade{{ID: 1, TxHash: "a"}, {ID: 2}}, History: true},
		&Stats{Has: HasMark, Mark: num.Decimal{Mant: 1, Scale: 2}, Symbol: "ETH"},
		&Funding{Time: 1, Rate: 2},
		&Height{Height: 3},
		&Gap{From: 1, To: 2, Cause: CauseStale},
	}
	for _, p := range payloads {
		e := Event{Market: 1, Epoch: 2, Time: 3, Recv: 4, Payload: p}
		before, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		c := e.Clone()
		if c.Market != 1 || c.Epoch != 2 || c.Time != 3 || c.Recv != 4 || reflect.TypeOf(c.Payload) != reflect.TypeOf(p) {
			t.Fatalf("cloned %+v", c)
		}
		switch p := p.(type) {
		case *BookUpdate:
			for i := range p.Bids {
				p.Bids[i] = Level{}
			}
			for i := range p.Asks {
				p.Asks[i] = Level{}
			}
		case *TradeBatch:
			clear(p.Rows)
		}
		reflect.ValueOf(p).Elem().SetZero()
		after, err := json.Marshal(c.Payload)
		if err != nil {
			t.Fatal(err)
		}
		// A nil list of levels may become an empty one.
		if norm := bytes.ReplaceAll(after, []byte(`[]`), []byte(`null`)); !bytes.Equal(norm, before) {
			t.Errorf("%T changed with its original: %s, was %s", p, after, before)
		}
	}
}

// TestCloneListsDoNotOverlap appends to the bids of a clone, whose asks lie behind them in memory.
func TestCloneListsDoNotOverlap(t *testing.T) {
	e := Event{Payload: &BookUpdate{Bids: []Level{{1, 1}}, Asks: []Level{{2, 2}}}}
	c := e.Clone()
	u := c.Payload.(*BookUpdate)
	_ = append(u.Bids, Level{9, 9})
	if u.Asks[0] != (Level{2, 2}) {
		t.Fatalf("asks became %v", u.Asks)
	}
}

func BenchmarkTradeJSON(b *testing.B) {
	m := &Market{Symbol: "ETH", PriceScale: 2, SizeScale: 4, Scales: []Scale{{Price: 2, Size: 4}}}
	tr := &Trade{ID: 212690112, Time: 1760040869198, Recv: 1760041996606618, Price: 433502, Size: 13792, USD: 5978859584, TxHash: strings.Repeat("0a", 40)}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = tr.AppendJSON(buf[:0], m, false)
	}
}

func BenchmarkCloneBookUpdate(b *testing.B) {
	e := Event{Payload: &BookUpdate{Bids: make([]Level, 2), Asks: make([]Level, 2)}}
	b.ReportAllocs()
	for b.Loop() {
		c := e.Clone()
		_ = c
	}
}
