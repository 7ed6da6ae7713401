package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/feed/feedtest"
)

// pastFrame is what a client of the venue reads.
type pastFrame struct {
	Type, Channel string
	Session       string                           `json:"session_id"`
	Book          struct{ Bids, Asks []bookLevel } `json:"order_book"`
	Trades        []recordedTrade
	Liquidations  []recordedTrade `json:"liquidation_trades"`
	raw           string
}

// readPast reads a frame; false at the end of the replay, which has to be told as such.
func readPast(t testing.TB, conn *websocket.Conn) (f pastFrame, more bool) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, raw, err := conn.ReadMessage()
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code == 1000 && closed.Text == "replay complete" {
		return f, false
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatalf("%v in %.300s", err, raw)
	}
	f.raw = string(raw)
	return f, true
}

// venueBook is a book as a client of the venue keeps it.
type venueBook struct{ bids, asks map[string]string }

func (b *venueBook) apply(f *pastFrame) {
	if strings.HasPrefix(f.Type, "subscribed/") {
		b.bids, b.asks = map[string]string{}, map[string]string{}
	}
	for side, levels := range map[*map[string]string][]bookLevel{&b.bids: f.Book.Bids, &b.asks: f.Book.Asks} {
		for _, l := range levels {
			if strings.Trim(l.Size, "0.") == "" {
				delete(*side, l.Price)
			} else {
				(*side)[l.Price] = l.Size
			}
		}
	}
}

// best returns the best levels of both sides as a snapshot has them.
func (b *venueBook) best(n int) string {
	side := func(levels map[string]string, better int) (out [][2]string) {
		prices := slices.SortedFunc(maps.Keys(levels), func(x, y string) int { return better * strings.Compare(fmt.Sprintf("%20s", x), fmt.Sprintf("%20s", y)) })
		for _, p := range prices[:min(n, len(prices))] {
			out = append(out, [2]string{p, levels[p]})
		}
		return out
	}
	return fmt.Sprint(side(b.bids, -1), side(b.asks, 1))
}

type storedBook struct {
	Snapshots []struct {
		Timestamp  int64
		Bids, Asks [][2]string
	}
}

func (s storedBook) best() string { return fmt.Sprint(s.Snapshots[0].Bids, s.Snapshots[0].Asks) }

