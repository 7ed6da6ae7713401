package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// archiveNoSocket wants every path refused: a plan without sockets has no connection slot.
func archiveNoSocket(t *testing.T, a *appliance, key string) {
	for _, path := range []string{"/ws", "/ws/replay"} {
		frames := wantClose(t, a.dial(path+"?api_key="+key), 4009)
		if len(frames) != 1 || frames[0].Code != "connection_limit" {
			t.Errorf("%s: got %+v", path, frames)
		}
	}
	conn := a.dial("/ws")
	send(t, conn, `{"type":"auth","api_key":"`+key+`"}`)
	if frames := wantClose(t, conn, 4009); len(frames) != 1 || frames[0].Code != "connection_limit" {
		t.Errorf("auth message: got %+v", frames)
	}
	wantClose(t, a.dial("/stream?api_key="+key), 4009)
}

func archiveConnections(t *testing.T, a *appliance, key string, row *archiveRow) {
	var open []*websocket.Conn
	for i := range row.sockets {
		path := []string{"/ws", "/ws/replay", "/stream"}[i%3]
		conn := a.dial(path + "?api_key=" + key)
		open = append(open, conn)
		t.Cleanup(func() { conn.Close() })
		if path == "/stream" {
			next(t, conn, "connected")
			// The venue's greeting comes before the slot is taken, an answer after it.
			send(t, conn, `{"type":"ping"}`)
			next(t, conn, "pong")
			continue
		}
		_, raw, err := readFrame(conn, time.Minute)
		want := fmt.Sprintf(`{"type":"authenticated","tier":%q,"max_subscriptions":%d`, row.plan, row.subscriptions)
		if path == "/ws/replay" {
			want += `,"max_replay_window_days":-1,"max_concurrent_replays":-1`
		}
		if err != nil || string(raw) != want+"}" {
			t.Fatalf("%s: %v, %s", path, err, raw)
		}
	}
	wantClose(t, a.dial("/ws?api_key="+key), 4009)
	wantClose(t, a.dial("/stream?api_key="+key), 4009)
	for _, conn := range open {
		conn.Close()
	}
	waitFor(t, time.Minute, func() bool { // a slot is free again when the connection is
		conn := a.dial("/ws?api_key=" + key)
		defer conn.Close()
		f, _, err := readFrame(conn, time.Minute)
		return err == nil && f.Type == "authenticated"
	}, func() string { return "no slot was given back" })
}

// openSockets opens live connections, as many as there are slots; those of a test before may still be closing.
func openSockets(t *testing.T, a *appliance, key string, n int) (open []*websocket.Conn) {
	t.Helper()
	waitFor(t, time.Minute, func() bool {
		conn := a.dial("/ws?api_key=" + key)
		f, _, err := readFrame(conn, time.Minute)
		if err != nil || f.Type != "authenticated" {
			conn.Close()
			return false
		}
		open = append(open, conn)
		return len(open) == n
	}, func() string { return fmt.Sprintf("%d of %d sockets", len(open), n) })
	t.Cleanup(func() {
		for _, conn := range open {
			conn.Close()
		}
	})
	return open
}

