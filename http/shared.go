package http

import (
	"io"
	"sync"
)

// envelopeHead opens every successful answer.
const envelopeHead = `{"success":true,"data":`

// sharedMost is the largest answer that is sent in two pieces. What does not fit into the write buffer beside its head
// would take one write more.
const sharedMost = writeBuffer - 4<<10

// sharedBody is an answer whose first part many requests share: the envelope's head and the data, encoded once. Only the
// tail (request id, time) is the request's own. Sent as a stream that knows how to write itself, the shared part goes
// straight into the connection's buffer instead of being copied into a body first.
type sharedBody struct {
	first []byte // shared, never written to
	own   bool   // first is nobody else's: its room is for other large answers then
	tail  []byte
	at    int // of Read; WriteTo does without
}

var sharedBodies = sync.Pool{New: func() any { return &sharedBody{tail: make([]byte, 0, 256)} }}

// sendShared makes first and the envelope's tail the answer.
func (c *call) sendShared(first []byte, m meta) {
	b := sharedBodies.Get().(*sharedBody)
	b.first, b.at = first, 0
	b.tail = c.appendTail(b.tail[:0], m)
	c.ctx.Response.SetBodyStream(b, len(b.first)+len(b.tail))
}

// WriteTo writes both parts. The writer is the connection's buffer, which keeps an error until it is flushed.
func (b *sharedBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.first)
	if err != nil {
		return int64(n), err
	}
	m, err := w.Write(b.tail)
	return int64(n + m), err
}

// Read serves whoever wants the answer as a plain stream.
func (b *sharedBody) Read(p []byte) (n int, err error) {
	for _, part := range [...][]byte{b.first[min(b.at, len(b.first)):], b.tail[max(0, b.at-len(b.first)):]} {
		m := copy(p[n:], part)
		n += m
		b.at += m
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close gives the value back once the answer was written, or could not be.
func (b *sharedBody) Close() error {
	if b.own && cap(b.first) <= reusedBody {
		room := b.first
		largeBodies.Put(&room)
	}
	b.first, b.own = nil, false
	sharedBodies.Put(b)
	return nil
}
