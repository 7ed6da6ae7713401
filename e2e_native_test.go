package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hyperlight/engine/feed/feedtest"
	"os"
	"strings"
	"testing"
	"time"
)

// recordedFrames reads the frames of a recording's updates as they stand in it, books by market and trades together, and
// the span of their receive times in milliseconds.
func recordedFrames(t testing.TB, path string) (books map[string][]string, from, to int64) {
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
	books = map[string][]string{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var w struct {
			Recv int64 `json:"recv_us"`
			Msg  json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		if from == 0 {
			from = w.Recv / 1000
		}
		to = w.Recv/1000 + 1
		if frame := string(w.Msg); strings.HasSuffix(frame, `"type":"update/order_book"}`) {
			channel, _, _ := strings.Cut(strings.TrimPrefix(frame, `{"channel":"`), `"`)
			books[channel] = append(books[channel], frame)
		}
	}
	return books, from, to
}

// A replay in the venue's own form gives back the very bytes that the venue sent: every book update, after one whole book
// per market, and every trade.
func TestNativeReplayEqualsRecording(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	books, from, to := recordedFrames(t, path)
	_, trades := recordedEvents(t, path)
	dir := t.TempDir()
	importInto(t, dir, path)
	a := startAppliance(t, applianceConfig(dir, venue{}))
	conn := a.dial("/ws/replay")
	next(t, conn, "authenticated")
	send(t, conn, fmt.Sprintf(`{"type":"replay","market_ids":[0,1],"start":%d,"end":%d,"speed":"max","format":"native","include":["trade","order_book"]}`, from, to))
	next(t, conn, "replay_started")
	got, whole, traded := map[string][]string{}, map[string]int{}, map[uint64]bool{}
	for done := false; !done; {
		f, raw, err := readFrame(conn, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case "update/order_book":
			got[f.Channel] = append(got[f.Channel], string(raw))
		case "subscribed/order_book":
			whole[f.Channel]++
		case "update/trade":
			var one struct {
				Trades       []recordedTrade
				Liquidations []recordedTrade `json:"liquidation_trades"`
			}
			if err := json.Unmarshal([]byte(raw), &one); err != nil || len(one.Trades)+len(one.Liquidations) != 1 {
				t.Fatalf("%v in %.300s", err, raw)
			}
			traded[append(one.Trades, one.Liquidations...)[0].TradeID] = true
		case "gap":
		case "replay_complete":
			done = true
		default:
			t.Fatalf("unexpected frame %.300s", raw)
		}
	}
	for channel, want := range books {
		if whole[channel] == 0 || len(got[channel]) != len(want) {
			t.Errorf("%s: %d whole books, %d updates, want %d", channel, whole[channel], len(got[channel]), len(want))
			continue
		}
		for i := range want {
			if got[channel][i] != want[i] {
				t.Fatalf("%s: update %d is\n%.600s, want\n%.600s", channel, i, got[channel][i], want[i])
			}
		}
	}
	live, missing := 0, 0
	for _, e := range trades {
		if e.time < from {
			continue // of the history frames: nobody saw them happen
		}
		if live++; !traded[e.tradeID] {
			missing++
		}
	}
	if missing > 0 || live == 0 {
		t.Errorf("%d of %d trades did not come", missing, live)
	}
}
