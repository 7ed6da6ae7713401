package ws

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// The plans' numbers of connections, over all paths: the one beyond is told so and closed with 4009, and a slot that is
// given back can be taken again.
func TestConnectionLimitsOfThePlans(t *testing.T) {
	limits := map[string]int{"free": 1, "starter": 50, "growth": 500, "scale": 1000, "enterprise": -1}
	s := unserved(t, Options{})
	for _, p := range access.DefaultPlans() {
		who := &access.Principal{Plan: &p, Account: p.Slug}
		n := 0
		for n < 1500 && s.quota.take(who, slotConnection) {
			n++
		}
		if want, known := limits[p.Slug]; !known || n != want && (want != -1 || n != 1500) {
			t.Errorf("%s has %d connections", p.Slug, n)
		}
		s.quota.give(who, slotConnection)
		if !s.quota.take(who, slotConnection) {
			t.Errorf("%s: a slot that was given back is not there", p.Slug)
		}
	}
	inBubble(t, Options{}, func(t *testing.T, b *bubble) {
		key := http.Header{"X-Api-Key": {"hlt_starter"}}
		var held []*peer
		for i := range 50 {
			p := b.dial([]string{"/ws", "/ws/replay"}[i%2], key)
			p.only("authenticated")
			held = append(held, p)
		}
		late := b.dial("/ws", key)
		if f := late.only("error"); f.Code != codeConnectionLimit || late.closed() != int(closeLimit) {
			t.Errorf("got %s, closed with %d", f.raw, late.closed())
		}
		held[0].conn.Close()
		b.dial("/ws", key).only("authenticated")
	})
}

// Every data frame of every channel has its channel, a timestamp and a seq, in both formats.
func TestEveryDataFrameIsNamedAndTimed(t *testing.T) {
	maps := &fakeHeatmaps{data: []byte(`{"a":1}`)}
	for _, as := range []string{"typed", "data"} {
		inBubble(t, Options{Heatmaps: maps}, func(t *testing.T, b *bubble) {
			k := newMaker(b.s.Hub(), 0)
			k.snapshot(level(99_00, 1))
			p := b.dial("/ws", nil)
			p.say(`{"type":"auth","api_key":"hlt_growth","format":%q}`, as)
			seen := map[string]bool{}
			for _, f := range families {
				p.say(`{"type":"subscribe","channel":"%s/0","whale_threshold":1000}`, f.name)
			}
			for _, f := range families {
				got := p.say(`{"type":"subscribe","channel":"%s/0","whale_threshold":1000}`, f.name)
				k.trades(1, model.TradeBatch{})
				k.update(level(99_00, 5))
				for _, f := range append(got[1:], p.take()...) {
					var all map[string]json.RawMessage
					if err := json.Unmarshal([]byte(f.raw), &all); err != nil {
						t.Fatal(err)
					}
					own := f.Type == "data"
					if wantOwn := as == "data" || strings.HasPrefix(f.Channel, "enriched") || strings.HasPrefix(f.Channel, "alert") || strings.HasPrefix(f.Channel, "liq"); own != wantOwn {
						t.Errorf("%s is of the wrong type", f.raw)
					}
					if own && all["data"] == nil || f.Timestamp == 0 || f.Seq == 0 || !strings.HasSuffix(f.Channel, "/0") {
						t.Errorf("got %s", f.raw)
					}
					seen[f.Channel] = true
				}
			}
			if len(seen) != len(families) {
				t.Errorf("frames of %v only", seen)
			}
		})
	}
}

// A client that does not read for a while gets an enriched book's newest state, and each alert.
func TestEnrichedBooksConflate(t *testing.T) {
	s := unserved(t, Options{Limits: Limits{ConflateAt: 5}})
	k := newMaker(s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	q := newQueueClient(s, "growth")
	q.say(`{"type":"subscribe","channel":"enriched_order_book/0"}`)
	q.say(`{"type":"subscribe","channel":"alert/0","whale_threshold":1000}`)
	q.take()
	c := q.live.subs["enriched_order_book/0"].ch
	for i := range 20 {
		c.mu.Lock()
		c.set.next = c.hub.now() // as if a second had passed
		c.mu.Unlock()
		k.update(level(99_00, 1_000_000*(i+2)))
	}
	books, alerts := 0, 0
	var last enrichedJSON
	for _, b := range q.take() {
		var f frame
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.raw = string(b); f.Channel == "alert/0" {
			alerts++
		} else {
			books++
			last = f.enriched(t)
		}
	}
	if alerts != 20 || books > 4 || last.Nonce != k.seq || !last.Snapshot {
		t.Errorf("%d alerts, %d books, the last one of nonce %d, want %d", alerts, books, last.Nonce, k.seq)
	}
}
