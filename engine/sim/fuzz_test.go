package sim

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzRecordingLine reads arbitrary lines and applies those that count as frames; nothing may panic.
func FuzzRecordingLine(f *testing.F) {
	f.Add([]byte(`{"seq":1,"recv_us":1760041996606618,"msg":{"channel":"trade:0","trades":null,"type":"update/trade"}}`))
	f.Add([]byte(`{"captured_at":"2025-10-12T18:50:33.161175","frame":{"channel":"height","height":1,"type":"subscribed/height"}}`))
	f.Add([]byte(`{"channel":"order_book:1","order_book":{"asks":[{"price":"1.0","size":"x"}],"bids":null},"type":"update/order_book"}`))
	f.Add([]byte(`{"channel":"market_stats:all","market_stats":{"0":{"symbol":"ETH"}},"type":"subscribed/market_stats"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, ok := parseLine(line)
		if !ok {
			return
		}
		s := newHeldState()
		s.apply(&l)
		c := &Capture{hub: newHub(), opts: CaptureOptions{KeepTime: true}, lines: []recorded{l}, state: s}
		c.list()
		ch, e := parseKey(l.channel)
		if e != nil || c.open(ch) != nil {
			return
		}
		if out := c.snapshot(nil, ch); !json.Valid(out) {
			t.Fatalf("answer to a subscribe is no JSON: %s", out)
		}
	})
}

// FuzzShiftTimes shifts arbitrary text there and back by whole hours: what is valid stays valid, and no byte is lost.
func FuzzShiftTimes(f *testing.F) {
	f.Add([]byte(`{"timestamp":1760041996048,"a":"\"timestamp\":1760041996048","t":1776583920000}`))
	f.Add([]byte(`{"last_updated_at" : 1776613884508897,"timestamp":"1760041996048"}`))
	f.Add([]byte(`"timestamp`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		out := shiftTimes(nil, frame, 3*hourMicros)
		if json.Valid(frame) != json.Valid(out) {
			t.Fatalf("%q became %q", frame, out)
		}
		if same := shiftTimes(nil, frame, 0); !bytes.Equal(same, frame) {
			t.Fatalf("%q became %q without a shift", frame, same)
		}
	})
}

// FuzzChannel parses arbitrary channel names: a name that is accepted comes back with colons for slashes.
func FuzzChannel(f *testing.F) {
	for _, s := range []string{"order_book/0", "candle/0/1m", "account_market/1/2", "market_stats/all", "height", "trade/9223372036854775808", "/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ch, e := parseChannel(name)
		if e != nil {
			return
		}
		if ch.key != strings.ReplaceAll(name, "/", ":") || families[ch.family] == (family{}) && ch.family != "height" {
			t.Fatalf("%q became %+v", name, ch)
		}
	})
}

// FuzzClientMessage answers arbitrary client messages on a connection without a socket: one finished frame or none.
func FuzzClientMessage(f *testing.F) {
	x := New(Options{Seed: 1, Markets: 2, Accounts: 5, Start: testStart})
	f.Add([]byte(`{"type":"subscribe","channel":"order_book/0"}`))
	f.Add([]byte(`{"type":"unsubscribe","channel":"trade/1"}`))
	f.Add([]byte(`{"type":"jsonapi/sendtxbatch","data":{"tx_types":"[14]","tx_infos":"[\"{}\"]"}}`))
	f.Add([]byte(`{"type":"ping"}`))
	f.Add([]byte(`not json`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		s := &server{src: x, limits: Limits{}.withDefaults(), clients: clients{m: map[string]*client{}}}
		c := &conn{srv: s, held: map[string]channel{}, accounts: map[int64]int{}, wake: make(chan struct{}, 1)}
		(&dialogue{c: c}).answer(msg)
		if len(c.queue) > 1 {
			t.Fatalf("%d answers to %q", len(c.queue), msg)
		}
		for key := range c.held {
			x.hub.leave(key, c)
		}
	})
}
