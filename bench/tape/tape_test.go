package tape

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/feed/lighter"
)

// frame is a written line, read with the standard library alone and kept as text.
type frame struct {
	Seq  int   `json:"seq"`
	Recv int64 `json:"recv_us"`
	Msg  struct {
		Channel string `json:"channel"`
		Type    string `json:"type"`
		Time    int64  `json:"timestamp"`
		Book    *struct {
			Bids, Asks []struct{ Price, Size string }
			Offset     uint64 `json:"offset"`
			Nonce      uint64 `json:"nonce"`
			Begin      uint64 `json:"begin_nonce"`
			Updated    int64  `json:"last_updated_at"`
		} `json:"order_book"`
		Trades []struct {
			ID       uint64 `json:"trade_id"`
			Price    string `json:"price"`
			Size     string `json:"size"`
			USD      string `json:"usd_amount"`
			MakerAsk bool   `json:"is_maker_ask"`
			Time     int64  `json:"timestamp"`
		} `json:"trades"`
	} `json:"msg"`
}

func (f *frame) whole() bool { return strings.HasPrefix(f.Msg.Type, "subscribed/") }

// ladder is a side of a book, sizes by price, both as texts without zeros at their end.
type ladder map[string]string

func (l ladder) set(price, size string) {
	if size = trim(size); size == "0" {
		delete(l, trim(price))
	} else {
		l[trim(price)] = size
	}
}

