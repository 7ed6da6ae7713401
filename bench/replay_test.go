package bench

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/ws"
)

// replayed are the requests that are measured.
var replayed = []struct {
	name, format string
	include      []string
}{
	{"trades", "event", []string{"trade"}},
	{"seconds", "event", []string{"trade", "orderbook_snapshot"}},
	{"ticks", "event", []string{"trade", "order_book"}},
	{"live", "live", []string{"trade", "order_book"}},
	{"native", "native", []string{"trade", "order_book"}},
}

// BenchmarkReplay replays an hour of a sealed record at "max" over one socket, over four at once, and into a file. A
// client only counts bytes. The baseline writes as many bytes to bare sockets, or to a file, in pieces of 64 KiB.
func BenchmarkReplay(b *testing.B) {
	p := newPast(b, 3600)
	for _, x := range replayed {
		b.Run("socket/"+x.name, func(b *testing.B) { p.compare(b, 1, x.format, x.include) })
	}
	for _, x := range []int{1, 4} {
		b.Run("four/"+replayed[x].name, func(b *testing.B) { p.compare(b, 4, replayed[x].format, replayed[x].include) })
	}
	for _, x := range replayed {
		b.Run("file/"+x.name, func(b *testing.B) {
			var size int64
			var events uint64
			ours := func() int {
				f := tempFile(b)
				defer f.Close()
				n, err := ws.PlayOffline(b.Context(), p.options, ws.Offline{Start: fmt.Sprint(int64(p.from)), End: fmt.Sprint(int64(p.to)),
					Speed: "max", Format: x.format, Include: x.include}, f)
				if err != nil {
					b.Fatal(err)
				}
				events = n
				if size, err = f.Seek(0, io.SeekCurrent); err != nil {
					b.Fatal(err)
				}
				return int(n)
			}
			ours()
			Compare(b, "events", func() int {
				f := tempFile(b)
				defer f.Close()
				pourInto(f, int(size))
				return int(events)
			}, ours)
		})
	}
}

// compare measures n replays at once against n bare sockets.
func (p *past) compare(b *testing.B, n int, format string, include []string) {
	events, size := p.replay(b, format, include)
	Compare(b, "events", func() int {
		together(n, func() { pour(b, size) })
		return n * int(events)
	}, func() int {
		together(n, func() { p.replay(b, format, include) })
		return n * int(events)
	})
	b.ReportMetric(float64(size)/float64(events), "B/event")
}

func together(n int, do func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(do)
	}
	wg.Wait()
}

// replay plays the whole record over a socket of its own.
func (p *past) replay(b *testing.B, format string, include []string) (events uint64, size int) {
	conn := p.dial(b)
	defer conn.Close()
	start := fmt.Appendf(nil, `{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":"max","format":%q,"include":["%s"]}`,
		p.from, p.to, format, strings.Join(include, `","`))
	if err := conn.WriteMessage(websocket.TextMessage, start); err != nil {
		b.Error(err)
		return 0, 0
	}
	return countToEnd(b, conn.NetConn())
}

// countToEnd reads until replay_complete and returns its count.
func countToEnd(b *testing.B, r io.Reader) (events uint64, size int) {
	buf := make([]byte, 256<<10)
	tail := ""
	for {
		n, err := r.Read(buf)
		if err != nil {
			b.Errorf("socket ended: %v", err)
			return 0, 0
		}
		size += n
		tail += string(buf[max(0, n-128):n])
		tail = tail[max(0, len(tail)-128):]
		if i := strings.Index(tail, `"events_sent":`); i >= 0 && strings.HasSuffix(tail, "}") {
			fmt.Sscan(strings.TrimSuffix(tail[i+14:], "}"), &events)
			return events, size
		}
	}
}

func pourInto(w io.Writer, size int) {
	piece := make([]byte, 64<<10)
	for left := size; left > 0; left -= len(piece) {
		if _, err := w.Write(piece[:min(left, len(piece))]); err != nil {
			return
		}
	}
}

// pour sends size bytes over a socket of its own and reads them.
func pour(b *testing.B, size int) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Error(err)
		return
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		pourInto(c, size)
	}()
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10)); err != nil {
		b.Error(err)
	}
}

func tempFile(b *testing.B) *os.File {
	f, err := os.Create(filepath.Join(b.TempDir(), "replay"))
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkReplayFirst measures the time from the replay message to the first event on an open connection, at a random
// moment of the record. The baseline is a refused message, which only makes the way.
func BenchmarkReplayFirst(b *testing.B) {
	p := newPast(b, 3600)
	for _, x := range replayed {
		b.Run(x.name, func(b *testing.B) {
			conn := p.dial(b)
			defer conn.Close()
			var first, bare []time.Duration
			ask := func(until, text string, args ...any) time.Duration {
				began := time.Now()
				if err := conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, text, args...)); err != nil {
					b.Fatal(err)
				}
				return waitFor(b, conn, until).Sub(began)
			}
			for at, n := p.from, 0; b.Loop(); n++ {
				at = p.from + (at-p.from+7_777_777)%(p.to-p.from-1000)
				bare = append(bare, ask(`"error"`, `{"type":"replay"}`))
				first = append(first, ask("", `{"type":"replay","market_id":0,"start":%d,"end":%d,"format":%q,"include":["%s"]}`, at, p.to,
					x.format, strings.Join(x.include, `","`)))
				ask(`"replay_stopped"`, `{"type":"stop"}`)
			}
			for name, took := range map[string][]time.Duration{"": first, "bare-": bare} {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2])/1e6, name+"p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100])/1e6, name+"p99-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// waitFor reads until a message that contains text, or the first one behind replay_started where it is empty.
func waitFor(b *testing.B, conn *websocket.Conn, text string) time.Time {
	for started := false; ; {
		_, msg, err := conn.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
		if text == "" && started || text != "" && strings.Contains(string(msg[:min(len(msg), 40)]), text) {
			return time.Now()
		}
		if started = started || strings.Contains(string(msg), "replay_started"); strings.Contains(string(msg), `"error"`) {
			b.Fatalf("got %s", msg)
		}
	}
}
