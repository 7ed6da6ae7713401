package ws

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// Batches of trades are what the same trades one by one are: the same messages in either form, and the same ones after
// any seq, as far as the ring reaches back.
func TestBatchesAreTheirMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 400).Draw(t, "ring frames")
		h := newHub(testMarkets{}, &Native{}, time.Now, Limits{RingFrames: most, RingBytes: 1 << 20, RingAge: time.Hour}.withDefaults())
		c, _ := h.channel("trade/0")
		c.activate()
		conn := &Conn{queue: newQueue(1<<20, 1<<30)}
		c.subs = []*subscription{{conn: conn}}
		var one [2][][]byte // each message in each form
		id := uint64(0)
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			b := &model.TradeBatch{Recovered: rapid.Bool().Draw(t, "recovered")}
			for range rapid.IntRange(1, 300).Draw(t, "trades") {
				id++
				b.Rows = append(b.Rows, model.Trade{ID: id, Price: 1, Size: 1, USD: 1})
			}
			now := time.UnixMilli(1_700_000_000_000)
			seq := c.seq
			c.trades(b, testMarketList[0], now)
			for i := range b.Rows {
				seq++
				f := tradeFrame{trade: &b.Rows[i], seq: seq, at: model.Millis(now.UnixMilli()), recovered: b.Recovered}
				payload, shared := appendTradeFrame(nil, c.name, testMarketList[0], f)
				single := &Frame{typed: newFrame(payload), shared: shared, channel: c}
				one[typed] = append(one[typed], single.bytes(typed))
				one[wrapped] = append(one[wrapped], single.bytes(wrapped))
			}
		}
		if got := conn.queue.waiting(); got != int(id) {
			t.Fatalf("%d frames wait, want %d", got, id)
		}
		as := format(rapid.IntRange(0, 1).Draw(t, "format"))
		var all []byte
		items, _, _ := conn.queue.take(make([]item, 0, 1<<12), 1<<30)
		for i := range items {
			if size := len(items[i].frame.typed); size > batchBytes+1024 {
				t.Fatalf("a frame of %d bytes", size)
			}
			all = append(all, items[i].frame.bytes(as)...)
		}
		if !bytes.Equal(all, bytes.Join(one[as], nil)) {
			t.Fatal("the batches differ from their messages")
		}
		// The state at the activation has seq 1, the first trade 2.
		seq := uint64(rapid.IntRange(1, int(c.seq)+1).Draw(t, "since"))
		out, messages, ok := c.since(seq, as)
		switch {
		case ok != (seq <= c.seq && c.seq-seq <= uint64(c.ring.messages)):
			t.Fatalf("since %d of %d with %d kept: %v", seq, c.seq, c.ring.messages, ok)
		case c.ring.messages-c.ring.entries[0].messages >= most || c.ring.messages < min(most, int(id)):
			t.Fatalf("the ring keeps %d frames, want %d", c.ring.messages, most)
		case !ok:
			return
		case messages != int(c.seq-seq) || !bytes.Equal(out, bytes.Join(one[as][seq-1:], nil)):
			t.Fatalf("since %d: %d messages that differ", seq, messages)
		}
	})
}

// A batch larger than the bounds does not close a connection that is not behind.
func TestQueueTakesAnythingWhenEmpty(t *testing.T) {
	q := newQueue(10, 100)
	big := item{frame: &Frame{more: 49}, size: 500}
	if r, n := q.push(big); r != pushed || n != 50 {
		t.Errorf("an empty queue: %v, %d", r, n)
	}
	if r, _ := q.push(item{size: 1}); r != pushFull {
		t.Errorf("behind it: %v", r)
	}
	q.take(make([]item, 0, 4), 1000)
	if q.waiting() != 0 || q.bytes != 0 {
		t.Errorf("%d frames and %d bytes are left", q.waiting(), q.bytes)
	}
}
