package ws

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/bench"
	"hyperlight/engine/model"
)

// burst is how many trades are published at once: the frames of a busy moment.
const burst = 100

// BenchmarkFanOut delivers bursts of trades to subscribers on loopback sockets. The baseline writes the same bytes to as
// many sockets, one goroutine and one write per socket and burst, which is the best that any hub could do. The peer
// "channels" is the usual hub (channelHub), over our own sockets. The clients read in the same process.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ours, _, closeOurs := hubTurn(b, n)
			defer closeOurs()
			bare, closeBare := bareTurn(b, n)
			defer closeBare()
			bench.Compare(b, "deliveries", bare, ours)
		})
	}
	b.Run("1000/channels", func(b *testing.B) {
		ours, channels, done := hubTurn(b, 1000)
		defer done()
		bench.Compare(b, "deliveries", channels, ours)
	})
}

// drains counts the bytes that clients have read and tells when enough have come.
type drains struct {
	got, want atomic.Int64
	reached   chan struct{}
	wg        sync.WaitGroup
}

func (d *drains) read(conn net.Conn) {
	d.wg.Go(func() {
		buf := make([]byte, 16<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if got := d.got.Add(int64(n)); got >= d.want.Load() && got-int64(n) < d.want.Load() {
				d.reached <- struct{}{}
			}
		}
	})
}

// hubTurn publishes a burst to n subscribers and waits until all have read it; peer does so through a channelHub.
func hubTurn(b *testing.B, n int) (turn, peer func() int, done func()) {
	h := serve(b, Options{Limits: Limits{QueueFrames: 1 << 14}})
	k := newMaker(h.s.Hub(), 0)
	d := &drains{reached: make(chan struct{}, 1)}
	k.trade = 1_000_000_000 // ids of one length
	var conns []*client
	for range n {
		c := h.local("/ws")
		c.say(`{"type":"subscribe","channel":"trade/0"}`)
		c.expect("subscribed")
		conns = append(conns, c)
	}
	// A frame's length depends on the digits of its seq and nothing else: the first one tells the rest.
	k.trades(1, model.TradeBatch{})
	var first frame
	for _, c := range conns {
		first = c.expect("trade_update")
	}
	seq, fixed := first.Seq, len(newFrame([]byte(first.raw)))-len(fmt.Sprint(first.Seq))
	for _, c := range conns {
		d.read(c.conn.NetConn())
	}
	turn = func() int {
		size := burst * fixed
		for range burst {
			seq++
			size += len(strconv.FormatUint(seq, 10))
		}
		d.got.Store(0)
		d.want.Store(int64(n * size))
		k.trades(burst, model.TradeBatch{})
		<-d.reached
		return n * burst
	}
	channels := newChannelHub(h.s)
	peer = func() int {
		d.got.Store(0)
		d.want.Store(int64(n * burst * len(newFrame([]byte(first.raw)))))
		for range burst {
			channels.publish([]byte(first.raw))
		}
		<-d.reached
		return n * burst
	}
	return turn, peer, func() {
		channels.close()
		for _, c := range conns {
			c.conn.Close()
		}
		d.wg.Wait()
	}
}

// bareTurn writes the bytes of a burst of trades to n sockets and waits until all have been read.
func bareTurn(b *testing.B, n int) (turn func() int, done func()) {
	ch := &channel{name: "trade/0"}
	k := model.Trade{ID: 1_000_000_000, Time: 1700000000123, Price: 320050, Size: 25000, USD: 8001250000, AskAccount: 42, BidAccount: 99,
		AskOrder: 281476000000001, BidOrder: 281476000000002, TxHash: "ab", Block: 7}
	payload, _ := appendTradeFrame(nil, ch.name, testMarketList[0], tradeFrame{trade: &k, seq: 2000, at: 1700000000200})
	return bareBytes(b, n, bytes.Repeat(newFrame(payload), burst))
}

// bareBytes writes a piece to n sockets, a burst at a time.
func bareBytes(b *testing.B, n int, piece []byte) (turn func() int, done func()) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	d := &drains{reached: make(chan struct{}, 1)}
	var work []chan struct{}
	var conns []net.Conn
	var writers sync.WaitGroup
	for range n {
		c, err := net.Dial("tcp4", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		d.read(c)
		todo := make(chan struct{}, 1)
		writers.Go(func() {
			for range todo {
				server.Write(piece)
			}
		})
		work, conns = append(work, todo), append(conns, c, server)
	}
	turn = func() int {
		d.got.Store(0)
		d.want.Store(int64(n * len(piece)))
		for _, w := range work {
			w <- struct{}{}
		}
		<-d.reached
		return n * burst
	}
	return turn, func() {
		for _, w := range work {
			close(w)
		}
		writers.Wait()
		for _, c := range conns {
			c.Close()
		}
		d.wg.Wait()
	}
}

// BenchmarkClientMemory measures what an idle subscriber costs: heap and stacks, the client's own socket included. The
// baseline is a bare socket with a goroutine that reads from it; ratio is its bytes by ours. Nearly half are the buffer
// that the handshake was read into: an upgraded connection keeps it. A listener for sockets alone gives it back
// (ReduceMemoryUsage), which takes 17 kB off; on the listener of all paths that would cost each request a read more.
func BenchmarkClientMemory(b *testing.B) {
	const n = 500
	h := serve(b, Options{})
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	h.plain(b, "trade/0").Close() // what the first connection starts stays
	idle := runtime.NumGoroutine()
	for b.Loop() {
		var took [2]float64
		for i, open := range []func() net.Conn{
			func() net.Conn { return bareClient(b, ln) },
			func() net.Conn { return h.plain(b, "trade/0") },
		} {
			var conns []net.Conn
			before := memoryNow()
			for range n {
				conns = append(conns, open())
			}
			took[i] = (memoryNow() - before) / n
			for _, c := range conns {
				c.Close()
			}
			// The next measurement must not see these connections end.
			for until := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > idle && time.Now().Before(until); {
				time.Sleep(time.Millisecond)
			}
		}
		b.ReportMetric(took[1], "B/client")
		b.ReportMetric(took[0], "bare-B/client")
		b.ReportMetric(took[0]/took[1], "ratio")
	}
}

// bareClient is a connection whose server side only waits for bytes.
func bareClient(b *testing.B, ln net.Listener) net.Conn {
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		_, _ = server.Read(make([]byte, 512)) // ends with the client
		server.Close()
	}()
	return c
}

// plain subscribes over a socket without a library, whose memory would be counted too.
func (h *harness) plain(b testing.TB, channels ...string) net.Conn {
	c, err := net.Dial("tcp4", h.addr)
	if err != nil {
		b.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 1024)
	await := func(words string, times int) {
		for bytes.Count(got, []byte(words)) < times {
			n, err := c.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
	}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", h.addr)
	await(`"authenticated"`, 1)
	for _, name := range channels {
		msg := `{"type":"subscribe","channel":"` + name + `"}`
		c.Write(append([]byte{0x81, 0x80 | byte(len(msg)), 0, 0, 0, 0}, msg...)) // masked with zeros
	}
	await(`"subscribed"`, len(channels))
	return c
}