func trim(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// follower keeps the book that a client of the frames has, and checks their chain and clock.
type follower struct {
	t          testing.TB
	seq        int
	recv       int64
	nonce      uint64
	offset     uint64
	bids, asks ladder
}

func (b *follower) apply(f *frame) {
	b.t.Helper()
	b.seq++
	if f.Seq != b.seq || f.Recv < b.recv {
		b.t.Fatalf("frame %d received at %d follows frame %d of %d", f.Seq, f.Recv, b.seq-1, b.recv)
	}
	b.recv = f.Recv
	o := f.Msg.Book
	if o == nil {
		return
	}
	switch {
	case f.whole():
		b.bids, b.asks = ladder{}, ladder{}
		if b.nonce != 0 && o.Nonce == b.nonce {
			b.t.Fatalf("frame %d: a whole book continues the chain", f.Seq)
		}
	case o.Begin != b.nonce || o.Nonce <= o.Begin:
		b.t.Fatalf("frame %d goes from %d to %d after %d", f.Seq, o.Begin, o.Nonce, b.nonce)
	case len(o.Bids)+len(o.Asks) == 0 && f.Msg.Channel == "order_book:1":
		b.t.Fatalf("frame %d changes nothing", f.Seq)
	}
	if o.Offset != b.offset+1 {
		b.t.Fatalf("frame %d has offset %d after %d", f.Seq, o.Offset, b.offset)
	}
	b.nonce, b.offset = o.Nonce, o.Offset
	for _, l := range o.Bids {
		b.bids.set(l.Price, l.Size)
	}
	for _, l := range o.Asks {
		b.asks.set(l.Price, l.Size)
	}
}

// transcode returns the frames of recordings.
func transcode(t testing.TB, files ...string) ([]frame, Counts) {
	t.Helper()
	var out bytes.Buffer
	c, err := Transcode(&out, files...)
	if err != nil {
		t.Fatal(err)
	}
	var frames []frame
	for line := range bytes.Lines(out.Bytes()) {
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		frames = append(frames, f)
	}
	if c.Frames != len(frames) {
		t.Fatalf("%d frames, counted %d", len(frames), c.Frames)
	}
	return frames, c
}

// head writes the first lines of a recording into a file of their own.
func head(t testing.TB, name string, n int) string {
	t.Helper()
	l, err := open(feedtest.Recording(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var b bytes.Buffer
	for ; n > 0 && l.Scan(); n-- {
		b.Write(l.Bytes())
		b.WriteByte('\n')
	}
	return text(t, b.String())
}

func text(t testing.TB, s string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "recording")
	if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func rows(t testing.TB, name string, each func(line []byte)) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, longestLine)
	for s.Scan() {
		each(s.Bytes())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

// Every book of the recording is the book of a client at that moment, with asks a cent higher, and every trade comes.
func TestStandXBooksAndTradesAreTheRecorded(t *testing.T) {
	name := head(t, "captures/standx/btc-usd-20260106-00h-05h.ndjson.gz", 3_000)
	frames, c := transcode(t, name)
	client := &follower{t: t}
	var last int64
	books, trades, breaks := 0, 0, 0
	rows(t, name, func(line []byte) {
		var r struct {
			Type        string      `json:"type"`
			Time        int64       `json:"ts_ms"`
			Recv        int64       `json:"recv_us"`
			Bids, Asks  [][2]string //
			Price, Size string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		var f *frame
		if len(frames) > 0 && frames[0].Recv == r.Recv && (frames[0].Msg.Book != nil) == (r.Type == "book") {
			f = &frames[0]
			frames = frames[1:]
			client.apply(f)
		}
		if r.Type == "trade" {
			trades++
			if f == nil || len(f.Msg.Trades) != 1 {
				t.Fatalf("no frame for the trade of %d", r.Recv)
			}
			got := f.Msg.Trades[0]
			if trim(got.Price) != trim(r.Price) || trim(got.Size) != trim(r.Size) || got.Time != r.Time {
				t.Fatalf("trade %+v is recorded as %s", got, line)
			}
			return
		}
		books++
		away := last != 0 && r.Recv-last > 3_000_000
		if last == 0 || away {
			if f == nil || !f.whole() {
				t.Fatalf("no whole book at %d, after a hole", r.Recv)
			}
		} else if f != nil && f.whole() {
			t.Fatalf("a whole book at %d without a hole", r.Recv)
		}
		if away {
			breaks++
		}
		last = r.Recv
		bids, asks := ladder{}, ladder{}
		for _, l := range r.Bids {
			bids.set(l[0], l[1])
		}
		for _, l := range r.Asks {
			whole, tenth, _ := strings.Cut(l[0], ".")
			asks.set(fmt.Sprintf("%s.%1s1", whole, (tenth + "0")[:1]), l[1])
		}
		if !maps.Equal(bids, client.bids) || !maps.Equal(asks, client.asks) {
			t.Fatalf("book at %d:\n%v %v\nrecorded\n%v %v", r.Recv, client.bids, client.asks, bids, asks)
		}
	})
	if len(frames) != 0 || books < 1000 || trades < 100 || breaks < 5 {
		t.Fatalf("%d frames left over after %d books, %d trades, %d holes", len(frames), books, trades, breaks)
	}
	if c.Trades != trades || c.Breaks != breaks || c.Books != breaks+1 || c.Updates+c.Books+c.Unchanged != books {
		t.Errorf("counted %+v of %d books, %d trades, %d holes", c, books, trades, breaks)
	}
}

// Behind a hole the first trade is the first one of its channel and its id shows that trades are missing.
func TestStandXTradesAfterAHole(t *testing.T) {
	book := `{"type":"book","ts_ms":%d,"recv_us":%d000,"bids":[["100.5","1"]],"asks":[["100.5","2"]]}` + "\n"
	trade := `{"type":"trade","ts_ms":%d,"recv_us":%d000,"price":"%s","size":"0.5"}` + "\n"
	at := 1767657600000
	name := text(t, fmt.Sprintf(book, at, at)+fmt.Sprintf(trade, at+1, at+1, "100.5")+fmt.Sprintf(trade, at+2, at+2, "100.51")+
		fmt.Sprintf(book, at+3001, at+3001)+fmt.Sprintf(trade, at+3002, at+3002, "100.5")+fmt.Sprintf(trade, at+3003, at+3003, "100.5"))
	frames, c := transcode(t, name)
	if c.Breaks != 1 || c.Books != 2 || len(frames) != 6 {
		t.Fatalf("%+v", c)
	}
	var got []string
	for _, f := range frames {
		for _, r := range f.Msg.Trades {
			got = append(got, fmt.Sprintf("%d %v %s maker ask %v", r.ID, f.whole(), r.USD, r.MakerAsk))
		}
	}
	want := []string{"1 true 50.250000 maker ask false", "2 false 50.255000 maker ask true",
		"4 true 50.250000 maker ask false", "5 false 50.250000 maker ask false"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("trades\n%v\nwant\n%v", got, want)
	}
}

func TestMarketsAreReadable(t *testing.T) {
	list, err := lighter.ParseMarkets(Markets(standXMarket(), binanceMarkets["BTCUSDT"]))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].ID != 1 || list[0].PriceScale != 2 || list[0].SizeScale != 4 || list[1].Symbol != "BTCUSDT" || list[1].PriceScale != 1 {
		t.Errorf("%+v", list)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	for _, s := range []string{"", "hello\n", `{"seq":1}` + "\n", `1721347020984480942 {"data":{"s":"DOGEUSDT"}}` + "\n"} {
		if _, err := Market(text(t, s)); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
	good := `{"type":"book","ts_ms":1,"recv_us":1,"bids":[],"asks":[]}` + "\n"
	for _, s := range []string{`{"type":"book","ts_ms":1,"recv_us":2,"bids":[["1.234","1"]],"asks":[]}`, `{"type":"x"}`, `{`} {
		if _, err := Transcode(&bytes.Buffer{}, text(t, good+s+"\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: error %v", s, err)
		}
	}
}
