package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/feed/lighter"
	"hyperlight/ws"
)

// BenchmarkPastStream plays an hour of a sealed record at "max" in the venue's protocol: books and trades of one market
// over /replay/stream. The 200 ms that the clock waits for further subscriptions are in the time. The baseline writes
// as many bytes to a bare socket.
func BenchmarkPastStream(b *testing.B) {
	p := newPast(b, 3600)
	o := p.options
	o.Native = ws.Native{Book: lighter.AppendBookFrame, Trades: lighter.AppendTradeFrame, Stats: lighter.AppendMarketStatsFrame,
		AllStats: lighter.AppendMarketStatsAllFrame, Height: lighter.AppendHeightFrame, Connected: lighter.AppendConnectedFrame,
		Unsubscribed: lighter.AppendUnsubscribedFrame, Error: lighter.AppendErrorFrame, Pong: lighter.AppendPongFrame}
	s, err := ws.New(o)
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: s.Past}
	go srv.Serve(ln)
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.Close(ctx)
		_ = srv.ShutdownWithContext(ctx)
	})
	url := fmt.Sprintf("ws://%s/replay/stream?start=%d&end=%d&speed=max", ln.Addr(), p.from, p.to)
	play := func() (size, frames int) {
		conn, _, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		for _, channel := range []string{"order_book/0", "trade/0"} {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","channel":"`+channel+`"}`)); err != nil {
				b.Fatal(err)
			}
		}
		for range 3 { // connected and the two states: the clock has not started yet
			if _, _, err := conn.ReadMessage(); err != nil {
				b.Fatal(err)
			}
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn.NetConn()}, make([]byte, 256<<10))
		if err != nil {
			b.Fatal(err)
		}
		return int(n), int((p.to-p.from)/20) * 4 / 3 // an update each 20 ms, a trade to every third
	}
	size, frames := play()
	Compare(b, "frames", func() int { pour(b, size); return frames }, func() int { play(); return frames })
	b.ReportMetric(float64(size)/float64(frames), "B/frame")
}
