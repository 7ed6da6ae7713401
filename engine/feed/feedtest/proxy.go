// Package feedtest puts faults between a Lighter-like venue and the feed, for tests: on loopback only, repeatable from a
// seed. It changes, drops and delays what passes, and makes nothing up.
package feedtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
)

// Kind names a fault.
type Kind string

// The faults.
const (
	Drop       Kind = "drop"       // the frame vanishes
	Duplicate  Kind = "duplicate"  // it comes twice
	Reorder    Kind = "reorder"    // it comes behind the next one
	Corrupt    Kind = "corrupt"    // it is cut, so that it is no JSON any more
	Stall      Kind = "stall"      // this frame and all behind it come late
	Disconnect Kind = "disconnect" // the connection breaks
	HalfOpen   Kind = "half_open"  // nothing passes any more, in either direction, and the connection stays
	SlowAck    Kind = "slow_ack"   // the answer to a subscribe or unsubscribe comes late, as all behind it
	TooMany    Kind = "429"        // REST answers 429
	HTML       Kind = "html"       // REST answers an HTML page
)

// Faults says how often which fault happens: chances between 0 and 1, each drawn anew for every frame from the venue
// or every REST call.
type Faults struct {
	Drop, Duplicate, Reorder, Corrupt float64
	Stall, Disconnect, HalfOpen       float64
	SlowAck                           float64
	StallFor, SlowAckFor              time.Duration // default 1 s, 300 ms
	TooMany, HTML                     float64       // REST

	// Match chooses the frames that Drop, Duplicate, Reorder and Corrupt may hit; nil: order_book updates, the only
	// ones whose loss a client can notice.
	Match func(frame []byte) bool
}

// Record is one fault that was done.
type Record struct {
	At    time.Time
	Kind  Kind
	Conn  int    // number of the stream connection, from 1; 0 for REST
	Frame string // the first 200 bytes, or the path
}

// Proxy is a venue with faults. Its methods are safe for concurrent use.
type Proxy struct {
	stream string
	server *http.Server
	ln     net.Listener
	cancel context.CancelFunc
	ctx    context.Context
	links  sync.WaitGroup

	mu     sync.Mutex
	faults Faults
	rng    *rand.Rand
	log    []Record
	conns  map[int]*link
	opened int
	closed bool
}

// NewProxy starts a proxy on a loopback port. streamURL is the venue's ws URL, restURL its REST base URL ("" where the
// test needs none).
func NewProxy(streamURL, restURL string, f Faults, seed uint64) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the fault proxy: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{stream: streamURL, ln: ln, ctx: ctx, cancel: cancel, faults: f, rng: rand.New(rand.NewPCG(seed, seed)), conns: map[int]*link{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", p.serveStream)
	if restURL != "" {
		u, err := url.Parse(restURL)
		if err != nil {
			_ = ln.Close()
			cancel()
			return nil, fmt.Errorf("parse rest url: %w", err)
		}
		mux.Handle("/", p.rest(httputil.NewSingleHostReverseProxy(u)))
	}
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	p.links.Go(func() { _ = p.server.Serve(ln) })
	return p, nil
}

// StreamURL returns the URL of the faulty stream.
func (p *Proxy) StreamURL() string { return "ws://" + p.ln.Addr().String() + "/stream" }

// RESTURL returns the base URL of the faulty REST.
func (p *Proxy) RESTURL() string { return "http://" + p.ln.Addr().String() }

// Close ends all connections and waits for their goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	_ = p.server.Close()
	p.DisconnectAll()
	p.links.Wait()
}

// SetFaults replaces the faults, for instance by none, so that a test can wait until all is well again. Connections
// that a HalfOpen muted stay mute.
func (p *Proxy) SetFaults(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// DisconnectAll breaks every stream connection.
func (p *Proxy) DisconnectAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, l := range p.conns {
		p.record(Disconnect, n, nil)
		l.close()
	}
}

// Log returns what was done, oldest first.
func (p *Proxy) Log() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Record(nil), p.log...)
}

// Counts returns how often each fault was done.
func (p *Proxy) Counts() map[Kind]int {
	counts := map[Kind]int{}
	for _, r := range p.Log() {
		counts[r.Kind]++
	}
	return counts
}

func (p *Proxy) record(k Kind, conn int, frame []byte) {
	p.log = append(p.log, Record{At: time.Now(), Kind: k, Conn: conn, Frame: string(frame[:min(len(frame), 200)])})
}

