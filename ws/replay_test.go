package ws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/model"
)

func serveTape(t testing.TB, o Options) *harness {
	o.History = newTape()
	if o.Limits.MessageRate == 0 {
		o.Limits.MessageRate, o.Limits.MessageBurst = 1000, 1000
	}
	return serve(t, o)
}

// replayed reads a replay from its start to its end and returns the events.
func (c *client) replayed() (started frame, events []frame, end frame) {
	c.t.Helper()
	started = c.expect("replay_started")
	for {
		f := c.read()
		if f.Type == "replay_complete" || f.Type == "replay_stopped" || f.Type == "error" {
			return started, events, f
		}
		events = append(events, f)
	}
}

func (c *client) startAll(more string) {
	c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":"max"%s}`, tapeStart, tapeEnd, more)
}

func TestReplayAuthenticatedNamesLimits(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.dial("/ws/replay", http.Header{"X-Api-Key": {"hlt_starter"}})
	if f := c.expect("authenticated"); f.MaxDays == nil || *f.MaxDays != 7 || f.MaxReplays == nil || *f.MaxReplays != 2 {
		t.Errorf("got %s", f.raw)
	}
}

func TestReplayDefaultEvents(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	c.startAll("")
	started, events, end := c.replayed()
	if started.Total == nil || *started.Total != uint64(len(events)) || string(started.Speed) != `"max"` {
		t.Errorf("started with %s, %d events came", started.raw, len(events))
	}
	if end.Type != "replay_complete" || end.Sent != uint64(len(events)) {
		t.Errorf("ended with %s after %d events", end.raw, len(events))
	}
	count := map[string]int{}
	last := int64(0)
	for i, e := range events {
		count[e.EventType]++
		if e.TS < last || e.ReplayTS == 0 {
			t.Fatalf("event %d goes back or has no replay_ts: %s", i, e.raw)
		}
		if e.TS == last && e.EventType == "trade" && events[i-1].EventType == "orderbook_snapshot" {
			t.Fatalf("a trade follows the snapshot of its time: %s", e.raw)
		}
		last = e.TS
		if e.EventType == "orderbook_snapshot" && (e.TS%1000 != 0 || e.TS > int64(tapeHole) && e.TS <= int64(tapeResync)) {
			t.Errorf("snapshot at %d", e.TS)
		}
	}
	if count["trade"] != 160 || count["orderbook_snapshot"] != 19+19 || count["gap"] != 2 {
		t.Errorf("events %v", count)
	}
	first := events[0].raw
	want := regexp.MustCompile(`^\{"type":"replay_event","event_type":"trade","data":\{"market_id":0,"trade_id":1,"price":"3200.50","size":"2.5000","side":"sell","type":"trade","usd_amount":"8001.250000","ask_account_id":42,"bid_account_id":99,"recv_ts":1700000000040000\},"ts":1700000000000,"replay_ts":\d+\}$`)
	if !want.MatchString(first) {
		t.Errorf("first event %s", first)
	}
}

