package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"hyperlight/engine/feed/feedtest"
)

// TestReplayEqualsREST replays random windows of the imported recording: its trades are those of /trades/by-time, member by
// member, and its one-second books those of /snapshots. Checklist 189.
func TestReplayEqualsREST(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	books, _ := recordedEvents(t, path)
	dir := t.TempDir()
	importInto(t, dir, path)
	a := startAppliance(t, applianceConfig(dir, venue{}))
	first, last := books[0].recv/1000, books[len(books)-1].recv/1000

	conn := a.dial("/ws/replay")
	next(t, conn, "authenticated")
	seed := rand.Int63()
	r := rand.New(rand.NewSource(seed))
	for range 12 {
		market := r.Intn(2)
		from := first + r.Int63n(last-first)
		to := from + 1 + r.Int63n(min(last-from, 40_000)+1)
		what := fmt.Sprintf("seed %d, market %d, %d to %d", seed, market, from, to)

		trades := a.tradesByTime(market, from, to)
		snapshots := a.snapshotsOf(market, from, to)
		send(t, conn, fmt.Sprintf(`{"type":"replay","market_id":%d,"start":%d,"end":%d,"speed":"max"}`, market, from, to))
		for done := false; !done; {
			f, raw, err := readFrame(conn, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case f.Type == "replay_started" || f.EventType == "gap":
			case f.Type == "replay_complete" || f.Code == "no_data":
				done = true
			case f.EventType == "trade":
				if len(trades) == 0 {
					t.Fatalf("%s: /trades/by-time does not have %s", what, raw)
				}
				sameMembers(t, what, f.Data, trades[0], "trade_id", "price", "size", "type", "usd_amount", "ask_account_id", "bid_account_id", "recv_ts")
				trades = trades[1:]
			case f.EventType == "orderbook_snapshot":
				if len(snapshots) == 0 {
					t.Fatalf("%s: /snapshots does not have %s", what, raw)
				}
				sameMembers(t, what, f.Data, snapshots[0], "bids", "asks", "best_bid", "best_ask", "spread")
				if at := string(memberOf(t, snapshots[0], "timestamp")); at != fmt.Sprint(f.TS) {
					t.Fatalf("%s: book of %d, /snapshots has %s", what, f.TS, at)
				}
				snapshots = snapshots[1:]
			default:
				t.Fatalf("%s: got %s", what, raw)
			}
		}
		if len(trades)+len(snapshots) > 0 {
			t.Fatalf("%s: %d trades and %d books of REST did not come", what, len(trades), len(snapshots))
		}
	}
}

// tradesByTime reads every page.
func (a *appliance) tradesByTime(market int, from, to int64) (all []json.RawMessage) {
	for cursor := ""; ; {
		var data struct{ Trades []json.RawMessage }
		page := a.get(fmt.Sprintf("/api/v1/trades/by-time?market_id=%d&start=%d&end=%d&limit=1000%s", market, from, to, cursor), &data)
		all = append(all, data.Trades...)
		if page.Meta.NextCursor == "" {
			return all
		}
		cursor = "&cursor=" + page.Meta.NextCursor
	}
}

// snapshotsOf reads every page of one-second books.
func (a *appliance) snapshotsOf(market int, from, to int64) (all []json.RawMessage) {
	for cursor := ""; ; {
		var data struct{ Snapshots []json.RawMessage }
		page := a.get(fmt.Sprintf("/api/v1/orderbook/%d/snapshots?start=%d&end=%d&depth=20&interval=1s&order=asc&limit=100%s", market, from, to, cursor), &data)
		all = append(all, data.Snapshots...)
		if page.Meta.NextCursor == "" {
			return all
		}
		cursor = "&cursor=" + page.Meta.NextCursor
	}
}

// memberOf returns a member of an object.
func memberOf(t *testing.T, object json.RawMessage, name string) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		t.Fatal(err)
	}
	v, ok := members[name]
	if !ok {
		t.Fatalf("%s has no %s", object, name)
	}
	return v
}

func sameMembers(t *testing.T, what string, event, row json.RawMessage, names ...string) {
	t.Helper()
	for _, name := range names {
		if got, want := string(memberOf(t, event, name)), string(memberOf(t, row, name)); got != want {
			t.Fatalf("%s: %s is %s in the replay and %s in REST\n%s\n%s", what, name, got, want, event, row)
		}
	}
}
