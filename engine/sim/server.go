package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"
)

// ErrRemote reports a listener that other machines could reach.
var ErrRemote = errors.New("the simulator listens on loopback only")

// ServeOptions sets up a server. The zero value is the venue's behaviour on loopback.
type ServeOptions struct {
	Limits      Limits
	AllowRemote bool             // accept a listener that is not loopback
	AnswerDelay time.Duration    // how long the stream lets a client message wait for its answer
	Now         func() time.Time // clock of the rolling minutes and of the answer delay; time.Now where nil
	Logger      *slog.Logger
}

type server struct {
	src     Source
	limits  Limits
	delay   time.Duration
	now     func() time.Time
	log     *slog.Logger
	clients clients
	sends   sends
	up      websocket.FastHTTPUpgrader

	mu    sync.Mutex
	conns map[*conn]struct{}
	ended bool
	live  sync.WaitGroup
}

// Serve runs the source and answers REST and /stream on ln until ctx ends; then it closes every socket with 1001 and
// returns nil. It owns ln from the call on.
func Serve(ctx context.Context, ln net.Listener, src Source, o ServeOptions) error {
	if !o.AllowRemote && !isLoopback(ln.Addr()) {
		ln.Close()
		return fmt.Errorf("serve on %s: %w", ln.Addr(), ErrRemote)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &server{src: src, limits: o.Limits.withDefaults(), delay: o.AnswerDelay, now: o.Now, log: o.Logger,
		clients: clients{m: make(map[string]*client)}, conns: make(map[*conn]struct{}),
		up: websocket.FastHTTPUpgrader{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10,
			CheckOrigin: func(*fasthttp.RequestCtx) bool { return true }}}
	web := &fasthttp.Server{Handler: s.handle, Name: "lighter-sim", ReadTimeout: 2 * time.Minute,
		WriteTimeout: 15 * time.Second, WriteBufferSize: 16 << 10, MaxRequestBodySize: 1 << 20,
		NoDefaultServerHeader: true, Logger: quiet{}, CloseOnShutdown: true}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2)
	var tasks sync.WaitGroup
	tasks.Go(func() { failed <- web.Serve(ln) })
	tasks.Go(func() { failed <- src.run(ctx) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	s.closeAll()
	if e := web.Shutdown(); e != nil && err == nil {
		err = fmt.Errorf("stop server: %w", e)
	}
	_ = ln.Close() // Shutdown does not know a listener whose Serve has only just been called; a second close does no harm
	s.live.Wait()
	tasks.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return !ok || t.IP.IsLoopback() // in-memory and Unix listeners never leave the machine
}

// quiet drops fasthttp's own log lines: they are about clients' mistakes.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (s *server) handle(ctx *fasthttp.RequestCtx) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("request failed", "path", string(ctx.Path()), "panic", fmt.Sprint(r))
			writeError(ctx, &venueError{status: 500, code: 29500, message: "internal server error"})
		}
	}()
	path := string(ctx.Path())
	switch {
	case path == "/stream":
		s.accept(ctx)
	case path == "/" || path == "/info" || strings.HasPrefix(path, "/api/v1/"):
		s.rest(ctx, path)
	default:
		writeForbidden(ctx)
	}
}

// accept upgrades a request to a stream. A refused connection gets its error as a frame and is closed.
func (s *server) accept(ctx *fasthttp.RequestCtx) {
	ip := ctx.RemoteIP().String()
	if !websocket.FastHTTPIsWebSocketUpgrade(ctx) {
		writeForbidden(ctx)
		return
	}
	allowed := s.clients.connect(ip, s.limits, s.now())
	err := s.up.Upgrade(ctx, func(ws *websocket.Conn) {
		defer ws.Close()
		if !allowed {
			_ = ws.SetWriteDeadline(time.Now().Add(writeTimeout))
			_ = ws.WriteMessage(websocket.TextMessage, errTooManyConns.appendFrame(nil))
			return
		}
		defer s.clients.disconnect(ip)
		c := newConn(s, ws, ip)
		if !s.enter(c) {
			return
		}
		defer s.exit(c)
		c.serve()
	})
	if err != nil && allowed {
		s.clients.disconnect(ip)
	}
}

func (s *server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.conns[c] = struct{}{}
	s.live.Add(1)
	return true
}

func (s *server) exit(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.live.Done()
}

func (s *server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.conns {
		c.leave(websocket.CloseGoingAway, "")
	}
}
