package ws

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/model"
)

// BenchmarkLivePace measures what one delivery costs the server at the pace of a market: the venue sends what has changed
// every 50 ms, all markets at once, and everybody has got it before the next time comes. Clients follow one market, so
// that no two messages are ever joined, or ten. The peer is the hub that most servers have: a buffered channel and a
// goroutine for each client, which writes each message by itself. Both write to the same sockets, in turns, and the
// clients read between the turns, at nobody's expense.
func BenchmarkLivePace(b *testing.B) {
	for _, x := range []struct{ clients, markets int }{{1, 10}, {100, 10}, {1000, 10}, {5000, 1}, {5000, 10}} {
		b.Run(fmt.Sprintf("%d/%d", x.clients, x.markets), func(b *testing.B) { livePace(b, x.clients, x.markets) })
	}
}

func livePace(b *testing.B, n, markets int) {
	h := serve(b, Options{Limits: Limits{PingInterval: time.Hour}}) // nobody answers pings
	var names []string
	for i := range markets {
		names = append(names, fmt.Sprint("trade/", i))
	}
	h.plain(b, names...).Close() // what the first connection starts stays
	before := memoryNow()
	var conns []net.Conn
	for range n {
		conns = append(conns, h.plain(b, names...))
	}
	perClient := (memoryNow() - before) / float64(n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	var makers []*maker
	var last *channel
	for i, name := range names {
		k := newMaker(h.s.Hub(), model.MarketID(i))
		k.trade = 1_000_000_000 // ids and seqs of one length
		last, _ = h.s.hub.channel(name)
		last.mu.Lock()
		last.seq = 1_000_000
		last.mu.Unlock()
		makers = append(makers, k)
	}
	peer := newChannelHub(h.s)
	defer peer.close()
	var payload []byte

	// drain reads what a turn has sent; the first client tells how much that is.
	buf := make([]byte, 256<<10)
	drain := func(size int) {
		for _, c := range conns {
			if _, err := io.ReadFull(c, buf[:size]); err != nil {
				b.Fatal(err)
			}
		}
	}
	await := func(done func() bool) {
		for until := time.Now().Add(time.Minute); !done(); time.Sleep(100 * time.Microsecond) {
			if time.Now().After(until) {
				b.Fatal("not everybody got the frame")
			}
		}
	}
	const ticks = 3
	turns := [2]func() int{
		func() int {
			before := bytesOut.Get()
			var frame *Frame
			for i := range ticks {
				for _, k := range makers {
					k.trades(1, model.TradeBatch{})
				}
				last.mu.Lock()
				frame = last.ring.entries[len(last.ring.entries)-1].frame.Load()
				last.mu.Unlock()
				want := uint64((i + 1) * n * markets * frame.size)
				await(func() bool { return bytesOut.Get()-before >= want })
			}
			payload = frame.typed[frame.size-payloadLen(frame.typed):]
			return ticks * markets * frame.size
		},
		func() int {
			before := peer.written.Load()
			for i := range ticks {
				for range markets {
					peer.publish(payload)
				}
				await(func() bool { return peer.written.Load()-before >= int64((i+1)*n*markets) })
			}
			return ticks * markets * len(newFrame(payload))
		},
	}
	var cpu [2]time.Duration
	var count int
	for _, turn := range turns {
		drain(turn())
	}
	runtime.GC()
	for b.Loop() {
		for i, turn := range turns {
			began := processorTime()
			size := turn()
			cpu[i] += processorTime() - began
			drain(size)
		}
		count += ticks * n * markets
	}
	b.ReportMetric(perClient, "B/client")
	b.ReportMetric(float64(cpu[0])/float64(count), "cpu-ns/delivery")
	b.ReportMetric(float64(cpu[1])/float64(count), "peer-cpu-ns/delivery")
	b.ReportMetric(float64(cpu[1])/float64(cpu[0]), "cpu-ratio")
	b.ReportMetric(0, "ns/op")
}

// memoryNow is the heap and the stacks in use.
func memoryNow() float64 {
	runtime.GC()
	runtime.GC() // what pools held until now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}

// processorTime is what the process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// channelHub is the usual hub: every client has a channel and a goroutine that writes what comes out of it.
type channelHub struct {
	clients []chan []byte
	written atomic.Int64
	done    sync.WaitGroup
}

// newChannelHub writes to the sockets that the server has open.
func newChannelHub(s *Server) *channelHub {
	p := &channelHub{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		send := make(chan []byte, 256)
		p.clients = append(p.clients, send)
		p.done.Go(func() {
			for m := range send {
				_ = c.ws.SetWriteDeadline(time.Now().Add(time.Minute))
				if err := c.ws.WriteMessage(websocket.TextMessage, m); err != nil {
					return
				}
				p.written.Add(1)
			}
		})
	}
	return p
}

// publish drops the message for clients whose channel is full.
func (p *channelHub) publish(m []byte) {
	for _, send := range p.clients {
		select {
		case send <- m:
		default:
		}
	}
}

func (p *channelHub) close() {
	for _, send := range p.clients {
		close(send)
	}
	p.done.Wait()
}
