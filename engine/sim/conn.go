package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
)

// conn is one client socket. The reader goroutine owns held and accounts, the writer goroutine every write; anyone may
// call send.
type conn struct {
	srv *server
	ws  *websocket.Conn
	raw net.Conn // below the hijack wrapper: joined frames leave in one write
	ip  string

	held     map[string]channel
	accounts map[int64]int // subscribed accounts and how many channels each has
	waiting  chan struct{} // one token per unanswered message

	mu      sync.Mutex
	queue   [][]byte
	bytes   int
	leaving bool // nothing more is queued; the writer flushes and closes
	slow    bool // the queue overflowed: the writer closes without flushing
	wake    chan struct{}
}

const (
	maxMessage   = 64 << 10
	writeTimeout = 10 * time.Second
	joinBytes    = 64 << 10
)

func newConn(s *server, ws *websocket.Conn, ip string) *conn {
	c := &conn{srv: s, ws: ws, raw: ws.NetConn(), ip: ip, held: make(map[string]channel), accounts: make(map[int64]int),
		wake: make(chan struct{}, 1)}
	if u, ok := c.raw.(interface{ UnsafeConn() net.Conn }); ok {
		c.raw = u.UnsafeConn()
	}
	return c
}

// send queues a finished frame. It never blocks: a client that lets too much pile up is cut off.
func (c *conn) send(f []byte) {
	c.mu.Lock()
	if c.leaving {
		c.mu.Unlock()
		return
	}
	c.queue = append(c.queue, f)
	c.bytes += len(f)
	if l := c.srv.limits; len(c.queue) > l.QueueFrames || c.bytes > l.QueueKB<<10 {
		c.leaving, c.slow, c.queue = true, true, nil
	}
	c.mu.Unlock()
	c.signal()
}

func (c *conn) sendText(text []byte) { c.send(serverFrame(opText, text)) }

// leave queues a close frame and lets the writer finish.
func (c *conn) leave(code uint16, reason string) {
	c.mu.Lock()
	if !c.leaving {
		c.queue = append(c.queue, closeFrame(code, reason))
		c.leaving = true
	}
	c.mu.Unlock()
	c.signal()
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write is the writer goroutine: it joins what is queued and ends when the connection leaves or fails.
func (c *conn) write() {
	defer c.raw.Close()
	var spare [][]byte
	buf := make([]byte, 0, joinBytes)
	for range c.wake {
		c.mu.Lock()
		frames, leaving, slow := c.queue, c.leaving, c.slow
		c.queue, c.bytes = spare[:0], 0
		c.mu.Unlock()
		if slow {
			c.srv.log.Warn("slow client disconnected", "client", c.ip)
			return
		}
		buf = buf[:0]
		for i, f := range frames {
			buf = append(buf, f...)
			frames[i] = nil
			if len(buf) < joinBytes && i+1 < len(frames) {
				continue
			}
			if err := c.raw.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return
			}
			if _, err := c.raw.Write(buf); err != nil {
				return
			}
			buf = buf[:0]
		}
		if cap(buf) > 16*joinBytes {
			buf = make([]byte, 0, joinBytes)
		}
		spare = frames
		if leaving {
			return
		}
	}
}

// serve runs the connection until it ends: greeting, then the read loop.
func (c *conn) serve() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	c.ws.SetReadLimit(maxMessage)
	idle := func() { _ = c.ws.SetReadDeadline(time.Now().Add(c.srv.limits.IdleTimeout)) }
	c.ws.SetPingHandler(func(data string) error {
		idle()
		c.send(serverFrame(opPong, []byte(data)))
		return nil
	})
	c.ws.SetPongHandler(func(string) error { idle(); return nil })
	c.ws.SetCloseHandler(func(int, string) error { return nil })

	d := newDialogue(c)
	defer func() {
		if r := recover(); r != nil { // the library's connection goroutine would end the process
			c.srv.log.Error("connection failed", "client", c.ip, "panic", fmt.Sprint(r))
			c.leave(websocket.CloseInternalServerErr, "")
		}
		d.stop()
		h := c.srv.src.stream()
		h.mu.Lock()
		for key := range c.held {
			h.leave(key, c)
		}
		h.mu.Unlock()
		writer.Wait()
	}()
	c.sendText(appendGreeting(nil))
	for {
		idle()
		_, msg, err := c.ws.ReadMessage()
		if err != nil {
			c.leave(closeReason(err))
			return
		}
		d.receive(msg)
	}
}

// closeReason is how the venue ends a connection whose reading failed.
func closeReason(err error) (code uint16, reason string) {
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return websocket.CloseNormalClosure, ""
	case errors.Is(err, os.ErrDeadlineExceeded):
		return websocket.CloseNormalClosure, "i/o timeout"
	case errors.Is(err, websocket.ErrReadLimit):
		return websocket.CloseMessageTooBig, ""
	}
	return websocket.CloseGoingAway, ""
}