// The one-second books and the tick updates agree, and the marks and gaps of a tick replay are in place.
func TestReplayTickBooks(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	c.say(`{"type":"replay","market_ids":[0,1],"start":"%s","end":%d,"speed":"max","include":["order_book","orderbook_snapshot"],"depth":500}`,
		time.UnixMilli(int64(tapeStart)+5500).UTC().Format(time.RFC3339Nano), tapeEnd)
	started, events, end := c.replayed()
	if started.Total == nil || *started.Total != uint64(len(events)) || !strings.Contains(started.raw, `"market_ids":[0,1]`) || end.Sent != uint64(len(events)) {
		t.Errorf("%s ... %s after %d events", started.raw, end.raw, len(events))
	}
	bids := map[string]string{}
	var nonce uint64
	var marks []string
	for _, e := range events {
		var d struct {
			Bids, Asks      [][2]string
			Nonce           uint64
			BeginNonce      uint64 `json:"begin_nonce"`
			Initial, Resync bool
			Reason          string
			RecvTS          int64 `json:"recv_ts"`
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.EventType == "gap":
			marks = append(marks, fmt.Sprint("gap ", e.TS-int64(tapeStart), " ", d.Reason))
		case d.Initial || d.Resync:
			marks = append(marks, fmt.Sprint("book ", e.TS-int64(tapeStart), " ", e.Initial, d.Initial, " ", e.Resync, d.Resync))
			clear(bids)
			nonce = d.Nonce
			fallthrough
		case e.EventType == "order_book":
			if e.EventType == "order_book" && (d.BeginNonce != nonce || d.RecvTS/1000 != e.TS) {
				t.Fatalf("update %s follows nonce %d", e.raw, nonce)
			}
			nonce = d.Nonce
			for _, l := range d.Bids {
				if bids[l[0]] = l[1]; l[1] == "0" {
					delete(bids, l[0])
				}
			}
		default:
			if len(d.Bids) != len(bids) || d.Nonce != nonce {
				t.Fatalf("the book of %d has %d bids, the updates give %d", e.TS, len(d.Bids), len(bids))
			}
			for _, l := range d.Bids {
				if bids[l[0]] != l[1] {
					t.Fatalf("the book of %d differs at %v", e.TS, l)
				}
			}
		}
	}
	want := []string{"book 5500 true true false false", "gap 19900 upstream_disconnect", "book 80000 false false true true"}
	if !slices.Equal(marks, want) {
		t.Errorf("marks %q, want %q", marks, want)
	}
}

func TestReplayLiveFormatIsWhatWSSends(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":"max","format":"live"}`, tapeStart+10_050, tapeEnd)
	_, events, end := c.replayed()
	if end.Type != "replay_complete" {
		t.Fatal(end.raw)
	}
	ref := &reference{subscribed: true}
	trades, last := 0, int64(0)
	for _, e := range events {
		if e.TS < last || e.ReplayTS == 0 {
			t.Fatalf("goes back: %s", e.raw)
		}
		last = e.TS
		if e.Channel == "trade/0" {
			if e.Type == "trade_update" {
				trades++
			}
			continue
		}
		if err := ref.take(e); err != nil {
			t.Fatal(err)
		}
	}
	if events[0].Type != "order_book_update" || !events[0].Snapshot || ref.snapshots != 2 || ref.gaps != 1 || trades != 119 {
		t.Errorf("first %s; %d snapshots, %d gaps, %d trades", events[0].raw, ref.snapshots, ref.gaps, trades)
	}
}

func TestReplayLiquidations(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	c.startAll(`,"include":["liquidation","trade"]`)
	_, events, _ := c.replayed()
	n := 0
	for i, e := range events {
		if e.EventType == "liquidation" {
			n++
			if events[i-1].EventType != "trade" || events[i-1].TS != e.TS || !strings.Contains(e.raw, `"liquidation_id":"0-`) {
				t.Errorf("liquidation %s after %s", e.raw, events[i-1].raw)
			}
		}
	}
	if n != 16 {
		t.Errorf("%d liquidations, want 16", n)
	}
}

func TestTwoReplaysAreIdentical(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	wall := regexp.MustCompile(`"replay_ts":\d+`)
	var runs [2][]string
	for i := range runs {
		c.startAll(`,"include":["trade","order_book","orderbook_snapshot"]`)
		_, events, _ := c.replayed()
		for _, e := range events {
			runs[i] = append(runs[i], wall.ReplaceAllString(e.raw, ""))
		}
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Error("two replays of one window differ")
	}
}

