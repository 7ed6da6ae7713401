package ws

import (
	"slices"
	"strings"
	"testing"
)

// The same client beside itself: one talks to the venue, one to us. Answers are the same bytes; so is every update that
// both have got, and neither has a hole where they overlap.
func TestStreamSpeaksAsTheVenueDoes(t *testing.T) {
	r := followVenue(t, nil)
	theirs, ours := dialNative(t, r.venue+"/stream"), dialNative(t, r.addr+"/stream")
	channels := []string{"order_book:0", "trade:0", "market_stats:0", "market_stats:all", "height"}
	for _, c := range []*nativeClient{theirs, ours} {
		for _, ch := range channels {
			c.say(`{"type":"subscribe","channel":%q}`, strings.Replace(ch, ":", "/", 1))
		}
	}
	for _, ch := range channels {
		isUpdate := func(f *nativeFrame) bool {
			// Of all markets the rows of one keep their order: each market has its own shard.
			other := ch == "market_stats:all" && !strings.Contains(f.raw, `"market_stats":{"0":`)
			return f.Channel == ch && strings.HasPrefix(f.Type, "update/") && !other
		}
		for _, c := range []*nativeClient{theirs, ours} {
			if f := c.await(ofChannel(ch)); !strings.HasPrefix(f.Type, "subscribed/") {
				t.Fatalf("%s begins with %.200s", ch, f.raw)
			}
			n := 0
			c.await(func(f *nativeFrame) bool {
				if isUpdate(f) {
					n++
				}
				return n >= 5
			})
		}
		a, b := texts(theirs.kept(isUpdate)), texts(ours.kept(isUpdate))
		if both := overlap(a, b); both < 2 {
			t.Errorf("%s: only %d updates in common\nvenue %.300s\nours  %.300s", ch, both, a[0], b[0])
		}
	}
	// What has a state of the same moment in both is the same text: the book after equal nonces.
	ours.chained("order_book:0")

	script := []string{
		`{"type":"ping"}`,
		`{"type":"subscribe","channel":"order_book/0"}`,
		`{"type":"subscribe","channel":"height"}`,
		`{"type":"subscribe","channel":"market_stats/all"}`,
		`{"type":"unsubscribe","channel":"trade/1"}`,
		`{"type":"unsubscribe","channel":"height"}`,
		`{"type":"unsubscribe","channel":"height"}`,
		`{"type":"subscribe","channel":"order_book/x"}`,
		`{"type":"subscribe","channel":"trade/99999"}`,
		`{"type":"subscribe","channel":"not_a_channel/0"}`,
		`{"type":"subscribe","channel":7}`,
		`{"type":"nonsense"}`,
		`{}`,
		`[]`,
		`not json at all`,
		`{"type":"subscribe","channel":"account_tx/1"}`,
		`{"type":"subscribe","channel":"account_all_orders/1","auth":"garbage"}`,
		`{"type":"unsubscribe","channel":"order_book/0"}`,
		`{"type":"ping"}`,
	}
	want, got := theirs.answers(script), ours.answers(script)
	for i := range script {
		if got[i] != want[i] {
			t.Errorf("%s\nours  %s\nvenue %s", script[i], got[i], want[i])
		}
	}
}

func texts(frames []nativeFrame) (out []string) {
	for _, f := range frames {
		out = append(out, f.raw)
	}
	return out
}

// overlap returns how long the end of one list is the beginning of the other, or one lies within the other.
func overlap(a, b []string) int {
	if i := slices.Index(a, b[0]); i >= 0 {
		n := min(len(a)-i, len(b))
		if slices.Equal(a[i:i+n], b[:n]) {
			return n
		}
		return 0
	}
	if i := slices.Index(b, a[0]); i >= 0 {
		n := min(len(b)-i, len(a))
		if slices.Equal(b[i:i+n], a[:n]) {
			return n
		}
	}
	return 0
}

// chained checks every link of a channel's nonces.
func (c *nativeClient) chained(channel string) {
	c.t.Helper()
	var last uint64
	for i, f := range c.kept(ofChannel(channel)) {
		if f.Type == "subscribed/order_book" {
			if f.Book.Begin != 0 {
				c.t.Fatalf("frame %d: a first frame with begin_nonce %d", i, f.Book.Begin)
			}
		} else if f.Book.Begin != last {
			c.t.Fatalf("frame %d begins at %d behind %d", i, f.Book.Begin, last)
		}
		last = f.Book.Nonce
	}
}
