package ws

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// flushBytes is how much a replay at "max" joins before it wakes the writer.
const flushBytes = 32 << 10

// longBlock is how long a replay waits for its client before it gives its place in the store back.
const longBlock = 200 * time.Millisecond

// keepBytes is the largest buffer that a pipe keeps when it is empty.
const keepBytes = 1 << 20

var errPipeClosed = errors.New("connection is closing")

// pipe is the way from a replay to its connection's writer: two buffers of joined frames, one being filled while the
// other is being written. When the one is full the replay waits; nothing is ever dropped.
type pipe struct {
	half int           // bytes from which a buffer counts as full
	poke func()        // wakes the writer
	room chan struct{} // capacity 1: the writer took a buffer

	mu     sync.Mutex
	fill   []byte
	spare  []byte // being written
	closed bool

	timer *time.Timer // of the one goroutine that opens the pipe; nil until it waits
}

// newPipe returns a pipe of at most about max bytes.
func newPipe(max int, poke func()) *pipe {
	return &pipe{half: max / 2, poke: poke, room: make(chan struct{}, 1)}
}

// open locks the pipe and returns the buffer to append to, once it has room. It waits for the writer; long is called
// where that takes longer than longBlock. commit must follow at once, where the error is nil. Only one goroutine opens.
func (p *pipe) open(ctx context.Context, long func()) ([]byte, error) {
	p.mu.Lock()
	for len(p.fill) >= p.half && !p.closed {
		p.mu.Unlock()
		p.poke()
		if err := p.await(ctx, long); err != nil {
			return nil, err
		}
		p.mu.Lock()
	}
	if p.closed {
		p.mu.Unlock()
		return nil, errPipeClosed
	}
	return p.fill, nil
}

// await waits until the writer took a buffer.
func (p *pipe) await(ctx context.Context, long func()) error {
	if p.timer == nil {
		p.timer = time.NewTimer(longBlock)
	} else {
		p.timer.Reset(longBlock)
	}
	defer p.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.room:
			return nil
		case <-p.timer.C:
			long()
		}
	}
}

// commit takes the extended buffer back and unlocks. The writer is woken where flush says so or enough has come together.
func (p *pipe) commit(b []byte, flush bool) {
	p.fill = b
	wake := flush || len(b) >= flushBytes
	p.mu.Unlock()
	if wake {
		p.poke()
	}
}

// send appends a finished frame whether there is room or not: acknowledgements, of which there are few.
func (p *pipe) send(frame []byte) {
	p.mu.Lock()
	if !p.closed {
		p.fill = append(p.fill, frame...)
		messagesOut.Inc()
	}
	p.mu.Unlock()
	p.poke()
}

// take returns what was appended since the last take, which is valid until the next one. Only the writer calls it.
func (p *pipe) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.fill) == 0 {
		if cap(p.fill) > keepBytes {
			p.fill = nil
		}
		if cap(p.spare) > keepBytes {
			p.spare = nil
		}
		return nil
	}
	b := p.fill
	p.fill, p.spare = p.spare[:0], b
	select {
	case p.room <- struct{}{}:
	default:
	}
	return b
}

// empty tells whether nothing waits to be written.
func (p *pipe) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.fill) == 0
}

// close ends the pipe: appending fails, what is in it is still written.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	select {
	case p.room <- struct{}{}:
	default:
	}
	p.poke()
}

// frameHead is the room left for a header before a payload is encoded: right for 126 to 65,535 bytes.
const frameHead = 4

// beginFrame leaves room for a header and returns where the frame begins.
func beginFrame(b []byte) ([]byte, int) {
	return append(b, 0, 0, 0, 0), len(b)
}

// endFrame writes the header of the text frame that begins at start, and moves the payload where it needs another size.
func endFrame(b []byte, start int) []byte {
	payload := len(b) - start - frameHead
	b[start] = finBit | opText
	switch {
	case payload < payload16:
		b[start+1] = byte(payload)
		copy(b[start+2:], b[start+frameHead:])
		return b[:len(b)-2]
	case payload <= maxPayload16:
		b[start+1] = payload16
		binary.BigEndian.PutUint16(b[start+2:], uint16(payload))
		return b
	default:
		b = append(b, 0, 0, 0, 0, 0, 0)
		copy(b[start+maxHeader:], b[start+frameHead:len(b)-6])
		b[start+1] = payload64
		binary.BigEndian.PutUint64(b[start+2:], uint64(payload))
		return b
	}
}
