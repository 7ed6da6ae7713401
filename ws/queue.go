package ws

import "sync"

// item is one entry of a connection's queue.
type item struct {
	frame *Frame        // a channel's frame; nil for raw
	raw   []byte        // finished bytes: acknowledgements, errors, a resumed run of frames
	sub   *subscription // whose frame it is; nil for what belongs to no channel
	// newest marks the place where a conflated book goes: the writer asks the channel for its state of that moment.
	newest bool
	size   int
	// messages is how many data messages raw holds, for plans that meter them; a frame is one.
	messages int
}

// data is how many data messages an item is. A gap is told for nothing.
func (it *item) data() int {
	if it.frame != nil && !it.frame.lasting {
		return it.frame.messages()
	}
	return it.messages
}

// frames is how many frames of the contract's bound an item is.
func (it *item) frames() int {
	if it.frame != nil {
		return it.frame.messages()
	}
	return 1
}

// queue holds what waits for a connection's writer. Many goroutines push, one takes. It is bounded in frames and bytes:
// a push that would pass a bound fails, and the connection closes with 4011.
type queue struct {
	maxFrames, maxBytes int

	mu     sync.Mutex
	items  []item // ring buffer
	head   int
	n      int
	frames int // that the n items hold
	bytes  int
	ping   []byte // to send before anything else; nil if none
	pong   []byte // the latest one, likewise
	sealed bool   // nothing more is taken in
	idle   bool   // the writer has taken everything: the next push wakes it
	wake   chan struct{}
	room   chan struct{} // told when fewer wait, where somebody awaits it; nil if not
}

// smallQueue is the largest ring that an idle connection keeps.
const smallQueue = 64

func newQueue(maxFrames, maxBytes int) *queue {
	return &queue{maxFrames: maxFrames, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// pushResult says what became of a pushed item.
type pushResult uint8

const (
	pushed   pushResult = iota
	pushFull            // a bound is passed: the connection must close
	pushDead            // the queue was sealed before: the connection is closing
)

// push appends an item and returns how many frames wait now. What is larger than a bound by itself is taken by an empty
// queue: its receiver is not behind.
func (q *queue) push(it item) (pushResult, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sealed {
		return pushDead, q.frames
	}
	if q.n > 0 && (q.frames+it.frames() > q.maxFrames || q.bytes+it.size > q.maxBytes) {
		return pushFull, q.frames
	}
	q.put(it)
	queuedBytes.Add(int64(it.size))
	q.signal()
	return pushed, q.frames
}

func (q *queue) put(it item) {
	if q.n == len(q.items) {
		q.grow()
	}
	q.items[(q.head+q.n)&(len(q.items)-1)] = it
	q.n++
	q.frames += it.frames()
	q.bytes += it.size
}

// grow doubles the ring, whose length is a power of two.
func (q *queue) grow() {
	ring := make([]item, max(8, 2*len(q.items)))
	for i := range q.n {
		ring[i] = q.items[(q.head+i)&(len(q.items)-1)]
	}
	q.items, q.head = ring, 0
}

func (q *queue) signal() {
	if !q.idle {
		return
	}
	q.idle = false
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// poke wakes the writer without adding an item.
func (q *queue) poke() {
	q.mu.Lock()
	q.signal()
	q.mu.Unlock()
}

// pushUrgent sends a ping or a pong before what waits; of several pongs only the latest is sent, as RFC 6455 allows.
func (q *queue) pushUrgent(frame []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sealed {
		return
	}
	if frame[0]&opcodeBits == opPing {
		q.ping = frame
	} else {
		q.pong = frame
	}
	q.signal()
}

// seal takes nothing more in; with drop it also forgets what waits.
func (q *queue) seal(drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sealed = true
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	if drop {
		queuedBytes.Add(-int64(q.bytes))
		q.items, q.head, q.n, q.frames, q.bytes = nil, 0, 0, 0, 0
	}
	q.signal()
}

// conflate removes the waiting data frames of a subscription and puts one item in their stead at the end.
func (q *queue) conflate(sub *subscription) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sealed {
		return
	}
	kept, mask := 0, len(q.items)-1
	for i := range q.n {
		it := q.items[(q.head+i)&mask]
		if it.sub == sub && it.frame != nil && !it.frame.lasting {
			q.frames -= it.frames()
			q.bytes -= it.size
			queuedBytes.Add(-int64(it.size))
			continue
		}
		q.items[(q.head+kept)&mask] = it
		kept++
	}
	for i := kept; i < q.n; i++ {
		q.items[(q.head+i)&mask] = item{}
	}
	q.n = kept
	q.put(item{sub: sub, newest: true})
	q.signal()
}

// take moves waiting items into dst until it is full or holds about maxBytes, and returns it with the urgent frames. Where
// none are left behind, the writer writes these and waits for wake, without asking again.
func (q *queue) take(dst []item, maxBytes int) (items []item, urgent []byte, left bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	urgent, q.ping, q.pong = append(q.pong, q.ping...), nil, nil
	before := q.bytes
	for q.n > 0 && len(dst) < cap(dst) && maxBytes > 0 {
		it := &q.items[q.head]
		dst = append(dst, *it)
		maxBytes -= it.size
		q.bytes -= it.size
		q.frames -= it.frames()
		*it = item{}
		q.head = (q.head + 1) & (len(q.items) - 1)
		q.n--
	}
	if q.room != nil && len(dst) > 0 {
		close(q.room)
		q.room = nil
	}
	if q.bytes != before {
		queuedBytes.Add(int64(q.bytes - before))
	}
	if q.n == 0 && len(q.items) > smallQueue {
		q.items, q.head = nil, 0
	}
	q.idle = q.n == 0 && !q.sealed
	return dst, urgent, q.n > 0
}

// waiting returns how many frames wait.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.frames
}

// await waits until there is room for an item of size bytes, or until done is closed, and tells whether there is. Fewer than
// most items wait then, and no more than half of the bytes that may: the rest is for those who do not wait. What is larger
// waits for an empty queue.
func (q *queue) await(most, size int, done <-chan struct{}) bool {
	for {
		q.mu.Lock()
		if q.sealed || q.n == 0 || q.n < most && q.bytes+size <= q.maxBytes/2 {
			defer q.mu.Unlock()
			return !q.sealed
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-done:
			return false
		}
	}
}
