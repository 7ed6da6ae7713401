package ws

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/access"
)

// session is what a connection does with the messages of an authenticated client. Its methods are called on the
// connection's reader goroutine.
type session interface {
	// greet appends further members to the authenticated message.
	greet(b []byte, p *access.Principal) []byte
	// handle answers one message.
	handle(m *message)
	// moved tells that the connection now belongs to another account.
	moved(from, to *access.Principal)
	// end gives back what the session holds; the connection is closing.
	end()
}

// nativeSpeaker is a session in the venue's protocol, which decides itself what the first messages mean.
type nativeSpeaker interface {
	session
	// open greets the client.
	open()
	// message handles a client message; false where the connection speaks our protocol from it on.
	message(text []byte) bool
}

// Conn is one client connection. Two goroutines serve it: one reads and handles messages, one writes. Everybody else
// only puts frames into its queue.
type Conn struct {
	server *Server
	path   string
	ws     *websocket.Conn // reading only; the writer uses raw
	raw    net.Conn
	queue  *queue
	pipe   *pipe // the replay's joined frames; nil on live connections

	as         atomic.Uint32 // the format of raw channels
	heartbeats atomic.Bool

	closing   atomic.Bool
	closeOnce sync.Once
	code      closeCode // set before closing
	reason    string
	written   chan struct{} // closed when the writer has ended
	deadlined time.Time     // on the writer: when the socket's write deadline was set

	authTimer *time.Timer
	pingTimer *time.Timer
	awaiting  bool // on the ping timer only: a ping was sent
	ponged    atomic.Bool
	idle      idleness

	// owner is whose connection it is, nil before authentication. The reader sets it; the watcher may replace it by the
	// same caller as he stands now.
	owner     atomic.Pointer[access.Principal]
	anonymous atomic.Bool // owner is an address without a credential
	native    atomic.Bool // it speaks the venue's protocol
	private   atomic.Pointer[private]

	// On the reader goroutine.
	session session
	lobby   netip.Prefix   // the block of addresses it waits for authentication under; zero if it does not
	shown   access.Request // what the handshake showed; immutable
	query   string         // the handshake's query without our credential, for upstream
	mayAuth bool           // an auth message may still come
	rate    bucket
	ops     bucket // subscribe and unsubscribe messages, where the plan limits them
	strikes int    // consecutive messages above the rate
	buf     []byte
}

// serve runs the connection until it is closed; it returns with both goroutines ended.
func (c *Conn) serve() {
	s := c.server
	defer s.done.Done()
	defer s.forget(c)
	connections(c.path).Inc()
	defer connections(c.path).Dec()

	c.ws.SetCloseHandler(func(code int, _ string) error {
		if code == websocket.CloseNoStatusReceived {
			code = int(closeNormal)
		}
		c.shut(closeCode(code), true)
		return nil
	})
	c.ws.SetPingHandler(func(data string) error {
		c.idle.hear(s.o.Now())
		c.queue.pushUrgent(controlFrame(opPong, []byte(data)))
		return nil
	})
	c.ws.SetPongHandler(func(string) error {
		c.idle.hear(s.o.Now())
		c.ponged.Store(true)
		return nil
	})
	// The callbacks use the timers, so the variables must be set before they can fire.
	c.authTimer = time.AfterFunc(time.Hour, c.authTimeout)
	defer c.authTimer.Stop()
	c.pingTimer = time.AfterFunc(time.Hour, c.keepAlive)
	defer c.pingTimer.Stop()
	if c.native.Load() {
		// The venue's rule for silence holds, before the first message as well; an automatic pong would defeat it.
		c.authTimer.Stop()
		c.pingTimer.Stop()
	} else {
		c.authTimer.Reset(s.limits.AuthTimeout)
		c.pingTimer.Reset(s.limits.PingInterval)
	}
	c.beginIdle()
	defer c.idle.end()

	go c.writeLoop()
	c.run()
	<-c.written
}

// run handles messages until the peer is gone, and always leaves the connection closing.
func (c *Conn) run() {
	defer func() {
		if r := recover(); r != nil {
			panics.Inc()
			c.server.o.Logger.Error("socket handler panicked", "path", c.path, "panic", r, "stack", string(debug.Stack()))
			c.shut(closeInternal, true)
		}
		c.server.lobby.leave(c)
		if c.owner.Load() != nil {
			c.session.end()
			c.server.quota.give(c.owner.Load(), slotConnection)
		}
	}()
	if n, ok := c.session.(nativeSpeaker); ok {
		n.open()
	} else {
		c.greet()
	}
	c.readLoop()
	if !c.closing.Load() {
		// The peer vanished, or broke the protocol and was told so by the reader.
		c.abort()
	}
}

