package ws

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fasthttp/websocket"

	"hyperlight/bench"
	"hyperlight/engine/book"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
)

// BenchmarkNativeFanOut publishes bursts of book updates to clients of /stream. The baseline writes the same bytes to as
// many bare sockets, one write per socket and burst.
func BenchmarkNativeFanOut(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { nativeFanOut(b, n) })
	}
}

func nativeFanOut(b *testing.B, n int) {
	h := serve(b, Options{Native: lighterNative(), AllowAnonymous: true, Limits: Limits{QueueFrames: 1 << 14, ConflateAt: 1 << 14}})
	m := testMarketList[0]
	first := model.BookUpdate{Snapshot: true, Seq: 1_000_000_000, Offset: 1_000_000_000, UpdatedAt: 1_785_000_000_000_000, Chained: true,
		Bids: []model.Level{level(100, 5)}, Asks: []model.Level{level(1000, 5)}}
	k := book.New()
	if err := k.Apply(&first, 1_785_000_000_000, 1); err != nil {
		b.Fatal(err)
	}
	hub := h.s.Hub()
	hub.OnEvent(&model.Event{Time: 1_785_000_000_000, Payload: &first}, k.View())
	d := &drains{reached: make(chan struct{}, 1)}
	var conns []*websocket.Conn
	for range n {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+h.addr+"/stream", nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","channel":"order_book/0"}`)); err != nil {
			b.Fatal(err)
		}
		for text := ""; !strings.Contains(text, "subscribed/order_book"); {
			_, raw, err := conn.ReadMessage()
			if err != nil {
				b.Fatal(err)
			}
			text = string(raw)
		}
		conns = append(conns, conn)
	}
	for _, c := range conns {
		d.read(c.NetConn())
	}
	seq := first.Seq
	next := func() *model.BookUpdate {
		u := &model.BookUpdate{Prev: seq, Seq: seq + 1, Offset: seq, UpdatedAt: first.UpdatedAt, Chained: true}
		for i := range 5 {
			u.Bids = append(u.Bids, level(100-i, 1+int(seq)%9))
		}
		seq++
		return u
	}
	size := len(newFrame(lighter.AppendBookFrame(nil, m, 0, next(), 1_785_000_000_000)))
	seq = first.Seq
	ours := func() int {
		d.got.Store(0)
		d.want.Store(int64(n * burst * size))
		for range burst {
			u := next()
			if err := k.Apply(u, 1_785_000_000_000, 1); err != nil {
				b.Fatal(err)
			}
			hub.OnEvent(&model.Event{Time: 1_785_000_000_000, Payload: u}, k.View())
		}
		<-d.reached
		return n * burst
	}
	bare, done := bareBytes(b, n, bytes.Repeat(make([]byte, size), burst))
	defer done()
	bench.Compare(b, "deliveries", bare, ours)
	b.ReportMetric(float64(size), "B/frame")
	for _, c := range conns {
		c.Close()
	}
	d.wg.Wait()
}
