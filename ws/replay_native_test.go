package ws

import (
	"fmt"
	"testing"

	"hyperlight/engine/model"
)

// In format native a frame is what the venue's encoder wrote and nothing else; holes are told in between, at their place.
func TestReplayNativeFormat(t *testing.T) {
	native := Native{
		Book: func(dst []byte, m *model.Market, epoch uint8, u *model.BookUpdate, at model.Millis) []byte {
			kind := "update"
			if u.Snapshot {
				kind = "subscribed"
			}
			return fmt.Appendf(dst, `{"type":%q,"channel":"order_book:%d","nonce":%d,"seq":%d}`, kind, m.Native, u.Seq, len(u.Bids))
		},
		Trades: func(dst []byte, m *model.Market, b *model.TradeBatch) []byte {
			return fmt.Appendf(dst, `{"type":"trade","channel":"trade:%d","seq":%d}`, m.Native, b.Rows[0].ID*uint64(len(b.Rows)))
		},
	}
	h := serveTape(t, Options{Native: native})
	c := h.local("/ws/replay")
	c.startAll(`,"format":"native"`)
	started, events, end := c.replayed()
	if end.Type != "replay_complete" || end.Sent != uint64(len(events)) {
		t.Fatalf("%s ... %s after %d", started.raw, end.raw, len(events))
	}
	count, trade, synced := map[string]int{}, uint64(0), false
	for _, e := range events {
		count[e.Type]++
		if e.TS != 0 || e.ReplayTS != 0 {
			t.Fatalf("a member of ours in %s", e.raw)
		}
		switch e.Type {
		case "trade":
			if e.Seq != trade+1 {
				t.Fatalf("trade %d follows %d", e.Seq, trade)
			}
			trade = e.Seq
		case "gap":
			if e.Channel == "order_book:0" {
				synced = false
			}
			if e.From == 0 || e.Reason == "" {
				t.Errorf("got %s", e.raw)
			}
		case "subscribed":
			synced = true
		case "update":
			if !synced {
				t.Fatalf("an update before the whole book: %s", e.raw)
			}
		}
	}
	if trade != 160 || count["subscribed"] != 2 || count["update"] == 0 || count["gap"] != 2 {
		t.Errorf("got %v", count)
	}
	// depth cuts the whole book only.
	c.startAll(`,"format":"native","include":["order_book"],"depth":1`)
	_, events, _ = c.replayed()
	if f := events[0]; f.Type != "subscribed" || f.Seq != 1 {
		t.Errorf("got %s", f.raw)
	}
}