// rest passes calls on, or refuses them.
func (p *Proxy) rest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		tooMany, html := p.rng.Float64() < p.faults.TooMany, p.rng.Float64() < p.faults.HTML
		switch {
		case tooMany:
			p.record(TooMany, 0, []byte(r.URL.Path))
		case html:
			p.record(HTML, 0, []byte(r.URL.Path))
		}
		p.mu.Unlock()
		switch {
		case tooMany:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"code":23000,"message":"Too Many Requests!"}`))
		case html:
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("<html><body>403 Forbidden</body></html>"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// link is one client's connection and the proxy's own to the venue.
type link struct {
	p                *Proxy
	number           int
	client, upstream *websocket.Conn
	mute             chan struct{} // closed by a HalfOpen
	muted            bool
	held             []byte // a frame that waits for the next one
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.upstream.Close()
}

// enter counts a handler that Close must wait for; false where the proxy is closed.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.links.Add(1)
	return true
}

func (p *Proxy) serveStream(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		return
	}
	defer p.links.Done()
	up, _, err := websocket.DefaultDialer.DialContext(p.ctx, p.stream, http.Header{"User-Agent": r.Header["User-Agent"]})
	if err != nil {
		http.Error(w, "venue is down", http.StatusBadGateway)
		return
	}
	client, err := (&websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}).Upgrade(w, r, nil)
	if err != nil {
		_ = up.Close()
		return
	}
	p.mu.Lock()
	p.opened++
	l := &link{p: p, number: p.opened, client: client, upstream: up, mute: make(chan struct{})}
	p.conns[l.number] = l
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, l.number)
		p.mu.Unlock()
		l.close()
	}()
	// A muted link answers no pings either; otherwise they go on to the venue, which closes idle connections.
	client.SetPingHandler(func(data string) error {
		select {
		case <-l.mute:
			return nil
		default:
		}
		_ = up.WriteControl(websocket.PingMessage, []byte(data), time.Now().Add(time.Second))
		return client.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
	})
	if p.ctx.Err() != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(l.requests)
	if l.frames(); !l.muted {
		l.close()
	}
	back.Wait()
}

// requests passes on what the client sends.
func (l *link) requests() {
	defer l.close()
	for {
		kind, msg, err := l.client.ReadMessage()
		if err != nil {
			return
		}
		select {
		case <-l.mute:
			continue
		default:
		}
		if l.upstream.WriteMessage(kind, msg) != nil {
			return
		}
	}
}

// frames passes on what the venue sends, with faults.
func (l *link) frames() {
	for {
		_, msg, err := l.upstream.ReadMessage()
		if err != nil {
			return
		}
		if l.muted {
			continue
		}
		if l.pass(msg) != nil {
			return
		}
	}
}

var errBroken = errors.New("connection broken on purpose")

// pass sends one frame the way chance decides.
func (l *link) pass(msg []byte) error {
	fault, wait := l.draw(msg)
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.p.ctx.Done():
			return l.p.ctx.Err()
		}
	}
	switch fault {
	case Drop:
		return nil
	case Disconnect:
		return errBroken
	case HalfOpen:
		l.muted = true
		close(l.mute)
		return nil
	case Reorder:
		if l.held == nil {
			l.held = msg
			return nil
		}
	case Corrupt:
		msg = msg[:len(msg)*3/4]
	case Duplicate:
		if err := l.write(msg); err != nil {
			return err
		}
	}
	if err := l.write(msg); err != nil {
		return err
	}
	if held := l.held; held != nil {
		l.held = nil
		return l.write(held)
	}
	return nil
}

func (l *link) write(msg []byte) error { return l.client.WriteMessage(websocket.TextMessage, msg) }

// draw decides what happens to a frame: at most one fault, and a pause before it.
func (l *link) draw(msg []byte) (fault Kind, wait time.Duration) {
	p := l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &p.faults
	hit := func(k Kind, chance float64) bool {
		if chance <= 0 || p.rng.Float64() >= chance {
			return false
		}
		p.record(k, l.number, msg)
		return true
	}
	if isAck(msg) && hit(SlowAck, f.SlowAck) {
		wait = orDefault(f.SlowAckFor, 300*time.Millisecond)
	}
	if hit(Stall, f.Stall) {
		wait += orDefault(f.StallFor, time.Second)
	}
	if hit(Disconnect, f.Disconnect) {
		return Disconnect, wait
	}
	if hit(HalfOpen, f.HalfOpen) {
		return HalfOpen, wait
	}
	match := f.Match
	if match == nil {
		match = bookUpdate
	}
	if match(msg) {
		for _, c := range [...]struct {
			kind   Kind
			chance float64
		}{{Drop, f.Drop}, {Duplicate, f.Duplicate}, {Reorder, f.Reorder}, {Corrupt, f.Corrupt}} {
			if hit(c.kind, c.chance) {
				return c.kind, wait
			}
		}
	}
	return "", wait
}

func orDefault(d, byDefault time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return byDefault
}

func bookUpdate(msg []byte) bool { return bytes.Contains(msg, []byte(`"update/order_book"`)) }

func isAck(msg []byte) bool {
	return bytes.Contains(msg, []byte(`"subscribed/`)) || bytes.Contains(msg, []byte(`"unsubscribed"`))
}