func TestReplayRefusals(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	day := int64(24 * 3600 * 1000)
	for _, x := range []struct{ msg, code string }{
		{`{"type":"pause"}`, codeNoActiveReplay},
		{`{"type":"seek","to":1}`, codeNoActiveReplay},
		{`{"type":"replay","start":1}`, codeBadRequest},
		{`{"type":"replay","market_id":0}`, codeBadRequest},
		{`{"type":"replay","market_id":99,"start":"2023-11-14"}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"market_ids":[1],"start":"2023-11-14"}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"yesterday"}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":2000000000000,"end":1900000000000}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"2023-11-14","speed":0.05}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"2023-11-14","speed":1001}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"2023-11-14","speed":"fast"}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"2023-11-14","include":["nothing"]}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"2023-11-14","include":[]}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"2023-11-14","depth":0}`, codeBadRequest},
		{`{"type":"replay","market_id":0,"start":"2023-11-14","format":"native"}`, codeBadRequest},
		{fmt.Sprintf(`{"type":"replay","market_id":0,"start":%d,"end":%d}`, int64(tapeStart)-day, tapeStart-1000), codeNoData},
		{fmt.Sprintf(`{"type":"replay","market_id":1,"start":%d,"end":%d}`, tapeStart, tapeEnd), codeNoData},
		// A range inside a hole holds a gap, but no data.
		{fmt.Sprintf(`{"type":"replay","market_id":0,"start":%d,"end":%d}`, tapeHole+1000, tapeHole+5000), codeNoData},
	} {
		c.say("%s", x.msg)
		if f := c.expect("error"); f.Code != x.code {
			t.Errorf("%s\n gave %s, want %s", x.msg, f.raw, x.code)
		}
	}
	c.startAll(`,"include":["trade"]`) // and the connection still works
	if _, _, end := c.replayed(); end.Type != "replay_complete" {
		t.Errorf("ended with %s", end.raw)
	}
}

func TestReplayPlanLimits(t *testing.T) {
	h := serveTape(t, Options{})
	free := h.dial("/ws/replay", http.Header{"X-Api-Key": {"hlt_free"}})
	free.expect("authenticated")
	free.startAll("")
	free.expectError(codeForbidden)

	dial := func() *client {
		c := h.dial("/ws/replay", http.Header{"X-Api-Key": {"hlt_starter"}})
		c.expect("authenticated")
		return c
	}
	day := int64(24 * 3600 * 1000)
	c := dial()
	c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d}`, tapeStart, int64(tapeStart)+7*day+1)
	c.expectError(codeReplayWindow)
	c.startAll("") // "max" is for plans of 1,000
	c.expectError(codeBadRequest)
	c.say(`{"type":"replay","market_id":0,"start":%d,"speed":100.5}`, tapeStart)
	c.expectError(codeBadRequest)

	open := []*client{c, dial(), dial()}
	for i, c := range open {
		c.say(`{"type":"replay","market_id":0,"start":%d,"speed":0.1}`, tapeStart)
		if i < 2 {
			if f := c.expect("replay_started"); !strings.Contains(f.raw, fmt.Sprintf(`"end":%d`, int64(tapeStart)+7*day)) {
				t.Errorf("started with %s", f.raw)
			}
			continue
		}
		c.expectError(codeReplayLimit)
	}
	open[0].conn.Close() // frees its slot
	eventually(t, func() bool {
		open[2].say(`{"type":"replay","market_id":0,"start":%d,"speed":0.1}`, tapeStart)
		return open[2].read().Type == "replay_started"
	})
}

func TestReplayControls(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	until := func(kind string) (seen []frame) {
		t.Helper()
		for {
			f := c.read()
			if f.Type == kind {
				return append(seen, f)
			}
			if f.Type != "replay_event" {
				t.Fatalf("got %s while waiting for %s", f.raw, kind)
			}
			seen = append(seen, f)
		}
	}
	c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":0.1,"include":["trade","order_book"]}`, tapeStart+10_000, tapeEnd)
	if f := c.expect("replay_started"); string(f.Speed) != "0.1" {
		t.Errorf("started with %s", f.raw)
	}
	c.startAll("")
	for c.read().Code != codeReplayActive {
	}
	c.say(`{"type":"pause"}`)
	until("replay_paused")
	c.say(`{"type":"pause"}`)
	c.expect("replay_paused") // again, and nothing in between
	c.say(`{"type":"seek","to":%d}`, tapeStart+90_050)
	if f := c.expect("replay_seeked"); f.TS != int64(tapeStart)+90_050 {
		t.Errorf("sought to %d", f.TS)
	}
	if f := c.expect("replay_event"); !f.Initial || f.TS != int64(tapeStart)+90_050 {
		t.Errorf("after a seek while paused: %s", f.raw)
	}
	c.say(`{"type":"set_speed","speed":50}`)
	if f := c.expect("replay_speed"); string(f.Speed) != "50" {
		t.Errorf("speed %s", f.raw)
	}
	for _, to := range []model.Millis{tapeStart + 9_999, tapeEnd, 5} {
		c.say(`{"type":"seek","to":%d}`, to)
		c.expectError(codeBadRequest)
	}
	c.say(`{"type":"set_speed","speed":0}`)
	c.expectError(codeBadRequest)
	begin := time.Now()
	c.say(`{"type":"resume"}`)
	until("replay_resumed")
	events := until("replay_complete")
	if took := time.Since(begin); took < 150*time.Millisecond || took > 30*time.Second { // at the speed before 100 s
		t.Errorf("10 s at speed 50 took %v", took)
	}
	if events[0].TS != int64(tapeStart)+90_100 {
		t.Errorf("first event after resume %s", events[0].raw)
	}

	c.say(`{"type":"replay","market_id":0,"start":"2023-11-14","end":1700000099,"speed":0.1}`)
	c.expect("replay_started")
	c.say(`{"type":"scrub","to":%d}`, tapeStart+50)
	until("replay_seeked")
	c.say(`{"type":"stop"}`)
	if f := until("replay_stopped"); f[len(f)-1].raw != `{"type":"replay_stopped"}` {
		t.Errorf("stopped with %s", f[len(f)-1].raw)
	}
	c.say(`{"type":"resume"}`)
	c.expectError(codeNoActiveReplay)
}

