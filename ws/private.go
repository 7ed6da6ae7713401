package ws

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/relay"
)

const (
	defaultPrivateSockets = 100

	privateQueue     = 64               // client messages that wait for the upstream socket before the client's reader waits
	privateAhead     = 64               // frames that wait for the client before its upstream socket is not read any further
	privateMessage   = 16 << 20         // the largest upstream message: whole books are some 100 KB
	privatePing      = time.Minute      // the venue closes what is silent for two
	privateSilence   = 3 * privatePing  // upstream is gone where not even pongs come
	privateHandshake = 10 * time.Second // unless Upstream says otherwise
	privateWrite     = 10 * time.Second
)

// Upstream is the venue's stream as private sockets reach it.
type Upstream struct {
	URL       string // ws or wss
	UserAgent string
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error) // nil: a plain dial
	Handshake time.Duration                                                     // 0: 10 s
	// Take is asked before each client message that the venue counts; false answers the venue's own refusal. nil: no limit.
	Take func() bool
}

// private is one client's own upstream socket. Messages are copied as they are, each direction in its order. A client
// that does not read stops the reading upstream, and the venue that does not read that of the client.
type private struct {
	c      *Conn
	out    chan []byte
	ctx    context.Context
	cancel context.CancelFunc
	failed chan struct{} // closed where the socket could not be opened: the next message opens another
	done   chan struct{}
}

// newPrivate begins to open a socket for a client; nil where there are as many as there may be.
func (s *Server) newPrivate(c *Conn) *private {
	if s.privates.Add(1) > int64(s.o.PrivateSockets) {
		s.privates.Add(-1)
		return nil
	}
	privateSockets.Inc()
	p := &private{c: c, out: make(chan []byte, privateQueue), failed: make(chan struct{}), done: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(s.ctx)
	c.private.Store(p)
	if c.closing.Load() {
		p.cancel() // shut may not have seen it
	}
	c.hold(1)
	go p.run()
	return p
}

// open tells whether messages can be handed to it.
func (p *private) open() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.failed:
		return false
	default:
		return true
	}
}

// push hands a client message over, and waits while too many wait.
func (p *private) push(text []byte) {
	select {
	case p.out <- text:
		if !p.open() {
			p.refuseAll() // it may have come behind the last look at the queue
		}
	case <-p.failed:
		p.refuse()
	case <-p.ctx.Done():
		if !p.open() {
			p.refuse() // a socket that could not be opened has ended too: its client is still there
		}
	}
}

// close ends the socket and waits for its goroutines.
func (p *private) close() {
	if p != nil {
		p.cancel()
		<-p.done
	}
}

func (p *private) run() {
	s := p.c.server
	defer close(p.done)
	defer func() {
		p.cancel()
		s.privates.Add(-1)
		privateSockets.Dec()
		p.c.hold(-1)
	}()
	defer p.recovered()
	conn, err := p.dial()
	if err != nil {
		if p.ctx.Err() == nil {
			s.o.Logger.Warn("private upstream socket not opened", "path", p.c.path, "error", err.Error())
		}
		close(p.failed)
		p.refuseAll()
		return
	}
	defer conn.Close()
	var reader sync.WaitGroup
	ended := make(chan error, 1)
	reader.Go(func() {
		defer p.recovered()
		ended <- p.read(conn)
	})
	err = p.write(conn, ended)
	conn.Close()
	reader.Wait()
	if p.ctx.Err() == nil {
		p.lost(err)
	}
}

func (p *private) recovered() {
	if v := recover(); v != nil {
		panics.Inc()
		p.c.server.o.Logger.Error("private upstream socket panicked", "panic", v, "stack", string(debug.Stack()))
		p.c.shut(closeInternal, true)
	}
}