// A client of the venue gets the very frames that were recorded, trades in the batches that they came in, and its books
// are the recorded ones at every second.
func TestPastStreamEqualsRecording(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	books, from, to := recordedFrames(t, path)
	updates, trades := recordedEvents(t, path)
	dir := t.TempDir()
	importInto(t, dir, path)
	a := startAppliance(t, applianceConfig(dir, venue{}))
	conn := a.dial(fmt.Sprintf("/replay/stream?start=%d&end=%d&speed=max&markets=0,1", from, to))
	if f, _ := readPast(t, conn); f.Type != "connected" || f.Session == "" {
		t.Fatalf("greeted with %s", f.raw)
	}
	for _, channel := range []string{"order_book/0", "trade/1", "order_book/1", "market_stats/all", "trade/0", "height"} {
		send(t, conn, `{"type":"subscribe","channel":"`+channel+`"}`)
	}
	// The receive times of each book's updates: a second's book is what came before it.
	recv := map[string][]int64{}
	for _, e := range updates {
		channel := fmt.Sprintf("order_book:%d", e.market)
		recv[channel] = append(recv[channel], e.recv)
	}
	mine, count := map[string]*venueBook{}, map[string]int{}
	kinds, traded, seconds := map[string]int{}, map[uint64]int{}, 0
	check := func(channel string, before int64) {
		for s := (recv[channel][max(count[channel]-1, 0)]/1e6 + 1) * 1e6; s <= before && count[channel] > 0; s += 1e6 {
			var stored storedBook
			a.get(fmt.Sprintf("/api/v1/orderbook/%s/snapshots?at=%d&depth=1000", strings.TrimPrefix(channel, "order_book:"), s/1000), &stored)
			if seconds++; stored.best() != mine[channel].best(1000) {
				t.Fatalf("%s at %d: the client has\n%.400s, recorded is\n%.400s", channel, s/1000, mine[channel].best(1000), stored.best())
			}
		}
	}
	for f, more := readPast(t, conn); more; f, more = readPast(t, conn) {
		kinds[f.Type]++
		switch f.Type {
		case "subscribed/order_book":
			if mine[f.Channel] != nil {
				t.Fatalf("%s: a second whole book although the record has no hole", f.Channel)
			}
			mine[f.Channel] = &venueBook{}
			mine[f.Channel].apply(&f)
		case "update/order_book":
			n := count[f.Channel]
			check(f.Channel, recv[f.Channel][n]-1)
			if count[f.Channel]++; f.raw != books[f.Channel][n] {
				t.Fatalf("%s: update %d is\n%.600s, want\n%.600s", f.Channel, n, f.raw, books[f.Channel][n])
			}
			mine[f.Channel].apply(&f)
		case "update/trade":
			for _, tr := range append(f.Trades, f.Liquidations...) {
				traded[tr.TradeID]++
			}
		}
	}
	for channel, want := range books {
		if len(want) != count[channel] {
			t.Errorf("%s: %d updates of %d", channel, count[channel], len(want))
		}
	}
	for _, e := range trades {
		if e.time >= from && traded[e.tradeID] != 1 {
			t.Errorf("trade %d came %d times", e.tradeID, traded[e.tradeID])
		}
	}
	if seconds < 40 || kinds["subscribed/trade"] != 2 || kinds["update/market_stats"] < 4 || kinds["subscribed/height"] != 1 || kinds["update/height"] < 20 {
		t.Errorf("%d seconds compared, frames %v", seconds, kinds)
	}
	t.Logf("%d seconds compared, frames %v", seconds, kinds)
}

// REST by the session's clock and the stream are one past: what the stream has told REST knows, and what REST knows no
// frame of a later moment contradicts.
func TestPastSessionIsOnePast(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	_, from, to := recordedFrames(t, path)
	dir := t.TempDir()
	importInto(t, dir, path)
	a := startAppliance(t, applianceConfig(dir, venue{}))
	conn := a.dial(fmt.Sprintf("/replay/stream?start=%d&end=%d&speed=20&markets=0,1", from, to))
	first, _ := readPast(t, conn)
	send(t, conn, `{"type":"subscribe","channel":"trade/0"}`)
	type native struct {
		Trades []recordedTrade
		Height uint64
	}
	ask := func(path string) (n native) {
		t.Helper()
		_, body, err := a.try("/replay/api/v1/" + path)
		if err != nil || json.Unmarshal(body, &n) != nil {
			t.Fatalf("%s: %v %.300s", path, err, body)
		}
		return n
	}
	told := map[uint64]bool{}
	asked := 0
	for f, more := readPast(t, conn); more; f, more = readPast(t, conn) {
		latest := uint64(0)
		for _, tr := range append(f.Trades, f.Liquidations...) {
			told[tr.TradeID] = true
			latest = max(latest, tr.TradeID)
		}
		if f.Type != "update/trade" || rand.IntN(4) > 0 {
			continue
		}
		// By name, and without one: it is the caller's only session.
		query := "recentTrades?market_id=0&limit=100&session=" + first.Session
		if asked++; asked%2 == 0 {
			query = "recentTrades?market_id=0&limit=100"
		}
		known := ask(query)
		if len(known.Trades) == 0 {
			break // the session has ended in between
		}
		if known.Trades[0].TradeID < latest {
			t.Errorf("the stream has told trade %d, REST knows %d", latest, known.Trades[0].TradeID)
		}
	}
	if asked < 5 {
		t.Errorf("asked %d times only", asked)
	}
}
