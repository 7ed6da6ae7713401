package ws

import (
	"errors"
	"os"
	"runtime/debug"
	"sync"
)

const (
	joinBytes  = 64 << 10 // frames are joined into pieces of this size
	joinItems  = 256
	aloneBytes = 16 << 10 // a frame of this size is written by itself rather than copied
)

// joiner is the writer's working memory. It is lent for as long as there is something to write, so that idle
// connections hold none.
type joiner struct {
	items [joinItems]item
	buf   []byte
}

var joiners = sync.Pool{New: func() any { return &joiner{buf: make([]byte, 0, joinBytes)} }}

// writeLoop is the only writer of the socket. It ends after the close frame, or when a write fails.
func (c *Conn) writeLoop() {
	defer close(c.written)
	defer func() {
		if r := recover(); r != nil {
			panics.Inc()
			c.server.o.Logger.Error("socket writer panicked", "path", c.path, "panic", r, "stack", string(debug.Stack()))
			c.abort()
		}
	}()
	for {
		more, err := c.writeSome()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.shut(closeSlow, true)
			}
			c.abort()
			return
		}
		if more {
			continue
		}
		if c.closing.Load() && c.drained() {
			break
		}
		<-c.queue.wake
	}
	c.sayGoodbye()
}

// drained tells whether a closing connection has written all it will.
func (c *Conn) drained() bool { return c.queue.waiting() == 0 && (c.pipe == nil || c.pipe.empty()) }

// writeSome writes one round of what waits; more is false when it took everything: whatever comes meanwhile wakes the writer.
func (c *Conn) writeSome() (more bool, err error) {
	j := joiners.Get().(*joiner)
	items, urgent, left := c.queue.take(j.items[:0], joinBytes)
	defer j.put(len(items))
	if len(items) == 0 && urgent == nil {
		if c.pipe == nil {
			return false, nil
		}
		return c.writePipe()
	}
	j.buf = append(j.buf[:0], urgent...)
	as := format(c.as.Load())
	messages := 0
	for i := range items {
		it := &items[i]
		messages += it.frames()
		if it.newest {
			if paid, err := c.writeNewest(j, it.sub, as); err != nil {
				return false, err
			} else if !paid {
				return c.overspent(j)
			}
			continue
		}
		if !c.spend(it.data()) {
			return c.overspent(j)
		}
		b := it.raw
		if it.frame != nil {
			b = it.frame.bytes(as)
		}
		if err := c.join(j, b); err != nil {
			return false, err
		}
	}
	messagesOut.Add(messages)
	return left || c.pipe != nil, c.flush(j)
}

// put returns the memory, of which so many items were used; they must not keep frames alive.
func (j *joiner) put(used int) {
	clear(j.items[:used])
	j.buf = j.buf[:0]
	joiners.Put(j)
}

// join appends a frame to the piece, and writes the piece where it is full.
func (c *Conn) join(j *joiner, b []byte) error {
	if len(b) >= aloneBytes || len(j.buf)+len(b) > joinBytes {
		if err := c.flush(j); err != nil {
			return err
		}
		if len(b) >= aloneBytes {
			return c.write(b)
		}
	}
	j.buf = append(j.buf, b...)
	return nil
}

func (c *Conn) flush(j *joiner) error {
	if len(j.buf) == 0 {
		return nil
	}
	err := c.write(j.buf)
	j.buf = j.buf[:0]
	return err
}

// writeNewest sends the present state of a conflated channel, after the gaps that it has missed. paid is false where the
// owner's credits do not suffice.
func (c *Conn) writeNewest(j *joiner, sub *subscription, as format) (paid bool, err error) {
	for _, f := range sub.source.catchUp(sub) {
		if !f.lasting && !c.spend(1) {
			return false, nil
		}
		if err := c.join(j, f.bytes(as)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// writePipe writes the replay's joined frames.
func (c *Conn) writePipe() (more bool, err error) {
	b := c.pipe.take()
	if len(b) == 0 {
		return false, nil
	}
	return true, c.write(b)
}

// write gives every write at least the write time-out. The deadline is a timer of the runtime, as dear as a small write:
// it is moved only where too little of it is left.
func (c *Conn) write(b []byte) error {
	timeout := c.server.limits.WriteTimeout
	if now := c.server.o.Now(); now.Sub(c.deadlined) > timeout/8 {
		if err := c.raw.SetWriteDeadline(now.Add(timeout + timeout/8)); err != nil {
			return err
		}
		c.deadlined = now
	}
	_, err := c.raw.Write(b)
	bytesOut.Add(len(b))
	return err
}

// sayGoodbye sends the close frame and gives the peer some time to answer it. The sending direction is closed, so that
// what the peer has not read yet still reaches it.
func (c *Conn) sayGoodbye() {
	if err := c.write(closeFrame(c.code, c.reason)); err != nil {
		c.raw.Close()
		return
	}
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the read deadline ends the connection in any case
	}
	_ = c.raw.SetReadDeadline(c.server.o.Now().Add(c.server.limits.CloseTimeout))
}
