package ws

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/fasthttp/websocket"

	"hyperlight/bench"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// longTape is a record of 400,000 updates and 100,000 trades of market 0 in memory.
func longTape() *taped {
	h := &taped{}
	for i := range 400_000 {
		at := tapeStart.Micros() + model.Micros(i)*20_000
		u := model.BookUpdate{Snapshot: i == 0, Prev: uint64(i), Seq: uint64(i + 1)}
		for j := range 3 {
			u.Bids = append(u.Bids, model.Level{Price: num.Price(9_999 - (i+j)%60), Size: num.Size(1 + i%1000)})
			u.Asks = append(u.Asks, model.Level{Price: num.Price(10_001 + (i+j)%60), Size: num.Size(1 + i%1000)})
		}
		h.rows = append(h.rows, record.BookRow{Update: u, Time: at.Millis(), Recv: at})
		if i%4 == 0 {
			h.trades = append(h.trades, model.Trade{ID: uint64(i + 1), Time: at.Millis(), Recv: at + 9, Price: 10_000, Size: 5, USD: 12345, AskAccount: 5, BidAccount: 77})
		}
	}
	last := h.rows[len(h.rows)-1].Recv + 1
	h.held = []history.Interval{{From: tapeStart.Micros() - 1, To: last}}
	h.gap = model.Gap{From: -2, To: -1}
	return h
}

// BenchmarkReplaySocket replays at "max" over one loopback socket from a record in memory; the client only counts. The
// baseline writes as many bytes to a bare socket, 16 KiB at a time.
func BenchmarkReplaySocket(b *testing.B) {
	h := serve(b, Options{History: sharedTape(), Native: lighterNative()})
	for _, x := range []struct{ name, members string }{
		{"event/trades", `"include":["trade"]`},
		{"event/ticks", `"include":["trade","order_book"]`},
		{"event/seconds", `"include":["trade","orderbook_snapshot"]`},
		{"live", `"format":"live"`},
		{"native", `"format":"native"`},
	} {
		b.Run(x.name, func(b *testing.B) {
			sent, size := h.replayToEnd(b, x.members)
			bench.Compare(b, "events", func() int {
				pour(b, size)
				return int(sent)
			}, func() int {
				sent, _ := h.replayToEnd(b, x.members)
				return int(sent)
			})
			b.ReportMetric(float64(size)/float64(sent), "B/event")
		})
	}
}

// replayToEnd runs a replay over a socket of its own.
func (h *harness) replayToEnd(b *testing.B, members string) (sent uint64, size int) {
	d := websocket.Dialer{}
	conn, _, err := d.Dial("ws://"+h.addr+"/ws/replay", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	start := fmt.Appendf(nil, `{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":"max",%s}`, tapeStart, int64(tapeStart)+400_000*20, members)
	if err := conn.WriteMessage(websocket.TextMessage, start); err != nil {
		b.Fatal(err)
	}
	return countToEnd(b, conn.NetConn())
}

// pour sends size bytes over a socket of its own and reads them.
func pour(b *testing.B, size int) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		piece := make([]byte, 16<<10)
		for left := size; left > 0; left -= len(piece) {
			if _, err := c.Write(piece[:min(left, len(piece))]); err != nil {
				return
			}
		}
	}()
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 256<<10)
	for got := 0; got < size; {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		got += n
	}
}

// countToEnd reads until replay_complete and returns its count.
func countToEnd(b *testing.B, r io.Reader) (events uint64, size int) {
	buf := make([]byte, 256<<10)
	tail := ""
	for {
		n, err := r.Read(buf)
		if err != nil {
			b.Fatalf("socket ended: %v", err)
		}
		size += n
		tail = (tail + string(buf[max(0, n-128):n]))
		tail = tail[max(0, len(tail)-128):]
		if i := strings.Index(tail, `"events_sent":`); i >= 0 && strings.HasSuffix(tail, "}") {
			fmt.Sscan(strings.TrimSuffix(tail[i+14:], "}"), &events)
			return events, size
		}
	}
}
