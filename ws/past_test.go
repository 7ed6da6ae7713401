package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/access"
	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// pastFrame is what tests read of a frame of /replay/stream.
type pastFrame struct {
	Type, Channel string
	SessionID     string `json:"session_id"`
	Error         *struct {
		Code    int
		Message string
	}
	Book struct {
		Bids, Asks []struct{ Price, Size string }
		Offset     uint64
	} `json:"order_book"`
	Trades []struct {
		ID uint64 `json:"trade_id"`
	}
	Liquidations []struct {
		ID uint64 `json:"trade_id"`
	} `json:"liquidation_trades"`
	Height uint64
	raw    string
}

// servePast serves a tape to clients of the venue.
func servePast(t testing.TB, o Options) *harness {
	t.Helper()
	o.Native = lighterNative()
	return serveTape(t, o)
}

func (h *harness) past(query string, header http.Header) *client {
	h.t.Helper()
	return h.dial(pathPast+"?"+query, header)
}

func (c *client) pastRead() (f pastFrame, err error) {
	c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, b, err := c.conn.ReadMessage()
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(b, &f); err != nil {
		c.t.Fatalf("%v in %.300s", err, b)
	}
	f.raw = string(b)
	return f, nil
}

// pastNext reads a frame of a type.
func (c *client) pastNext(kind string) pastFrame {
	c.t.Helper()
	f, err := c.pastRead()
	if err != nil || f.Type != kind {
		c.t.Fatalf("got %.300s, %v; want %s", f.raw, err, kind)
	}
	return f
}

// pastAll reads to the end, which must be that of the replay.
func (c *client) pastAll() (frames []pastFrame) {
	c.t.Helper()
	for {
		f, err := c.pastRead()
		if err == nil {
			frames = append(frames, f)
			continue
		}
		if closed, ok := errors.AsType[*websocket.CloseError](err); !ok || closed.Code != 1000 || closed.Text != "replay complete" {
			c.t.Fatalf("ended with %v after %d frames", err, len(frames))
		}
		return frames
	}
}

func tapeQuery(speed string) string {
	return fmt.Sprintf("start=%d&end=%d&speed=%s&markets=0", tapeStart, tapeEnd, speed)
}

// A client of the venue gets the state at the start, every recorded update and trade in the order received, and a whole
// book after the hole.
func TestPastPlaysTheRecord(t *testing.T) {
	h := servePast(t, Options{})
	tape := newTape()
	c := h.past(tapeQuery("max"), nil)
	if f := c.pastNext("connected"); f.SessionID == "" {
		t.Errorf("greeted with %s", f.raw)
	}
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	c.say(`{"type":"subscribe","channel":"nothing/0"}`)
	c.say(`{"type":"subscribe","channel":"order_book/4711"}`)
	c.say(`{"type":"subscribe","channel":"order_book/1"}`)
	c.say(`{"type":"unsubscribe","channel":"market_stats/0"}`)
	c.say(`{"type":"ping"}`)
	var books, wholes int
	var trades []uint64
	codes := map[int]int{}
	pongs := 0
	var offset uint64
	for _, f := range c.pastAll() {
		switch {
		case f.Error != nil:
			codes[f.Error.Code]++
		case f.Type == "pong":
			pongs++
		case f.Type == "subscribed/order_book":
			wholes++
			offset = f.Book.Offset
		case f.Type == "update/order_book":
			books++
			if wholes == 0 || f.Book.Offset < offset {
				t.Fatalf("update %s after a book at %d", f.raw, offset)
			}
			offset = f.Book.Offset
		case f.Channel == "trade:0":
			for _, tr := range append(f.Trades, f.Liquidations...) {
				trades = append(trades, tr.ID)
			}
		default:
			t.Errorf("unexpected %s", f.raw)
		}
	}
	if codes[30003] != 1 || codes[30005] != 3 || codes[30002] != 1 || pongs != 1 {
		t.Errorf("refusals %v, %d pongs", codes, pongs)
	}
	if want := len(tape.rows) - 2; wholes != 2 || books != want {
		t.Errorf("%d whole books and %d updates, want 2 and %d", wholes, books, want)
	}
	seen := map[uint64]bool{}
	for _, id := range trades {
		if seen[id] {
			t.Errorf("trade %d came twice", id)
		}
		seen[id] = true
	}
	if len(seen) != len(tape.trades) {
		t.Errorf("%d trades of %d", len(seen), len(tape.trades))
	}
}

