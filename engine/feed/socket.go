package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/model"

	"github.com/fasthttp/websocket"
)

// socket is one connection. Its reader goroutine decodes and delivers, its writer goroutine writes, pings and watches
// for silence.
type socket struct {
	s    *Supervisor
	conn *websocket.Conn
	out  chan []byte // bounded by what may be unanswered
	done chan struct{}
	once sync.Once
	why  error // why it ended; set before done closes

	frame atomic.Int64 // Micros of the last frame
	heard atomic.Int64 // Micros of the last frame or pong

	// Guarded by Supervisor.mu.
	subs      map[Channel]*subscription
	heartbeat *subscription // the height: it comes twice a second even where all markets are quiet
	full      bool          // the venue takes no more subscriptions on it
	// accountsFull: nor channels of more accounts
	accountsFull bool
}

// keep holds one socket slot: connect, serve, pause, again.
func (s *Supervisor) keep(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		began := s.o.Now()
		reason, err := s.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.o.Now().Sub(began) >= s.limits.HealthyAfter {
			failures = 0
		}
		limit := min(s.limits.BackoffFirst<<min(failures, 16), s.limits.BackoffMax)
		pause := time.Duration(s.o.Jitter() * float64(limit))
		failures++
		s.m.reconnects[reason].Inc()
		s.mu.Lock()
		s.reconnects++
		s.err = err
		s.mu.Unlock()
		s.log.Warn("stream lost", "reason", reason, "error", err.Error(), "retry_in", pause.String())
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// connect opens a socket and serves it until it ends; it says why in a word for metrics and as an error.
func (s *Supervisor) connect(ctx context.Context) (string, error) {
	dialer := websocket.Dialer{NetDialContext: s.o.Dial, HandshakeTimeout: s.limits.Handshake, ReadBufferSize: 64 << 10, WriteBufferSize: 4 << 10}
	header := http.Header{}
	if s.o.UserAgent != "" {
		header.Set("User-Agent", s.o.UserAgent)
	}
	conn, resp, err := dialer.DialContext(ctx, s.o.StreamURL, header)
	if err != nil {
		return handshakeError(resp, err)
	}
	so := &socket{
		s: s, conn: conn, done: make(chan struct{}),
		out:  make(chan []byte, 2*s.limits.MaxUnanswered+16),
		subs: map[Channel]*subscription{},
	}
	now := model.Micros(s.o.Now().UnixMicro())
	so.frame.Store(int64(now))
	so.heard.Store(int64(now))
	conn.SetReadLimit(s.limits.MaxMessageBytes)
	conn.SetPongHandler(func(string) error {
		so.heard.Store(s.o.Now().UnixMicro())
		return nil
	})
	s.log.Info("stream connected")
	s.mu.Lock()
	so.heartbeat = &subscription{channel: Channel{FamilyHeight, All}, market: model.NoMarket, wanted: true}
	so.heartbeat.attach(so)
	s.sockets = append(s.sockets, so)
	s.mu.Unlock()
	s.poke()

	var writer sync.WaitGroup
	writer.Go(func() { so.write(ctx) })
	so.end(so.read(ctx))
	writer.Wait()
	reason, cause := endClosed, model.CauseDisconnect
	if errors.Is(so.why, ErrStale) {
		reason, cause = endStale, model.CauseStale
	}
	s.lost(ctx, so, cause)
	return reason, so.why
}

// handshakeError turns a failed connect into one clear error, without anything the venue sent.
func handshakeError(resp *http.Response, err error) (string, error) {
	if resp == nil {
		return endDial, &UpstreamError{Reason: "connect to the stream", Err: err}
	}
	reason := "the stream was refused"
	if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		reason = "the stream was answered with HTML"
	}
	return endHandshake, &UpstreamError{Status: resp.StatusCode, Reason: reason}
}

// end closes the socket; only the first reason counts.
func (so *socket) end(err error) {
	so.once.Do(func() {
		so.why = err
		close(so.done)
		_ = so.conn.Close()
	})
}

