package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
)

// importInto loads a recording into the store of a configuration that follows no venue.
func importInto(t testing.TB, dir string, files ...string) {
	t.Helper()
	cfg := applianceConfig(dir, venue{})
	_, err := engine.Import(context.Background(), engine.ImportOptions{Store: storeOptions(cfg, func(error) {}), Files: files})
	if err != nil {
		t.Fatal(err)
	}
}

// recordedEvent is a trade or a book frame of the recording, in the words of a replay.
type recordedEvent struct {
	market  int64
	recv    int64 // us
	text    string
	tradeID uint64 // 0 for a book frame
	time    int64  // the venue's, ms
}

type recordedTrade struct {
	TradeID   uint64 `json:"trade_id"`
	Price     string `json:"price"`
	Size      string `json:"size"`
	MakerAsk  bool   `json:"is_maker_ask"`
	Timestamp int64  `json:"timestamp"`
}

// recordedEvents reads the recording with encoding/json: what a replay at "max" has to give back, book updates in the
// order received and each trade once.
func recordedEvents(t testing.TB, path string) (books, trades []recordedEvent) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var w struct {
			Recv int64 `json:"recv_us"`
			Msg  struct {
				Type, Channel string
				Book          struct {
					Bids, Asks []bookLevel
					Offset     uint64
				} `json:"order_book"`
				Trades       []recordedTrade `json:"trades"`
				Liquidations []recordedTrade `json:"liquidation_trades"`
			} `json:"msg"`
		}
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		family, id, _ := strings.Cut(w.Msg.Channel, ":")
		market, _ := strconv.ParseInt(id, 10, 64)
		switch family {
		case "order_book":
			if w.Msg.Type == "subscribed/order_book" {
				continue // the initial state, compared apart
			}
			books = append(books, recordedEvent{market: market, recv: w.Recv, text: bookText(w.Msg.Book.Offset, pairs(w.Msg.Book.Bids), pairs(w.Msg.Book.Asks))})
		case "trade":
			for _, tr := range append(w.Msg.Trades, w.Msg.Liquidations...) {
				if seen[tr.TradeID] {
					continue
				}
				seen[tr.TradeID] = true
				side := "sell"
				if tr.MakerAsk {
					side = "buy"
				}
				trades = append(trades, recordedEvent{
					market: market, recv: w.Recv, tradeID: tr.TradeID, time: tr.Timestamp,
					text: fmt.Sprintf("%d %d %s %s %s", market, tr.TradeID, tr.Price, tr.Size, side),
				})
			}
		}
	}
	return books, trades
}

func pairs(levels []bookLevel) [][2]string {
	var out [][2]string
	for _, l := range levels {
		out = append(out, [2]string{l.Price, l.Size})
	}
	return out
}

// bookText writes levels so that a removal reads alike however many zeros it has, in the order of price.
func bookText(nonce uint64, bids, asks [][2]string) string {
	side := func(levels [][2]string) string {
		levels = slices.Clone(levels)
		for i := range levels {
			if strings.Trim(levels[i][1], "0.") == "" {
				levels[i][1] = "0"
			}
		}
		slices.SortFunc(levels, func(a, b [2]string) int { return strings.Compare(fmt.Sprintf("%20s", a[0]), fmt.Sprintf("%20s", b[0])) })
		return fmt.Sprint(levels)
	}
	return fmt.Sprintf("%d bids %s asks %s", nonce, side(bids), side(asks))
}

// A replay at "max" gives back exactly what was recorded: every trade once in the venue's order, every book update in
// the order received, and the count it announces.
func TestReplayEqualsRecording(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	books, trades := recordedEvents(t, path)
	dir := t.TempDir()
	importInto(t, dir, path)
	a := startAppliance(t, applianceConfig(dir, venue{}))

	// From before the oldest trade of the history frames; books begin with their first frame.
	from, to := trades[0].time, int64(0)
	for _, e := range trades {
		from, to = min(from, e.time), max(to, e.time)
	}
	for _, e := range books {
		to = max(to, e.recv/1000)
	}
	conn := a.dial("/ws/replay")
	next(t, conn, "authenticated")
	send(t, conn, fmt.Sprintf(`{"type":"replay","market_ids":[0,1],"start":%d,"end":%d,"speed":"max","include":["trade","order_book"]}`, from, to+1))
	next(t, conn, "replay_started")

	type event struct {
		MarketID int64       `json:"market_id"`
		TradeID  uint64      `json:"trade_id"`
		Price    string      `json:"price"`
		Size     string      `json:"size"`
		Side     string      `json:"side"`
		Bids     [][2]string `json:"bids"`
		Asks     [][2]string `json:"asks"`
		Nonce    uint64      `json:"nonce"`
	}
	var gotBooks [2][]string
	var gotTrades []string
	var lastTS, count int64
	snapshots := 0
	for done := false; !done; {
		f, raw, err := readFrame(conn, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case "replay_complete":
			if f.Sent != count {
				t.Errorf("events_sent is %d, %d came", f.Sent, count)
			}
			done = true
			continue
		case "replay_event":
		default:
			t.Fatalf("unexpected frame %.300s", raw)
		}
		count++
		var e event
		if err := json.Unmarshal(f.Data, &e); err != nil {
			t.Fatal(err)
		}
		if f.TS < lastTS {
			t.Fatalf("time runs back from %d to %d at %.200s", lastTS, f.TS, raw)
		}
		lastTS = f.TS
		switch f.EventType {
		case "trade":
			gotTrades = append(gotTrades, fmt.Sprintf("%d %d %s %s %s", e.MarketID, e.TradeID, e.Price, e.Size, e.Side))
		case "order_book":
			gotBooks[e.MarketID] = append(gotBooks[e.MarketID], bookText(e.Nonce, e.Bids, e.Asks))
		case "orderbook_snapshot":
			snapshots++
		case "gap":
		default:
			t.Fatalf("unexpected event %.300s", raw)
		}
	}
	slices.SortStableFunc(trades, func(a, b recordedEvent) int {
		if a.time != b.time {
			return int(a.time - b.time)
		}
		if a.market != b.market {
			return int(a.market - b.market)
		}
		return int(int64(a.tradeID) - int64(b.tradeID))
	})
	equalTexts(t, "trade", gotTrades, trades)
	for market := range gotBooks {
		var want []recordedEvent
		for _, e := range books {
			if e.market == int64(market) {
				want = append(want, e)
			}
		}
		equalTexts(t, fmt.Sprintf("book update of market %d", market), gotBooks[market], want)
	}
	if snapshots == 0 {
		t.Error("no whole book came: a replay with order_book starts with one per market")
	}
}

func equalTexts(t *testing.T, what string, got []string, want []recordedEvent) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i].text {
			t.Fatalf("%s %d is\n%s, want\n%s", what, i, got[i], want[i].text)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d of %s came, %d were recorded", len(got), what, len(want))
	}
}