// Channels come and go while the session runs; each begins with its state at the clock.
func TestPastSubscriptionsComeAndGo(t *testing.T) {
	h := servePast(t, Options{})
	c := h.past(tapeQuery("5"), nil)
	id := c.pastNext("connected").SessionID
	if at, n := h.s.ReplayClock("enterprise", id); n != 1 || at != tapeStart.Micros() {
		t.Errorf("before the first subscription the clock stands at %d, %d sessions", at, n)
	}
	began := time.Now()
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	first := c.pastNext("subscribed/trade")
	if len(first.Trades) != 0 {
		t.Errorf("nothing had been traded at the start, got %s", first.raw)
	}
	for range 20 {
		c.pastNext("update/trade")
	}
	at, n := h.s.ReplayClock("enterprise", "")
	if n != 1 || at <= tapeStart.Micros()+4_000_000 || at > tapeStart.Micros()+model.Micros(5*time.Since(began).Microseconds()) {
		t.Errorf("after twenty trades the clock stands at %d", at-tapeStart.Micros())
	}
	if _, n := h.s.ReplayClock("somebody", id); n != 0 {
		t.Error("a session is shown to another account")
	}
	c.say(`{"type":"unsubscribe","channel":"trade/0"}`)
	last := uint64(20)
	for {
		f, err := c.pastRead()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == "unsubscribed" {
			break
		}
		for _, tr := range append(f.Trades, f.Liquidations...) {
			last = max(last, tr.ID)
		}
	}
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	again := c.pastNext("subscribed/trade")
	have := map[uint64]bool{}
	for _, tr := range append(again.Trades, again.Liquidations...) {
		have[tr.ID] = true
	}
	if !have[last] {
		t.Errorf("the state after trade %d does not hold it: %.200s", last, again.raw)
	}
	next := c.pastNext("update/trade")
	for _, tr := range append(next.Trades, next.Liquidations...) {
		if have[tr.ID] {
			t.Errorf("trade %d comes with the state and again", tr.ID)
		}
	}
}

// The silence of the hole is skipped, and the end of the range is the end of the session.
func TestPastPacing(t *testing.T) {
	h := servePast(t, Options{})
	c := h.past(fmt.Sprintf("start=%d&end=%d&speed=2&markets=0", tapeHole-1000, tapeResync+1000), nil)
	c.pastNext("connected")
	begin := time.Now()
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	c.pastAll()
	// 2 s of record at 2 is 1 s, and the grace before; the hole would be half a minute more.
	if took := time.Since(begin); took < 900*time.Millisecond || took > 30*time.Second {
		t.Errorf("2 s of record around a hole took %v at speed 2", took)
	}
	eventually(t, func() bool { _, n := h.s.ReplayClock("enterprise", ""); return n == 0 })
}

