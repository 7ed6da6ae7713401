package ws

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// connModel is the state machine of a live connection in the plainest words of the contract's sections 3.2 to 3.8. Each
// step says what must come back, as words: the type, the code of an error, the channel.
type connModel struct {
	authed  bool
	limit   int // subscriptions
	held    map[string]int
	began   time.Time
	credit  time.Duration // of the message rate
	counted time.Time
	strikes int
	code    int // close code, 0 while open
}

func (m *connModel) close(code closeCode, words ...string) []string {
	m.code = int(code)
	return words
}

// pay takes one message from the rate: 30 a second, 60 at once.
func (m *connModel) pay(now time.Time) bool {
	const each = time.Second / 30
	m.credit = min(60*each, m.credit+now.Sub(m.counted))
	m.counted = now
	if m.credit < each {
		return false
	}
	m.credit -= each
	return true
}

// step is one thing that a client may say, and what an authenticated one gets for it.
type step struct {
	text string
	auth string // of an auth message: what a stranger gets for it
	want func(m *connModel) []string
}

func always(words ...string) func(*connModel) []string {
	return func(*connModel) []string { return words }
}

func subscribes(channel, members string, usd int, first ...string) step {
	return step{text: fmt.Sprintf(`{"type":"subscribe","channel":%q%s}`, channel, members), want: func(m *connModel) []string {
		name := channel
		if _, held := m.held[name]; !held && m.limit >= 0 && len(m.held) >= m.limit {
			return []string{"error " + codeSubscriptionLimit + " " + name}
		}
		m.held[name] = usd
		return append([]string{"subscribed " + name}, first...)
	}}
}

func unsubscribes(name string) step {
	return step{text: fmt.Sprintf(`{"type":"unsubscribe","channel":%q}`, name), want: func(m *connModel) []string {
		if _, held := m.held[name]; !held {
			return []string{"error " + codeNotSubscribed + " " + name}
		}
		delete(m.held, name)
		return []string{"unsubscribed " + name}
	}}
}

func modelSteps() []step {
	bad, invalid := "error "+codeBadRequest, "error "+codeInvalidChannel
	steps := []step{
		{text: `{"type":"ping"}`, want: always("pong")},
		{text: `{"type":"ping","more":[1]}`, want: always("pong")},
		{text: `{`, want: always(bad)}, {text: `[]`, want: always(bad)}, {text: `{"type":"nonsense"}`, want: always(bad)}, {text: `{}`, want: always(bad)},
		{text: `{"type":"replay","market_id":0,"start":1}`, want: always(bad)},
		{text: `{"type":"auth","api_key":"hlt_free"}`, auth: "free", want: always(bad)},
		{text: `{"type":"auth","api_key":"hlt_growth","format":"typed"}`, auth: "growth", want: always(bad)},
		{text: `{"type":"auth","token":"hlt_starter"}`, auth: "starter", want: always(bad)},
		{text: `{"type":"auth","api_key":"hlt_nobody"}`, auth: "nobody", want: always(bad)},
		{text: `{"type":"auth"}`, auth: "nobody", want: always(bad)},
		{text: `{"type":"auth","api_key":"hlt_expired"}`, auth: "expired", want: always(bad)},
		{text: `{"type":"auth","api_key":"hlt_free","format":"xml"}`, auth: "format", want: always(bad)},
		{text: `{"type":"subscribe","channel":"trade/99"}`, want: always(invalid + " trade/99")},
		{text: `{"type":"subscribe","channel":"nothing/0"}`, want: always(invalid + " nothing/0")},
		{text: `{"type":"unsubscribe","channel":"trade"}`, want: always(invalid + " trade")},
		{text: `{"type":"subscribe","channel":"liquidation_heatmap/0"}`, want: always(invalid + " liquidation_heatmap/0")},
		{text: `{"type":"subscribe","channel":"enriched_order_book/2","depth":0}`, want: always(bad + " enriched_order_book/2")},
		{text: `{"type":"subscribe","channel":"alert/0","whale_threshold":5}`, want: always(bad + " alert/0")},
		subscribes("enriched_order_book/2", "", 0), subscribes("enriched_order_book/2", `,"depth":5,"tick_size":"0.5"`, 0),
	}
	for _, mk := range []string{"/0", "/1"} {
		steps = append(steps, subscribes("order_book"+mk, "", 0, "order_book_update order_book"+mk),
			subscribes("order_book"+mk, `,"since":{"epoch":"x","seq":1}`, 0, "order_book_update order_book"+mk),
			subscribes("trade"+mk, "", 0), subscribes("enriched_trade"+mk, "", 0), subscribes("enriched_trade"+mk, `,"whale_threshold":1000`, 0),
			subscribes("alert"+mk, "", 100_000), subscribes("alert"+mk, `,"whale_threshold":"5000"`, 5000))
		for _, f := range []string{"order_book", "trade", "enriched_trade", "alert"} {
			steps = append(steps, unsubscribes(f+mk))
		}
	}
	return steps
}

