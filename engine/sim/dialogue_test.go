package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"hyperlight/engine/feed/feedtest"
)

func smallExchange() *Exchange {
	return New(Options{Seed: 1, Markets: 5, Accounts: 100, Rate: 500})
}

// TestRecordedDialogue plays the client's part of a recorded connection and compares every answer with the recorded
// one; only the block height and times may differ.
func TestRecordedDialogue(t *testing.T) {
	f, err := os.Open(feedtest.Recording(t, "lighter/ws/testnet-error-dialogue-2026-07-28.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := dial(t, serve(t, smallExchange(), ServeOptions{}))
	if g := c.read(); kind(g) != "connected" || !strings.HasPrefix(g, `{"session_id":"`) {
		t.Fatalf("greeting %s", g)
	}
	var want, got []string
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		var l struct{ Dir, Raw string }
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Dir == "out":
			c.send(l.Raw)
		case strings.Contains(l.Raw, `"update/height"`) || kind(l.Raw) == "connected":
		case kind(l.Raw) == "subscribed/height":
			want = append(want, "height")
		default:
			want = append(want, l.Raw)
		}
	}
	for len(got) < len(want) {
		switch f := c.read(); kind(f) {
		case "update/height":
		case "subscribed/height":
			var h struct{ Height, Timestamp int64 }
			if json.Unmarshal([]byte(f), &h) != nil || h.Height == 0 || !strings.HasPrefix(f, `{"channel":"height","height":`) {
				t.Errorf("height frame %s", f)
			}
			got = append(got, "height")
		default:
			got = append(got, f)
		}
	}
	// The venue answered the duplicate before the first subscribe; the order of that pair is not ours to copy.
	want[0], want[1] = want[1], want[0]
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("answer %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// TestRefusals checks the refusals that no recording has in one piece.
func TestRefusals(t *testing.T) {
	c := dial(t, serve(t, smallExchange(), ServeOptions{}))
	c.read()
	token := fmt.Sprintf("%d:1:2:00ff", time.Now().Add(time.Hour).Unix())
	for _, x := range []struct{ send, want string }{
		{`{"type":"subscribe","channel":"order_book/99999"}`, `{"error":{"code":30005,"message":"Invalid Channel:  (marketId)"}}`},
		{`{"type":"subscribe","channel":"account_market/1/1"}`, `{"error":{"code":20001,"message":"invalid param : auth field is required: account_market:1:1"}}`},
		{`{"type":"subscribe","channel":"account_tx/1","auth":"1:1:1:ff"}`, `{"error":{"code":20013,"message":"invalid auth: invalid deadline: account_tx:1"}}`},
		{`{"type":"subscribe","channel":"account_all_orders/1","auth":"` + token + `"}`, `{"channel":"account_all_orders:1","orders":`},
		{`{"method":"subscribe","params":[]}`, `{"error":{"code":30001,"message":"Invalid Type"}}`},
		{`[1]`, `{"error":{"code":30001,"message":"Invalid Type"}}`},
		{`{"type":"ping"}`, `{"type":"pong"}`},
		{`{"type":"subscribe","channel":"order_book/0"}`, `{"channel":"order_book:0","last_updated_at":`},
		{`{"type":"jsonapi/sendtx","data":{"id":"a","tx_type":14,"tx_info":{"AccountIndex":1,"ApiKeyIndex":2,"Nonce":5}}}`, `{"type":"jsonapi/sendtx","id":"a","code":200,"tx_hash":"`},
		{`{"type":"jsonapi/sendtx","data":{"id":"a","tx_type":14,"tx_info":{"AccountIndex":1,"ApiKeyIndex":2,"Nonce":5}}}`, `{"type":"jsonapi/sendtx","id":"a","code":21104,"message":"invalid nonce"}`},
	} {
		c.send(x.send)
		for {
			f := c.read()
			if k := kind(f); strings.HasPrefix(k, "update/") {
				continue
			}
			if !strings.HasPrefix(f, x.want) {
				t.Errorf("%s\n got %.200s\nwant %s", x.send, f, x.want)
			}
			break
		}
	}
}

// TestLimits reaches each limit of a connection and of an IP.
func TestLimits(t *testing.T) {
	limits := Limits{Connections: 2, Subscriptions: 2, Accounts: 1, MessagesPerMinute: 14, UnansweredMessages: 3}
	addr := serve(t, smallExchange(), ServeOptions{AnswerDelay: 30 * time.Millisecond, Limits: limits})
	a := dial(t, addr)
	a.read()
	expect := func(c *testClient, want string) {
		t.Helper()
		for {
			f := c.read()
			if strings.HasPrefix(kind(f), "update/") {
				continue
			}
			if !strings.Contains(f, want) {
				t.Errorf("got %.120s, want %s", f, want)
			}
			return
		}
	}
	slow := dial(t, serve(t, smallExchange(), ServeOptions{AnswerDelay: 3 * time.Second, Limits: limits}))
	slow.read()
	for range 5 { // three wait, two are too many
		slow.send(`{"type":"ping"}`)
	}
	expect(slow, "30010")
	expect(slow, "30010")
	for range 3 {
		expect(slow, "pong")
	}
	for range 5 {
		a.send(`{"type":"ping"}`)
		expect(a, "pong")
	}
	for _, s := range [][2]string{{"account_all/1", "subscribed/account_all"}, {"account_all/2", "23002"},
		{"user_stats/1", "subscribed/user_stats"}, {"height", "23001"}} {
		a.subscribe(s[0])
		expect(a, s[1])
	}
	for range 5 {
		a.send(`{"type":"ping"}`)
		expect(a, "pong")
	}
	a.send(`{"type":"ping"}`)
	expect(a, "30009")
	b := dial(t, addr)
	b.read()
	c := dial(t, addr)
	if f := c.read(); f != `{"error":{"code":23003,"message":"Too Many Connections!"}}` {
		t.Errorf("third connection got %s", f)
	}
	_, _, err := c.ws.ReadMessage()
	if err == nil {
		t.Error("third connection stays open")
	}
}

// TestIdleClose lets a silent client run into the time-out: close code 1000.
func TestIdleClose(t *testing.T) {
	c := dial(t, serve(t, smallExchange(), ServeOptions{Limits: Limits{IdleTimeout: 80 * time.Millisecond}}))
	c.read()
	start := time.Now()
	_, _, err := c.ws.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != 1000 || closed.Text != "i/o timeout" {
		t.Errorf("closed with %v", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("after %v", d)
	}
}

// TestSlowClient floods a client that does not read: it is disconnected, and nobody else notices.
func TestSlowClient(t *testing.T) {
	x := New(Options{Seed: 1, Markets: 2, Accounts: 100, Rate: 500})
	addr := serve(t, x, ServeOptions{Limits: Limits{QueueFrames: 50}})
	slow, fast := dial(t, addr), dial(t, addr)
	slow.read()
	fast.read()
	slow.subscribe("order_book/1")
	slow.read()
	fast.subscribe("height")
	big := make([]byte, 1<<20)
	x.hub.mu.Lock()
	for range 60 {
		x.hub.publish("order_book:1", big)
	}
	x.hub.mu.Unlock()
	for i := 0; ; i++ {
		if _, _, err := slow.ws.ReadMessage(); err != nil {
			break
		}
		if i > 200 {
			t.Fatal("the slow client is still fed")
		}
	}
	for range 3 {
		fast.read()
	}
}
