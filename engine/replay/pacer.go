package replay

import (
	"container/heap"
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	// fineFrom is how long before its time a wait goes from the runtime's timer, which may be a millisecond late, to the
	// pacer.
	fineFrom = 2 * time.Millisecond
	// pacerStep is the longest sleep of the pacer's thread: a wait that comes meanwhile is seen after it.
	pacerStep = 100 * time.Microsecond
	// pacerEarly is how much before its time a wait ends: waking takes longer, and what is less than early before its time is
	// sent.
	pacerEarly = 75 * time.Microsecond
	// pacerIdle is how long the thread stays without any wait.
	pacerIdle = 200 * time.Millisecond
)

// Pacer ends waits within about a tenth of a millisecond of their time, where the runtime's timers are up to a
// millisecond late. One thread sleeps for all players that share a pacer, and only while one of them is due within
// fineFrom; that costs a few per cent of a core. Any goroutine may use it.
type Pacer struct {
	now func() time.Time

	mu      sync.Mutex
	waits   waitHeap
	running bool
	woken   chan struct{} // capacity 1: a wait came while there was none
}

// NewPacer returns a pacer; its thread starts with the first wait. A nil clock means time.Now.
func NewPacer(now func() time.Time) *Pacer {
	if now == nil {
		now = time.Now
	}
	return &Pacer{now: now}
}

// fineWait is one player's wait. It is used again by the same player.
type fineWait struct {
	due   time.Time
	place int // in the heap, -1 outside
	done  chan struct{}
}

func newFineWait() *fineWait { return &fineWait{place: -1, done: make(chan struct{}, 1)} }

// add lets w end at its time.
func (p *Pacer) add(w *fineWait) {
	select {
	case <-w.done: // of a wait that was given up as it ended
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	heap.Push(&p.waits, w)
	if !p.running {
		p.running, p.woken = true, make(chan struct{}, 1)
		go p.run(p.woken)
	} else if len(p.waits) == 1 {
		select {
		case p.woken <- struct{}{}:
		default:
		}
	}
}

// remove gives a wait up.
func (p *Pacer) remove(w *fineWait) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.place >= 0 {
		heap.Remove(&p.waits, w.place)
	}
}

// run ends waits until none has come for a while. Its thread is its own and ends with it.
func (p *Pacer) run(woken <-chan struct{}) {
	runtime.LockOSThread()
	sharpen()
	idle := time.NewTimer(pacerIdle)
	defer idle.Stop()
	for {
		next, ended := p.end(p.now())
		if ended {
			// Those who were woken run on this thread's processor before it blocks, or nobody may run them for long.
			runtime.Gosched()
		}
		switch {
		case next < 0:
			idle.Reset(pacerIdle)
			select {
			case <-woken:
			case <-idle.C:
				if p.stop() {
					return
				}
			}
		case next > 0:
			sleepThread(min(next, pacerStep))
		}
	}
}

// end ends what is due and returns how long the next wait has, below zero where there is none.
func (p *Pacer) end(now time.Time) (next time.Duration, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waits) > 0 {
		w := p.waits[0]
		if left := w.due.Sub(now) - pacerEarly; left > 0 {
			return left, ended
		}
		heap.Pop(&p.waits)
		w.done <- struct{}{}
		ended = true
	}
	return -1, ended
}

// stop ends the thread where it has nothing to do.
func (p *Pacer) stop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = len(p.waits) > 0
	return !p.running
}

// sleep waits for d, or until wake gives something; woken tells which.
func (p *Pacer) sleep(ctx context.Context, w *fineWait, d time.Duration, wake <-chan struct{}) (woken bool, err error) {
	w.due = p.now().Add(d)
	p.add(w)
	select {
	case <-w.done:
		return false, nil
	case <-ctx.Done():
		p.remove(w)
		return false, ctx.Err()
	case <-wake:
		p.remove(w)
		return true, nil
	}
}

// waitHeap is a heap of waits by their time.
type waitHeap []*fineWait

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for package heap.
func (h *waitHeap) Push(x any) {
	w := x.(*fineWait)
	w.place = len(*h)
	*h = append(*h, w)
}

// Pop is for package heap.
func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	w.place = -1
	return w
}