// say is what the model answers to a message.
func (m *connModel) say(s step, now time.Time) []string {
	if !m.pay(now) {
		if m.strikes++; m.strikes == 3 {
			return m.close(closeRate, "error "+codeRateLimit)
		}
		return []string{"error " + codeRateLimit}
	}
	m.strikes = 0
	switch {
	case m.authed:
		return s.want(m)
	case s.auth == "":
		return m.close(closeAuth, "error "+codeUnauthorized)
	case s.auth == "format":
		return []string{"error " + codeBadRequest}
	case s.auth == "nobody":
		return m.close(closeAuth, "error "+codeUnauthorized)
	case s.auth == "expired":
		return m.close(closeRefused, "error "+codeForbidden)
	}
	m.authed, m.limit = true, map[string]int{"free": 5, "starter": 1000, "growth": 10_000}[s.auth]
	return []string{"authenticated"}
}

// pass is what time alone brings.
func (m *connModel) pass(now time.Time) []string {
	if !m.authed && now.Sub(m.began) >= 10*time.Second {
		return m.close(closeNoAuth, "error "+codeAuthTimeout)
	}
	return nil
}

// trades and so on are what an event brings to those who listen.
func (m *connModel) trades(mk string, n int) (out []string) {
	add := func(word, name string, worth int) {
		if usd, held := m.held[name]; held && usd <= worth {
			for range n {
				out = append(out, word+" "+name)
			}
		}
	}
	add("trade_update", "trade"+mk, 8001)
	add("data", "enriched_trade"+mk, 8001)
	add("data", "alert"+mk, 8001)
	return out
}

func (m *connModel) hole(mk string) (out []string) {
	for _, name := range []string{"order_book", "alert"} {
		if _, held := m.held[name+mk]; held {
			out = append(out, "gap "+name+mk)
		}
	}
	return append(out, m.update(mk)...)
}

func (m *connModel) update(mk string) []string {
	if _, held := m.held["order_book"+mk]; held {
		return []string{"order_book_update order_book" + mk}
	}
	return nil
}

// words is a frame as the model says it.
func words(f frame) string {
	s := f.Type
	if f.Code != "" {
		s += " " + f.Code
	}
	if f.Channel != "" {
		s += " " + f.Channel
	}
	return s
}

// Random conversations of a client, among events and the passing of time, against the model: every answer, its order and
// the close code. Every channel's frames are numbered without a hole.
func TestConnectionAgainstModel(t *testing.T) {
	steps := modelSteps()
	inBubble(t, Options{}, func(t *testing.T, _ *bubble) {
		rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) { // without the deadline, which a bubble does not have
			b := newBubble(t, Options{})
			defer b.close()
			makers := map[string]*maker{"/0": newMaker(b.s.Hub(), 0), "/1": newMaker(b.s.Hub(), 1)}
			for _, k := range makers {
				k.snapshot(level(99_00, 1))
			}
			p := b.dial("/ws", nil)
			now := time.Now()
			m := &connModel{held: map[string]int{}, began: now, counted: now, credit: 2 * time.Second}
			seqs := map[string]uint64{}
			check := func(what string, want []string) {
				var got []string
				for _, f := range p.take() {
					got = append(got, words(f))
					switch f.Type {
					case "subscribed":
						seqs[f.Channel] = f.Seq
					case "data", "gap", "trade_update", "order_book_update":
						if f.Seq != seqs[f.Channel]+1 {
							r.Fatalf("%s: seq %d follows %d: %s", what, f.Seq, seqs[f.Channel], f.raw)
						}
						seqs[f.Channel] = f.Seq
					}
				}
				if !slices.Equal(got, want) || p.closed() != m.code {
					r.Fatalf("%s:\n got %q, closed %d\nwant %q, closed %d", what, got, p.closed(), want, m.code)
				}
			}
			send := func(s step) {
				_ = p.conn.WriteMessage(websocket.TextMessage, []byte(s.text)) // a closed socket is seen by its code
				check(s.text, m.say(s, time.Now()))
			}
			if rapid.IntRange(0, 3).Draw(r, "begin") > 0 {
				send(steps[7+rapid.IntRange(0, 2).Draw(r, "key")])
			}
			for range rapid.IntRange(1, 60).Draw(r, "steps") {
				mk := rapid.SampledFrom([]string{"/0", "/1"}).Draw(r, "market")
				switch rapid.IntRange(0, 15).Draw(r, "what") {
				case 0:
					d := rapid.SampledFrom([]time.Duration{10, 40, 200, 1000, 3100, 11_000}).Draw(r, "pause") * time.Millisecond
					time.Sleep(d)
					check(fmt.Sprint("after ", d), m.pass(time.Now()))
				case 1:
					n := rapid.IntRange(1, 5).Draw(r, "trades")
					makers[mk].trades(n, model.TradeBatch{})
					check("trades", m.trades(mk, n))
				case 2:
					makers[mk].update(level(90_00+rapid.IntRange(1, 500).Draw(r, "price"), 7))
					check("update", m.update(mk))
				case 3:
					makers[mk].hole(level(98_00, 3))
					check("hole", m.hole(mk))
				case 4:
					for range rapid.IntRange(20, 70).Draw(r, "burst") {
						if m.code == 0 {
							send(steps[0])
						}
					}
				case 5:
					if rapid.IntRange(0, 9).Draw(r, "binary") == 0 {
						_ = p.conn.WriteMessage(websocket.BinaryMessage, []byte(steps[0].text))
						check("binary", m.close(closeBinary))
					}
				default:
					send(rapid.SampledFrom(steps).Draw(r, "step"))
				}
				if m.code != 0 {
					return
				}
			}
		})
	})
}