// read decodes frames and delivers their events until the socket ends.
func (so *socket) read(ctx context.Context) (err error) {
	defer func() {
		// A decoder that panics must not take the process down; the socket starts afresh.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while reading the stream: %v", p)
			so.s.log.Error("panic while reading the stream", "panic", fmt.Sprint(p))
		}
	}()
	r := newReader(ctx, so)
	var buf []byte
	for {
		_, msg, err := so.conn.NextReader() // JSON counts, whether its frame is called text or binary
		if err != nil {
			return fmt.Errorf("read from the stream: %w", err)
		}
		if buf, err = readInto(buf[:0], msg); err != nil {
			return fmt.Errorf("read from the stream: %w", err)
		}
		if err := r.frame(buf); err != nil {
			return err
		}
	}
}

// readInto reads a whole message into buf, which grows to the largest one.
func readInto(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(4096, cap(buf)))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// write sends what is queued and pings, and ends a socket on which nothing arrives.
func (so *socket) write(ctx context.Context) {
	l := &so.s.limits
	ping, watch := time.NewTicker(l.Ping), time.NewTicker(max(l.Stale/8, time.Millisecond))
	defer ping.Stop()
	defer watch.Stop()
	for {
		var err error
		select {
		case <-so.done:
			return
		case <-ctx.Done():
			_ = so.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), so.s.o.Now().Add(time.Second))
			so.end(ctx.Err())
			return
		case m := <-so.out:
			if err = so.conn.SetWriteDeadline(so.s.o.Now().Add(l.Write)); err == nil {
				err = so.conn.WriteMessage(websocket.TextMessage, m)
			}
		case <-ping.C:
			err = so.conn.WriteControl(websocket.PingMessage, nil, so.s.o.Now().Add(l.Write))
		case <-watch.C:
			if d := so.silence(); d > 0 {
				err = fmt.Errorf("nothing arrived for %v: %w", d.Round(time.Millisecond), ErrStale)
			}
		}
		if err != nil {
			so.end(err)
			return
		}
	}
}

// silence returns for how long nothing arrived, 0 where that is still normal. A socket that carries channels must
// bring frames; one that waits for its turn to subscribe must at least answer pings.
func (so *socket) silence() time.Duration {
	l := &so.s.limits
	now := so.s.o.Now().UnixMicro()
	so.s.mu.Lock()
	live := false
	for _, sub := range so.subs {
		live = live || sub.state == stateLive
	}
	so.s.mu.Unlock()
	since, limit := upTo(&so.frame, now), l.Stale
	if !live {
		since, limit = max(since, upTo(&so.heard, now)), l.Ping+l.Stale
	}
	if d := time.Duration(now-since) * time.Microsecond; d >= limit {
		return d
	}
	return 0
}

// upTo returns a time that passed. One that is still to come shows that the clock was set back, and becomes now: else a
// dead socket would not be noticed until the clock is there again.
func upTo(at *atomic.Int64, now int64) int64 {
	t := at.Load()
	if t > now && at.CompareAndSwap(t, now) {
		return now
	}
	return t
}

// lost tells the sink what the ended socket carried, and only then frees its channels for other sockets, so that no
// event of a new subscription can come before the gap.
func (s *Supervisor) lost(ctx context.Context, so *socket, cause model.Cause) {
	s.mu.Lock()
	s.sockets = slices.DeleteFunc(s.sockets, func(o *socket) bool { return o == so })
	var gaps []model.Event
	for _, sub := range so.subs {
		kind, ok := sub.kind()
		if sub.held && ok {
			gap := &model.Gap{Kind: kind, From: model.Micros(so.frame.Load()), Cause: cause}
			gaps = append(gaps, model.Event{Market: sub.market, Recv: model.Micros(s.o.Now().UnixMicro()), Payload: gap})
		}
	}
	s.mu.Unlock()
	if ctx.Err() != nil {
		gaps = nil
	}
	slices.SortFunc(gaps, func(a, b model.Event) int { return int(a.Market) - int(b.Market) })
	s.m.gaps.Add(len(gaps))
	for _, e := range gaps {
		if s.o.Sink.Deliver(ctx, e) != nil {
			break // shutting down
		}
	}
	s.mu.Lock()
	for _, sub := range so.subs {
		s.settle(sub, sub.unanswered)
		sub.detach()
		sub.attempts, sub.notBefore = 0, time.Time{}
		if !sub.wanted {
			delete(s.known, sub.channel)
		}
	}
	s.mu.Unlock()
	s.poke()
}