// archiveSubscriptions fills the plan's subscriptions from all its sockets at once; one more is refused on each.
func archiveSubscriptions(t *testing.T, a *appliance, key string, row *archiveRow) {
	open := openSockets(t, a, key, row.sockets)
	subscribe := func(i int, channel string) string {
		for {
			send(t, open[i], `{"type":"subscribe","channel":"`+channel+`"}`)
			for {
				f, raw, err := readFrame(open[i], time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				if f.Channel != channel || f.Type != "error" && f.Type != "subscribed" {
					continue
				}
				if f.Type == "subscribed" {
					return ""
				}
				if f.Code != "rate_limit_exceeded" {
					return string(raw)
				}
				time.Sleep(100 * time.Millisecond)
				break
			}
		}
	}
	var listed struct {
		Books []struct {
			ID int `json:"market_id"`
		} `json:"order_books"`
	}
	r, err := a.as("").call("GET", "/api/v1/orderBooks", "")
	if err := errors.Join(err, json.Unmarshal(r.body, &listed)); err != nil || len(listed.Books) != 110 {
		t.Fatalf("%v, %d markets", err, len(listed.Books))
	}
	channel := func(i int) string {
		return fmt.Sprintf("%s/%d", []string{"order_book", "trade"}[i/110], listed.Books[i%110].ID)
	}
	for i := range row.subscriptions {
		if refused := subscribe(i%len(open), channel(i)); refused != "" {
			t.Fatalf("subscription %d of %d: %s", i+1, row.subscriptions, refused)
		}
	}
	more := channel(row.subscriptions)
	for i := range open {
		want := fmt.Sprintf(`{"type":"error","code":"subscription_limit","message":"subscription limit reached","channel":%q}`, more)
		if got := subscribe(i, more); got != want {
			t.Errorf("socket %d: got %q", i, got)
		}
	}
	if again := subscribe(0, channel(0)); again != "" {
		t.Errorf("what is subscribed already does not count: %s", again)
	}
}

// archiveOperations wants ten subscribe and unsubscribe messages a second to pass, more to be refused, and the connection
// to live on: forty messages are far above three violations in the sense of the message rate.
func archiveOperations(t *testing.T, a *appliance, key string) {
	conn := openSockets(t, a, key, 1)[0]
	began := time.Now()
	for i := range 40 {
		send(t, conn, fmt.Sprintf(`{"type":%q,"channel":"trade/0"}`, []string{"subscribe", "unsubscribe"}[i%2]))
	}
	send(t, conn, `{"type":"ping"}`)
	passed, refused := 0, 0
	for done := false; !done; {
		f, raw, err := readFrame(conn, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Type == "pong":
			done = true
		case f.Type == "subscribed", f.Type == "unsubscribed", f.Code == "not_subscribed":
			passed++
		case f.Code == "rate_limit_exceeded" && f.Message == "too many subscribe messages":
			refused++
		case f.Type == "error":
			t.Fatalf("got %s", raw)
		}
	}
	if most := 11 + int(10*time.Since(began).Seconds()); passed < 10 || passed > most || passed+refused != 40 {
		t.Errorf("%d passed, %d were refused", passed, refused)
	}
	time.Sleep(1100 * time.Millisecond)
	send(t, conn, `{"type":"subscribe","channel":"trade/1"}`)
	until(t, conn, "subscribed")
}

// archiveMetering wants one credit for each data message, live and replayed, and none for anything else.
func archiveMetering(t *testing.T, a *appliance, key string, began int64) {
	conn := openSockets(t, a, key, 1)[0]
	before := a.used(key) + 1 // and the call that asked
	data := int64(0)
	count := func(frames []frame) {
		for _, f := range frames {
			switch f.Type {
			case "order_book_update", "trade_update":
				data++
			case "gap", "subscribed", "unsubscribed", "pong":
			default:
				t.Fatalf("unexpected frame %+v", f)
			}
		}
	}
	for i := range 5 {
		send(t, conn, fmt.Sprintf(`{"type":"subscribe","channel":"order_book/%d"}`, i))
		_, frames := until(t, conn, "subscribed")
		count(frames)
		send(t, conn, `{"type":"ping"}`)
		_, frames = until(t, conn, "pong")
		count(frames)
	}
	for data < 30 {
		_, frames := until(t, conn, "order_book_update")
		count(frames)
		data++
	}
	for i := range 5 {
		send(t, conn, fmt.Sprintf(`{"type":"unsubscribe","channel":"order_book/%d"}`, i))
	}
	send(t, conn, `{"type":"ping"}`)
	_, frames := until(t, conn, "pong") // all that was sent
	count(frames)
	conn.Close()
	conn = replaySocket(t, a, key)
	live := data
	send(t, conn, fmt.Sprintf(`{"type":"replay","market_ids":[0,1,2],"start":%d,"end":%d,"speed":50,"include":["trade","orderbook_snapshot","order_book"]}`, began-2000, began))
	until(t, conn, "replay_started")
	done, frames := until(t, conn, "replay_complete")
	for _, f := range frames {
		if f.EventType != "gap" {
			data++
		}
	}
	if data == live || done.Sent != int64(len(frames)) {
		t.Errorf("%d live messages and %d replayed, the replay says %d", live, len(frames), done.Sent)
	}
	if spent := a.used(key) - before; spent != data {
		t.Errorf("%d credits spent for %d messages", spent, data)
	}
}

// replaySocket opens a replay connection as soon as there is a slot.
func replaySocket(t *testing.T, a *appliance, key string) (conn *websocket.Conn) {
	t.Helper()
	waitFor(t, time.Minute, func() bool {
		conn = a.dial("/ws/replay?api_key=" + key)
		f, _, err := readFrame(conn, time.Minute)
		return err == nil && f.Type == "authenticated"
	}, func() string { return "no slot for a replay" })
	t.Cleanup(func() { conn.Close() })
	return conn
}

// archiveReplay wants the plan's speed and no more, its depth, and one replay per connection.
func archiveReplay(t *testing.T, a *appliance, key string, row *archiveRow, began int64) {
	one, two := replaySocket(t, a, key), replaySocket(t, a, key)
	start := func(conn *websocket.Conn, from, to int64, speed string) frame {
		t.Helper()
		send(t, conn, fmt.Sprintf(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":%s}`, from, to, speed))
		for {
			f, raw, err := readFrame(conn, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == "error" || f.Type == "replay_started" {
				if f.Type == "error" && f.Message == "" {
					t.Fatalf("got %s", raw)
				}
				return f
			}
		}
	}
	stop := func(conn *websocket.Conn) {
		t.Helper()
		send(t, conn, `{"type":"stop"}`)
		until(t, conn, "replay_stopped", "replay_complete")
	}
	allowed := strconv.FormatFloat(row.speed, 'f', -1, 64)
	for _, speed := range []string{allowed + ".5", "2000", `"max"`} {
		f := start(one, began-1000, began, speed)
		if unlimited := speed == `"max"` && row.speed >= 1000; unlimited && f.Type != "replay_started" || !unlimited && f.Code != "bad_request" {
			t.Errorf("speed %s: got %+v", speed, f)
		} else if unlimited {
			until(t, one, "replay_complete")
		}
	}
	if f := start(one, began-1000, began, allowed); f.Type != "replay_started" {
		t.Fatalf("speed %s: got %+v", allowed, f)
	}
	until(t, one, "replay_complete")

	// One replay per connection: a second is refused there, and runs on another.
	if f := start(one, began-2000, began+3_600_000, "0.1"); f.Type != "replay_started" {
		t.Fatalf("got %+v", f)
	}
	if f := start(one, began-2000, began, "1"); f.Code != "replay_active" {
		t.Errorf("a second replay: got %+v", f)
	}
	if f := start(two, began-2000, began+3_600_000, "0.1"); f.Type != "replay_started" {
		t.Errorf("a second connection: got %+v", f)
	}
	stop(one)
	stop(two)

	// Depth and range.
	const day = 86_400_000
	for _, x := range []struct {
		days   int
		length int64
	}{{300, 3_600_000}, {300, 290 * day}, {366, 3_600_000}, {1500, 3_600_000}, {1500, 1500 * day}} {
		want := "no_data" // let through
		if row.depth >= 0 && x.days > row.depth {
			want = "replay_window_exceeded"
		}
		f := start(one, daysAgo(x.days), daysAgo(x.days)+x.length, "1")
		if f.Code != want && !(want == "no_data" && f.Type == "replay_started") {
			t.Errorf("from %d days ago: got %+v, want %s", x.days, f, want)
		}
		if f.Type == "replay_started" {
			stop(one)
		}
	}
}