// dial opens the socket. Of the client's handshake only the query goes along, without our credential.
func (p *private) dial() (*websocket.Conn, error) {
	o := &p.c.server.o.Upstream
	d := websocket.Dialer{NetDialContext: o.Dial, HandshakeTimeout: o.Handshake, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10}
	if d.HandshakeTimeout <= 0 {
		d.HandshakeTimeout = privateHandshake
	}
	header := map[string][]string{}
	if o.UserAgent != "" {
		header["User-Agent"] = []string{o.UserAgent}
	}
	address := o.URL
	if q := p.c.query; q != "" {
		if strings.Contains(address, "?") {
			address += "&" + q
		} else {
			address += "?" + q
		}
	}
	conn, _, err := d.DialContext(p.ctx, address, header)
	return conn, err
}

// write sends the client's messages, and pings, until the socket ends or nobody needs it any more.
func (p *private) write(conn *websocket.Conn, ended <-chan error) error {
	now := p.c.server.o.Now
	ping := time.NewTicker(privatePing)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case err := <-ended:
			return err
		case text := <-p.out:
			if err = conn.SetWriteDeadline(now().Add(privateWrite)); err == nil {
				err = conn.WriteMessage(websocket.TextMessage, text)
			}
		case <-ping.C:
			err = conn.WriteControl(websocket.PingMessage, nil, now().Add(privateWrite))
		}
		if err != nil {
			return err
		}
	}
}

var (
	connectedWord  = []byte(`"type":"connected"`)
	subscribedWord = []byte(`"type":"subscribed/`)
	updateWord     = []byte(`"type":"update/`)
)

// read copies the venue's messages to the client. The greeting is left out: the client has ours.
func (p *private) read(conn *websocket.Conn) error {
	conn.SetReadLimit(privateMessage)
	alive := func() error { return conn.SetReadDeadline(p.c.server.o.Now().Add(privateSilence)) }
	conn.SetPongHandler(func(string) error { return alive() })
	for first := true; ; first = false {
		if err := alive(); err != nil {
			return err
		}
		kind, text, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		if kind != websocket.TextMessage || first && bytes.Contains(text, connectedWord) {
			continue
		}
		f := newFrame(text)
		if !p.c.queue.await(privateAhead, len(f), p.ctx.Done()) {
			return p.ctx.Err()
		}
		it := item{raw: f, size: len(f)}
		if bytes.Contains(text, updateWord) || bytes.Contains(text, subscribedWord) {
			it.messages = 1
		}
		p.c.push(it)
	}
}

// refuseAll answers what waits for a socket that could not be opened. The connection stays: what we serve ourselves goes
// on, and the next message tries again.
func (p *private) refuseAll() {
	for {
		select {
		case <-p.out:
			p.refuse()
		default:
			return
		}
	}
}

func (p *private) refuse() {
	p.c.send(newFrame(p.c.server.o.Native.Error(nil, nativeConnectFailed, "Connect Failed")))
}

// lost closes the client when its upstream socket has ended: the subscriptions on it are gone, and only a new connection
// tells the client so in a way that it knows. It gets the venue's own close code, 1001 where there was none.
func (p *private) lost(err error) {
	code, reason := closeGoing, "upstream connection ended"
	var closed *websocket.CloseError
	if errors.As(err, &closed) && mayPass(closed.Code) {
		code, reason = closeCode(closed.Code), closed.Text
	}
	p.c.shutFor(code, reason, false)
}

// mayPass tells whether a close code may stand in a close frame.
func mayPass(code int) bool {
	switch code {
	case websocket.CloseNoStatusReceived, websocket.CloseAbnormalClosure, websocket.CloseTLSHandshake, 1004:
		return false
	}
	return code >= 1000 && code < 5000
}

// upstreamQuery returns a handshake's query without our credential, otherwise as it came; nothing where it could end the
// address or the request line.
func upstreamQuery(raw string) string {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
		return ""
	}
	var kept []string
	for part := range strings.SplitSeq(string(relay.CleanQuery([]byte(raw))), "&") {
		name, _, _ := strings.Cut(part, "=")
		if _, err := url.QueryUnescape(name); part == "" || err != nil {
			continue
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, "&")
}