// A client that reads slowly gets everything; what waits for it stays bounded.
func TestReplayWaitsForASlowClient(t *testing.T) {
	h := serveTape(t, Options{Limits: Limits{ReplayBuffer: 4096}})
	c := h.local("/ws/replay")
	c.startAll(`,"include":["trade","order_book","orderbook_snapshot"],"depth":250`)
	c.expect("replay_started")
	conn := h.onlyConn()
	time.Sleep(200 * time.Millisecond)
	n := uint64(0)
	for {
		f := c.read()
		if f.Type == "replay_complete" {
			if f.Sent != n {
				t.Errorf("sent %d, got %d", f.Sent, n)
			}
			break
		}
		if n++; n%100 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	if conn == nil {
		t.Fatal("the server knows no connection")
	}
	conn.pipe.mu.Lock()
	defer conn.pipe.mu.Unlock()
	if got := cap(conn.pipe.fill) + cap(conn.pipe.spare); got > 64<<10 {
		t.Errorf("%d bytes of buffers for a pipe of 4,096", got)
	}
}

// onlyConn is the one open connection, nil when there is none.
func (h *harness) onlyConn() *Conn {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	for c := range h.s.conns {
		return c
	}
	return nil
}

func TestShutdownEndsReplays(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	c.say(`{"type":"replay","market_id":0,"start":%d,"speed":0.1}`, tapeStart)
	c.expect("replay_started")
	go h.s.Close(t.Context())
	c.expectClose(closeGoing)
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]model.Millis{
		`"2026-01-01T00:00:00Z"`:      1767225600000,
		`"2026-01-01T01:00:00+01:00"`: 1767225600000,
		`"2026-01-01T00:00:00.250Z"`:  1767225600250,
		`"2026-01-01"`:                1767225600000,
		`1767225600000`:               1767225600000,
		`"1767225600000"`:             1767225600000,
		`1767225600`:                  1767225600000,
	} {
		if got, err := parseTime(json.RawMessage(in)); err != nil || got != want {
			t.Errorf("%s = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{``, `""`, `"x"`, `-1`, `1.5`, `null`, `true`, `[1]`, `"2026-13-01"`, `99999999999999999`, `2026-01-01`} {
		if got, err := parseTime(json.RawMessage(in)); err == nil {
			t.Errorf("%s = %d, want an error", in, got)
		}
	}
}
