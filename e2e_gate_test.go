package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// gate stands in front of a venue and notes all that comes: what the venue sees of a server and the clients behind it.
// It can be shut, and can lose calls.
type gate struct {
	venue // its own addresses
	t     testing.TB
	to    venue
	proxy *httputil.ReverseProxy

	mu         sync.Mutex
	server     *http.Server // nil while shut
	calls      []gateCall
	sockets    int            // ever opened
	subscribed map[string]int // how often each channel was subscribed to
	sent       int            // other messages of clients
	open       map[*websocket.Conn]bool
	links      sync.WaitGroup
	lose       func(r *http.Request) loss
}

// gateCall is a REST call that came to the venue.
type gateCall struct {
	at           time.Time
	method, path string
	query, auth  string
}

// loss is what happens to a call.
type loss int

const (
	lossNone   loss = iota
	lossCall        // the connection breaks before the venue has read the call
	lossAnswer      // the venue does what was asked, and the connection breaks before its answer
)

func newGate(t testing.TB, to venue) *gate {
	t.Helper()
	ln := listenBelow(t) // for it to be free when it is opened again
	target, err := url.Parse(to.rest)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, to: to, subscribed: map[string]int{}, open: map[*websocket.Conn]bool{}}
	g.venue = venue{rest: "http://" + ln.Addr().String(), stream: "ws://" + ln.Addr().String() + "/stream"}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	g.serve(ln)
	t.Cleanup(func() { g.shut(); g.links.Wait() })
	return g
}

// listenBelow listens on a port below those that systems give away by themselves: when it was closed nobody takes it.
func listenBelow(t testing.TB) net.Listener {
	t.Helper()
	for range 1000 {
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))); err == nil {
			return ln
		}
	}
	t.Fatal("no port is free")
	return nil
}

func (g *gate) serve(ln net.Listener) {
	s := &http.Server{Handler: http.HandlerFunc(g.handle), ReadHeaderTimeout: 10 * time.Second}
	g.mu.Lock()
	g.server = s
	g.mu.Unlock()
	g.links.Go(func() { _ = s.Serve(ln) })
}

// shut takes the venue away: every connection breaks, and no new one comes about.
func (g *gate) shut() {
	g.mu.Lock()
	s := g.server
	g.server = nil
	g.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
	g.disconnect()
}

// reopen brings the venue back under its old address.
func (g *gate) reopen() {
	g.t.Helper()
	var ln net.Listener
	waitFor(g.t, time.Minute, func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp", strings.TrimPrefix(g.rest, "http://"))
		return err == nil
	}, func() string { return "the port of the venue is taken" })
	g.serve(ln)
}

// disconnect breaks every socket.
func (g *gate) disconnect() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.open {
		_ = c.Close()
	}
}

func (g *gate) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/stream" {
		g.stream(w, r)
		return
	}
	g.mu.Lock()
	lose := lossNone
	if g.lose != nil {
		lose = g.lose(r)
	}
	if lose != lossCall {
		g.calls = append(g.calls, gateCall{time.Now(), r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization")})
	}
	g.mu.Unlock()
	if lose == lossAnswer {
		rest, err := http.NewRequest(r.Method, g.to.rest+r.URL.RequestURI(), r.Body)
		if err == nil {
			rest.Header = r.Header.Clone()
			if resp, err := http.DefaultClient.Do(rest); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}
	}
	if lose != lossNone {
		panic(http.ErrAbortHandler)
	}
	g.proxy.ServeHTTP(w, r)
}

// stream copies a socket's messages both ways.
func (g *gate) stream(w http.ResponseWriter, r *http.Request) {
	up, resp, err := websocket.DefaultDialer.Dial(g.to.stream, nil)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	resp.Body.Close()
	client, err := (&websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}).Upgrade(w, r, nil)
	if err != nil {
		_ = up.Close()
		return
	}
	g.mu.Lock()
	g.sockets++
	g.open[client], g.open[up] = true, true
	if g.server == nil {
		_ = client.Close()
	}
	g.links.Add(1) // the server does not wait for what it gave away
	g.mu.Unlock()
	defer g.links.Done()
	var back sync.WaitGroup
	back.Go(func() {
		defer up.Close()
		for {
			kind, text, err := client.ReadMessage()
			if err != nil {
				return
			}
			g.note(string(text))
			if up.WriteMessage(kind, text) != nil {
				return
			}
		}
	})
	for {
		kind, text, err := up.ReadMessage()
		if err != nil || client.WriteMessage(kind, text) != nil {
			break
		}
	}
	_ = client.Close()
	back.Wait()
	g.mu.Lock()
	delete(g.open, client)
	delete(g.open, up)
	g.mu.Unlock()
}

func (g *gate) note(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, rest, ok := strings.Cut(text, `"channel":"`); ok && strings.Contains(text, `"subscribe"`) {
		channel, _, _ := strings.Cut(rest, `"`)
		g.subscribed[channel]++
		return
	}
	g.sent++
}

// upstream is what a venue is asked for.
type upstream struct{ sockets, subscriptions, calls, sent int }

// seen counts what came since the beginning. Calls are those that path accepts; nil is all.
func (g *gate) seen(path func(gateCall) bool) (u upstream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u.sockets, u.sent = g.sockets, g.sent
	for _, n := range g.subscribed {
		u.subscriptions += n
	}
	for _, c := range g.calls {
		if path == nil || path(c) {
			u.calls++
		}
	}
	return u
}

// losing decides from now on what happens to calls; nil: nothing.
func (g *gate) losing(f func(r *http.Request) loss) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lose = f
}