// What a plan does not allow, or nobody can mean, is refused in the venue's form before the socket closes.
func TestPastRefusals(t *testing.T) {
	free, starter := http.Header{"X-Api-Key": {"hlt_free"}}, http.Header{"X-Api-Key": {"hlt_starter"}}
	h := servePast(t, Options{})
	for name, tt := range map[string]struct {
		query  string
		header http.Header
		want   int
		close  closeCode
	}{
		"a bad key":        {tapeQuery("1"), http.Header{"X-Api-Key": {"hlt_nobody"}}, nativeInvalidAuth, closeAuth},
		"a plan without":   {tapeQuery("1"), free, nativeInvalidParam, closeRefused},
		"a speed too high": {tapeQuery("500"), starter, nativeInvalidParam, closePolicy},
		"max":              {tapeQuery("max"), starter, nativeInvalidParam, closePolicy},
		"no start":         {"markets=0", starter, nativeInvalidParam, closePolicy},
		"no such time":     {"start=yesterday", starter, nativeInvalidParam, closePolicy},
		"no such market":   {tapeQuery("1") + ",4711", starter, nativeInvalidParam, closePolicy},
		"a long window":    {fmt.Sprintf("start=%d&end=%d", int64(tapeStart)-30*day, tapeEnd), starter, nativeInvalidParam, closePolicy},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.past(tt.query, tt.header)
			c.t = t
			f, err := c.pastRead()
			if err != nil || f.Error == nil || f.Error.Code != tt.want {
				t.Fatalf("got %.300s, %v", f.raw, err)
			}
			c.expectClose(tt.close)
		})
	}
	one := h.past(tapeQuery("1"), starter)
	one.pastNext("connected")
	h.past(tapeQuery("1")+"&api_key=hlt_starter", nil).pastNext("connected")
	third := h.past(tapeQuery("1"), starter)
	if f, err := third.pastRead(); err != nil || f.Error == nil || f.Error.Code != nativeTooManyConns {
		t.Errorf("a third replay on starter: %.200s, %v", f.raw, err)
	}
	one.conn.Close()
	eventually(t, func() bool {
		f, err := h.past(tapeQuery("1"), starter).pastRead()
		return err == nil && f.Type == "connected"
	})
}

// Times may be written as the REST side reads them.
func TestPastTimes(t *testing.T) {
	s := servePast(t, Options{}).s
	plan := &access.DefaultPlans()[4]
	for _, text := range []string{"2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "1700000000000", "1700000000"} {
		for _, written := range []string{text, url.QueryEscape(text)} {
			r, err := s.parsePast("start="+written, plan)
			if err != nil || r.source.From != model.Millis(1_700_000_000_000) {
				t.Errorf("start=%s: %v, %v", written, r, err)
			}
		}
	}
	if _, err := s.parsePast("start=1700000000000&markets=0,x", plan); err == nil || !strings.Contains(err.Error(), "markets") {
		t.Errorf("markets=0,x: %v", err)
	}
}

// What a session of the past has sent is counted to the last frame.
func TestPastFramesAreCountedExactly(t *testing.T) {
	h := servePast(t, Options{})
	out, events := messagesOut.Get(), replayEvents.Get()
	c := h.past(tapeQuery("max"), nil)
	c.pastNext("connected")
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	n := uint64(len(c.pastAll()))
	eventually(t, func() bool { return h.onlyConn() == nil })
	if counted := replayEvents.Get() - events; counted != n {
		t.Errorf("%d events are counted, %d came", counted, n)
	}
	if counted := messagesOut.Get() - out; counted != n+1 {
		t.Errorf("%d messages are counted, %d came", counted, n+1)
	}
}

// panicking is a record that cannot be read without a panic.
type panicking struct {
	*taped
	trades bool // at once; else the books, once they are read
}

func (h *panicking) Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	if h.trades {
		panic("trades cannot be read")
	}
	return h.taped.Trades(ctx, m, sp, q)
}

func (h *panicking) BookAt(context.Context, model.MarketID, model.Micros) (*book.View, error) {
	panic("books cannot be read")
}

// A session that panics gives back all that its account has in use.
func TestPanickingPastHoldsNothing(t *testing.T) {
	for _, first := range []string{"height", "order_book/0", "trade/0"} {
		s := &panicking{taped: newTape(), trades: first != "order_book/0"}
		o := Options{Native: lighterNative(), History: s}
		h := serve(t, o)
		c := h.past(tapeQuery("max"), nil)
		c.pastNext("connected")
		c.say(`{"type":"subscribe","channel":"market_stats/0"}`)
		c.say(`{"type":"subscribe","channel":%q}`, first)
		c.expectClose(closeInternal)
		eventually(t, func() bool { return h.onlyConn() == nil })
		h.s.quota.mu.Lock()
		for account, used := range h.s.quota.used {
			t.Errorf("%s: %q still has %v in use", first, account, *used)
		}
		h.s.quota.mu.Unlock()
	}
}