// readLoop hands every text message on, until reading ends.
func (c *Conn) readLoop() {
	for {
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return
		}
		if c.closing.Load() {
			continue
		}
		if kind != websocket.TextMessage {
			c.shut(closeBinary, false)
			continue
		}
		msg, err := c.read(r)
		if errors.Is(err, errTooBig) {
			c.shut(closeTooBig, false)
			continue
		}
		if brokenDeflate(err) {
			c.shutFor(closeNotUTF8, "compressed data is broken", false)
			continue
		}
		if err != nil {
			return
		}
		if !utf8.Valid(msg) {
			c.shut(closeNotUTF8, false)
			continue
		}
		messagesIn.Inc()
		c.idle.hear(c.server.o.Now())
		if n, ok := c.session.(nativeSpeaker); ok && n.message(msg) {
			continue
		}
		c.message(msg)
	}
}

var errTooBig = errors.New("message too big")

// read reads a whole message. The bytes are reused by the next one.
func (c *Conn) read(r io.Reader) ([]byte, error) {
	const keep = 4096
	if cap(c.buf) == 0 || cap(c.buf) > keep {
		c.buf = make([]byte, 0, 512)
	}
	b := c.buf[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		c.buf = b
		if int64(len(b)) > c.server.limits.MessageBytes {
			return nil, errTooBig
		}
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// message applies the rate limit and the state machine of authentication to one message.
func (c *Conn) message(text []byte) {
	if !c.rate.take(c.server.o.Now()) {
		if c.strikes++; c.strikes >= maxStrikes {
			c.send(errorFrame(codeRateLimit, "too many messages", ""))
			c.shut(closeRate, false)
			return
		}
		dropped(dropRate).Inc()
		c.send(errorFrame(codeRateLimit, "rate limit exceeded", ""))
		return
	}
	c.strikes = 0
	m, err := parseMessage(text)
	switch {
	case c.owner.Load() == nil && (err != nil || m.Type != "auth"):
		c.send(errorFrame(codeUnauthorized, "the first message must be auth", ""))
		c.shut(closeAuth, false)
	case err != nil:
		c.send(errorFrame(codeBadRequest, err.Error(), ""))
	case m.Type == "auth":
		c.auth(m)
	case m.Type == "ping":
		c.send(pongFrame)
	default:
		c.session.handle(m)
	}
}

var pongFrame = typeFrame("pong")

// send queues a finished frame that belongs to no channel.
func (c *Conn) send(frame []byte) { c.push(item{raw: frame, size: len(frame)}) }

// push queues an item; a full queue closes the connection. It returns how many frames wait.
func (c *Conn) push(it item) int {
	result, n := c.queue.push(it)
	if result == pushFull {
		c.shut(closeSlow, true)
	}
	return n
}

// fail sends an error message.
func (c *Conn) fail(code, message, channel string) { c.send(errorFrame(code, message, channel)) }

// shut begins the closing handshake: what waits is sent first, or forgotten with drop, then the close frame. Only the
// first call counts. It may be called from any goroutine and does not block.
func (c *Conn) shut(code closeCode, drop bool) { c.shutFor(code, closeReasons[code], drop) }

// shutFor is shut with a reason of its own.
func (c *Conn) shutFor(code closeCode, reason string, drop bool) {
	c.closeOnce.Do(func() {
		c.code, c.reason = code, reason
		closes(code).Inc()
		if code == closeSlow {
			dropped(dropSlow).Inc()
		}
		c.closing.Store(true)
		c.queue.seal(drop)
		if c.pipe != nil {
			c.pipe.close()
		}
		if p := c.private.Load(); p != nil {
			p.cancel()
		}
	})
}

// abort closes the socket without a word: the peer is gone.
func (c *Conn) abort() {
	c.shut(closeLost, true)
	c.raw.Close()
}

// authTimeout runs when the time for the first message is over.
func (c *Conn) authTimeout() {
	c.send(errorFrame(codeAuthTimeout, "no auth message within "+c.server.limits.AuthTimeout.String(), ""))
	c.shut(closeNoAuth, false)
}

// keepAlive sends a ping, and checks some time later that a pong came.
func (c *Conn) keepAlive() {
	l := c.server.limits
	if c.closing.Load() {
		return
	}
	if c.awaiting {
		if !c.ponged.Load() {
			c.shut(closeNoPong, true)
			return
		}
		c.awaiting = false
		c.pingTimer.Reset(max(l.PingInterval-l.PongTimeout, time.Millisecond))
		return
	}
	c.awaiting = true
	c.ponged.Store(false)
	c.queue.pushUrgent(controlFrame(opPing, nil))
	c.pingTimer.Reset(l.PongTimeout)
}
