package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/ws"
)

const (
	latencyMarkets = 50
	latencyLevels  = 20_000                 // changed in a second
	latencyTick    = 5 * time.Millisecond   // as often something comes
	latencyTurn    = 250 * time.Millisecond // before the other side has its turn
)

// BenchmarkLiveLatency is from a venue's frame to the frame at a client that follows all of 50 markets, while 20,000 levels
// a second change and all is recorded: decode, shard, book, view, hub, socket. The baseline sends the venue's frames on as
// they are, one write each. Frames come some at a time, and each counts from the moment when its group has come; what lies
// between the venue and us is not part of either.
func BenchmarkLiveLatency(b *testing.B) {
	t := newTraffic(latencyMarkets, 1000)
	late := &lateMarkets{}
	s, err := ws.New(ws.Options{Markets: late, Access: openAccess{&access.DefaultPlans()[4]}})
	if err != nil {
		b.Fatal(err)
	}
	p := newPipeline(b, t.markets, s.Hub())
	late.registry = p.registry
	defer p.close()
	for _, raw := range t.starts {
		p.decode(raw)
	}
	p.settle()
	stopServer, client := follow(b, s)
	ours := newWatch(b, client)
	bareServer, bareClient := socketPair(b)
	bare := newWatch(b, bareClient)

	// What a venue sends besides books is not measured, so the traffic is books only.
	frames := slices.DeleteFunc(slices.Clone(t.frames), func(f recorded) bool { return !bytes.Contains(f.raw, []byte(`"order_book"`)) })
	perTick := int(latencyTick.Seconds() * latencyLevels / (float64(t.levels) / float64(len(frames))))
	at, turns := 0, uint64(0)
	next := func() []byte {
		if at == len(frames) {
			at, turns = 0, turns+1
		}
		f := &frames[at]
		f.shift(turns)
		at++
		return f.raw
	}
	run := func(w *watch, send func(raw []byte)) {
		tick := time.NewTicker(latencyTick)
		defer tick.Stop()
		for range int(latencyTurn / latencyTick) {
			<-tick.C
			came := time.Now()
			for range perTick {
				w.expect(came)
				send(next())
			}
		}
		w.settle()
	}
	framed := make([]byte, 0, 4096)
	for b.Loop() {
		run(ours, p.decode)
		// The chain of nonces goes on where the shards left off: the bare turn sends frames of its own.
		keepAt, keepTurns := at, turns
		run(bare, func(raw []byte) {
			framed = append(fmt.Appendf(framed[:0], "%d ", len(raw)), raw...)
			if _, err := bareServer.Write(framed); err != nil {
				b.Fatal(err)
			}
		})
		at, turns = keepAt, keepTurns
	}
	for _, x := range []struct {
		name     string
		quantile float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		of, than := ours.quantile(x.quantile), bare.quantile(x.quantile)
		b.ReportMetric(float64(of), x.name+"-ns")
		b.ReportMetric(float64(than), "bare-"+x.name+"-ns")
		b.ReportMetric(float64(than)/float64(of), x.name+"-ratio")
	}
	b.ReportMetric(0, "ns/op")
	bareServer.Close()
	bareClient.Close()
	p.stop()
	stopServer()
}

// watch reads a client's socket and knows when what comes had been sent.
type watch struct {
	b    *testing.B
	sent chan time.Time // one for each frame, in order
	took []time.Duration
	left atomic.Int64 // frames sent that have not come
}

func newWatch(b *testing.B, c net.Conn) *watch {
	w := &watch{b: b, sent: make(chan time.Time, 1<<16)}
	go func() {
		buf, n := make([]byte, 1<<20), 0
		for {
			got, err := c.Read(buf[n:])
			if err != nil {
				return
			}
			now := time.Now()
			n += got
			used := 0
			for size := messageLen(buf[:n]); size > 0 && used+size <= n; size = messageLen(buf[used:n]) {
				used += size
				w.took = append(w.took, now.Sub(<-w.sent))
				w.left.Add(-1)
			}
			n = copy(buf, buf[used:n])
		}
	}()
	return w
}

func (w *watch) expect(came time.Time) {
	w.left.Add(1)
	w.sent <- came
}

// settle waits until everything sent has come.
func (w *watch) settle() {
	for until := time.Now().Add(time.Minute); w.left.Load() > 0; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(until) {
			w.b.Fatalf("%d frames did not come", w.left.Load())
		}
	}
}

func (w *watch) quantile(q float64) time.Duration {
	slices.Sort(w.took)
	return w.took[int(q*float64(len(w.took)-1))]
}

// messageLen is the length of the message that b begins with, 0 where it is not known yet: a server's frame, or digits and
// a space before so many bytes.
func messageLen(b []byte) int {
	switch {
	case len(b) < 4:
		return 0
	case b[0] != 0x81:
		i := bytes.IndexByte(b[:min(len(b), 8)], ' ')
		if i < 0 {
			return 0
		}
		n, _ := strconv.Atoi(string(b[:i]))
		return i + 1 + n
	case b[1] < 126:
		return 2 + int(b[1])
	case b[1] == 126:
		return 4 + int(b[2])<<8 + int(b[3])
	default:
		return 0
	}
}

// follow serves s on loopback and has a client follow the books of all markets.
func follow(b *testing.B, s *ws.Server) (stop func(), c net.Conn) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: s.WS}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	if c, err = net.Dial("tcp4", ln.Addr().String()); err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	for i := range latencyMarkets {
		text := fmt.Sprintf(`{"type":"subscribe","channel":"order_book/%d"}`, i)
		_, _ = c.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)) // masked with zeros
	}
	// What comes first ends with the whole book of the last market.
	got, buf := "", make([]byte, 1<<20)
	for strings.Count(got, `"snapshot":true`) < latencyMarkets {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		got += string(buf[:n])
	}
	return func() {
		c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			b.Error(err)
		}
		_ = srv.ShutdownWithContext(ctx)
		<-done
	}, c
}

// socketPair is two ends of a loopback connection.
func socketPair(b *testing.B) (server, client net.Conn) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp4", ln.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		b.Fatal(err)
	}
	return server, client
}

// lateMarkets is a registry that is made after who needs it.
type lateMarkets struct{ registry *market.Registry }

func (l *lateMarkets) All() []*model.Market                        { return l.registry.All() }
func (l *lateMarkets) Get(id model.MarketID) (*model.Market, bool) { return l.registry.Get(id) }
func (l *lateMarkets) ByNative(venue uint8, native int64) (*model.Market, bool) {
	return l.registry.ByNative(venue, native)
}

// openAccess lets everybody in under one plan.
type openAccess struct{ plan *access.Plan }

func (a openAccess) Authenticate(access.Request) (*access.Principal, error) {
	return &access.Principal{Plan: a.plan, Account: "bench", Local: true}, nil
}
func (openAccess) Recheck(p *access.Principal, _ netip.Addr) (*access.Principal, error) {
	return p, nil
}
func (openAccess) Changed() <-chan struct{}                          { return nil }
func (openAccess) Spend(*access.Principal, int64, model.Millis) bool { return true }
func (a openAccess) Plans() []*access.Plan                           { return []*access.Plan{a.plan} }
func (openAccess) TakeIP(netip.Addr, access.IPClass, model.Millis) access.Decision {
	return access.Decision{OK: true}
}
