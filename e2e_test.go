package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
	"hyperlight/engine/sim"
)

// The tests of this file's kind run the whole appliance over real sockets: a venue on loopback, the server in front of
// it, and clients that know nothing but the contract.

const btcEth = "captures/lighter/ws-btc-eth-20251009.ndjson.gz"

// venue is a Lighter-compatible venue on a loopback port.
type venue struct{ rest, stream string }

// startVenue serves a source until the test ends.
func startVenue(t testing.TB, src sim.Source, o sim.ServeOptions) venue {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sim.Serve(ctx, ln, src, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("venue: %v", err)
		}
	})
	return venue{rest: "http://" + ln.Addr().String(), stream: "ws://" + ln.Addr().String() + "/stream"}
}

// appliance is a running server.
type appliance struct {
	t    testing.TB
	base string // http://127.0.0.1:port
	dir  string
	cfg  *config.Config
	live *liveParts // what a SIGHUP would reach
	log  *slog.Logger
	stop func() // ends it and waits; the test fails where it ends with an error
}

// applianceConfig is the configuration of a server in front of a venue, everything else as it is by default.
func applianceConfig(dir string, v venue) *config.Config {
	c := config.Default()
	c.Server.Listen = "127.0.0.1:0"
	c.Access.LocalPlan = "enterprise"
	c.Storage.Dir = dir
	c.Storage.MinFree = 64 << 20
	c.Storage.Cache = 32 << 20
	c.Backfill.Enabled = false // a test of it switches it on
	c.Accounts.PollShare, c.Accounts.Streamed = 0, 0
	c.Venues.Lighter.Enabled = v.stream != ""
	c.Venues.Lighter.RESTURL, c.Venues.Lighter.StreamURL = v.rest, v.stream
	c.Venues.Lighter.RESTBudgetPerMinute = 24_000
	c.Venues.Lighter.MessagesPerMinute = 6_000
	return c
}

// startAppliance runs a server in this process until the test ends or stop is called.
func startAppliance(t testing.TB, cfg *config.Config) *appliance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	listening := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if base, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				listening <- base
			}
		}
	}()
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: level}))
	a := &appliance{t: t, dir: cfg.Storage.Dir, cfg: cfg, live: new(liveParts), log: log}
	go func() {
		err := runServer(ctx, cfg, a.live, log, in)
		in.Close()
		ended <- err
	}()
	stopped := false
	a.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	}
	select {
	case a.base = <-listening:
	case err := <-ended:
		cancel()
		t.Fatalf("server did not start: %v", err)
	case <-time.After(2 * time.Minute):
		cancel()
		t.Fatal("server did not start in two minutes")
	}
	t.Cleanup(a.stop)
	return a
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// answer is the contract's envelope.
type answer struct {
	Status  int
	Success bool            `json:"success"`
	Data    json.RawMessage `json:"data"`
	Meta    struct {
		Total      *int64 `json:"total"`
		NextCursor string `json:"next_cursor"`
	} `json:"meta"`
}

func (a *appliance) try(path string) (answer, []byte, error) {
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Get(a.base + path)
	if err != nil {
		return answer{}, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, nil, err
	}
	var out answer
	if err := json.Unmarshal(body, &out); err != nil {
		return answer{}, body, fmt.Errorf("%s: %w in %.200q", path, err, body)
	}
	out.Status = resp.StatusCode
	return out, body, nil
}

// get fetches a path and unmarshals its data, which must come with status 200.
func (a *appliance) get(path string, data any) answer {
	a.t.Helper()
	out, body, err := a.try(path)
	if err != nil {
		a.t.Fatal(err)
	}
	if out.Status != 200 {
		a.t.Fatalf("%s: status %d: %.300s", path, out.Status, body)
	}
	if err := json.Unmarshal(out.Data, data); err != nil {
		a.t.Fatalf("%s: %v in %.300s", path, err, body)
	}
	return out
}

// status is the part of /status that tests wait for.
type status struct {
	Status     string `json:"status"`
	WebSocket  string `json:"websocket"`
	Markets    int    `json:"active_markets"`
	Synced     int    `json:"synced_markets"`
	Subscribed int    `json:"subscribed_channels"`
	Wanted     int    `json:"wanted_channels"`
}

// waitSynced waits until every active market has a current book.
func (a *appliance) waitSynced(markets int) {
	a.t.Helper()
	a.waitStatus(func(s *status) bool { return s.Markets == markets && s.Synced == markets && s.Subscribed == s.Wanted })
}

// waitBooks waits until so many markets have a current book, whatever else the venue lists.
func (a *appliance) waitBooks(markets int) {
	a.t.Helper()
	a.waitStatus(func(s *status) bool { return s.Synced == markets })
}

// waitStatus asks for the status until it is as wanted. It asks seldom: an address may ask 300 times in a minute.
func (a *appliance) waitStatus(wanted func(*status) bool) {
	a.t.Helper()
	var s status
	waitFor(a.t, time.Minute, func() bool {
		s = status{}
		if a.get("/status", &s); wanted(&s) {
			return true
		}
		time.Sleep(130 * time.Millisecond)
		return false
	}, func() string { return fmt.Sprintf("status is %+v", s) })
}

// waitFor polls until ok, and fails with what there is instead.
func waitFor(t testing.TB, limit time.Duration, ok func() bool, instead func() string) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, instead())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// dial opens a socket of the server.
func (a *appliance) dial(path string) *websocket.Conn {
	a.t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(a.base, "http")+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	resp.Body.Close()
	a.t.Cleanup(func() { conn.Close() })
	return conn
}

// frame is any frame of the server.
type frame struct {
	Type      string `json:"type"`
	Channel   string `json:"channel"`
	EventType string `json:"event_type"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	Seq       uint64 `json:"seq"`
	Epoch     string `json:"epoch"`
	Snapshot  bool   `json:"snapshot"`
	Recovered bool   `json:"recovered"`
	Reason    string `json:"reason"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	TS        int64  `json:"ts"`
	Sent      int64  `json:"events_sent"`

	Book struct {
		Bids       []bookLevel `json:"bids"`
		Asks       []bookLevel `json:"asks"`
		Nonce      uint64      `json:"nonce"`
		BeginNonce uint64      `json:"begin_nonce"`
		Offset     uint64      `json:"offset"`
	} `json:"order_book"`
	Trade json.RawMessage `json:"trade"`
	Data  json.RawMessage `json:"data"`
}

type bookLevel struct {
	Price string `json:"price"`
	Size  string `json:"size"`
}

func readFrame(conn *websocket.Conn, limit time.Duration) (frame, []byte, error) {
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return frame{}, nil, err
	}
	_, raw, err := conn.ReadMessage()
	if err != nil {
		return frame{}, nil, err
	}
	var f frame
	if err := json.Unmarshal(raw, &f); err != nil {
		return frame{}, raw, fmt.Errorf("%w in %.200q", err, raw)
	}
	return f, raw, nil
}

// next reads one frame of the wanted type; any other one is a failure.
func next(t testing.TB, conn *websocket.Conn, kind string) frame {
	t.Helper()
	f, raw, err := readFrame(conn, time.Minute)
	if err != nil {
		t.Fatalf("waiting for %s: %v", kind, err)
	}
	if f.Type != kind {
		t.Fatalf("got %.300s, want %s", raw, kind)
	}
	return f
}

func send(t testing.TB, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}
