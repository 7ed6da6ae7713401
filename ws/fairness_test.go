package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hyperlight/engine/model"
)

const (
	tickTrades = 50  // published at once
	calmTicks  = 32  // about as many as it takes until who does not read is closed
	mostTicks  = 400 // by then who does not read must be closed
)

// TestStalledClientsDelayNobody has three in ten of the clients stop reading, and compares what the others see with the
// run before it, in which all read: nothing is lost or reordered, the latency is about the same, and those who stopped
// find a close with 4011 behind frames without a hole. HYPERLIGHT_SOAK runs it with 2,000 clients and a strict bound.
func TestStalledClientsDelayNobody(t *testing.T) {
	clients, pairs, bound := 100, 3, 4.0
	soak := os.Getenv("HYPERLIGHT_SOAK") != ""
	if soak {
		clients, pairs, bound = 2000, 7, 1.5
	}
	stalled := clients * 3 / 10
	// Nobody answers pings, and who stops reading is to find its close frame however long the ticks take.
	h := serveOn(t, smallBuffers(t), Options{Limits: Limits{PingInterval: time.Hour, WriteTimeout: time.Hour}})
	k := newMaker(h.s.Hub(), 0)
	var crowd crowd
	defer crowd.leave()
	for range clients - stalled {
		crowd.join(t, h)
	}
	var ratios []float64
	for range pairs {
		guests := crowd.joinAll(t, h, stalled)
		crowd.settle(t, k)
		for range calmTicks {
			crowd.tick(t, k)
		}
		calm := crowd.latency(0.99)
		crowd.dismiss(guests)

		var still []net.Conn
		for range stalled {
			still = append(still, h.plain(t, "trade/0"))
		}
		first := crowd.seq + 1
		crowd.settle(t, k)
		slow := closes(closeSlow).Get()
		for n := 0; closes(closeSlow).Get()-slow < uint64(stalled); n++ {
			if n == mostTicks {
				t.Fatalf("%d of %d stalled clients are closed after %d ticks", closes(closeSlow).Get()-slow, stalled, n)
			}
			crowd.tick(t, k)
		}
		with := crowd.latency(0.99)
		ratios = append(ratios, float64(with)/float64(calm))
		t.Logf("p99 %v in %d ticks with stalled clients, %v without", with, len(crowd.members[0].latencies), calm)
		for _, c := range still {
			if err := endsSlow(c, first); err != nil {
				t.Errorf("stalled client: %v", err)
			}
		}
	}
	slices.Sort(ratios)
	got := ratios[0] // what else runs on a machine comes and goes: who delays others does so each time
	if soak {
		got = ratios[len(ratios)/2]
	}
	if got > bound {
		t.Errorf("p99 is %.2f times that without stalled clients, want at most %v; all pairs: %.2f", got, bound, ratios)
	}
}

// smallBuffers has the kernel keep little for those who do not read: otherwise megabytes each, which only takes longer.
func smallBuffers(t *testing.T) net.Listener {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 128<<10) })
		return errors.Join(failed, err)
	}}
	ln, err := c.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// crowd is clients that read everything, and know when each tick has come.
type crowd struct {
	members []*member
	began   time.Time
	seq     uint64 // of the last trade published
	behind  atomic.Int64
	caught  chan struct{} // everybody has the tick
}

// member is one of them.
type member struct {
	conn      net.Conn
	next      uint64
	latencies []time.Duration
	done      sync.WaitGroup
	err       error
}

func (w *crowd) join(t *testing.T, h *harness) *member {
	t.Helper()
	if w.caught == nil {
		w.caught, w.began, w.seq = make(chan struct{}, 1), time.Now(), 1 // the state at the activation counts as the first
	}
	m := &member{conn: h.plain(t, "trade/0"), next: w.seq + 1}
	m.done.Go(func() { m.err = w.read(m) })
	w.members = append(w.members, m)
	return m
}

func (w *crowd) joinAll(t *testing.T, h *harness, n int) (joined []*member) {
	t.Helper()
	for range n {
		joined = append(joined, w.join(t, h))
	}
	return joined
}

func (w *crowd) dismiss(who []*member) {
	for _, m := range who {
		m.conn.Close()
		m.done.Wait()
	}
	w.members = slices.DeleteFunc(w.members, func(m *member) bool { return slices.Contains(who, m) })
}

func (w *crowd) leave() { w.dismiss(slices.Clone(w.members)) }

// tick publishes some trades and waits until everybody has them.
func (w *crowd) tick(t *testing.T, k *maker) {
	t.Helper()
	w.behind.Store(int64(len(w.members)))
	b := model.TradeBatch{}
	for range tickTrades {
		w.seq++
		b.Rows = append(b.Rows, model.Trade{ID: w.seq, Price: 1, Size: 1, USD: 1})
	}
	for i := range b.Rows {
		b.Rows[i].Block = uint64(time.Since(w.began)) // comes back as block_height
	}
	k.event(&b, nil)
	select {
	case <-w.caught:
	case <-time.After(2 * time.Minute):
		var first error
		for _, m := range w.members {
			m.conn.Close()
			if m.done.Wait(); first == nil && !errors.Is(m.err, net.ErrClosed) {
				first = m.err
			}
		}
		t.Fatalf("%d of %d clients did not get everything; the first one: %v", w.behind.Load(), len(w.members), first)
	}
}

func (w *crowd) read(m *member) error {
	return eachMessage(m.conn, func(op byte, payload []byte) error {
		if op != opText {
			return errors.New("not a text frame: " + string(payload))
		}
		seq := memberNumber(payload, `"seq":`)
		if seq != m.next {
			return errors.New("seq " + strconv.FormatUint(seq, 10) + ", want " + strconv.FormatUint(m.next, 10))
		}
		m.next++
		if seq%tickTrades == 1 { // the last one of a tick, as seqs begin with 2
			m.latencies = append(m.latencies, time.Since(w.began)-time.Duration(memberNumber(payload, `"block_height":`)))
			if w.behind.Add(-1) == 0 {
				w.caught <- struct{}{}
			}
		}
		return nil
	})
}

// settle has a tick pay for what new clients cost once, and forgets the latencies up to there.
func (w *crowd) settle(t *testing.T, k *maker) {
	t.Helper()
	runtime.GC()
	w.tick(t, k)
	for _, m := range w.members {
		m.latencies = m.latencies[:0]
	}
}

func (w *crowd) latency(quantile float64) time.Duration {
	var all []time.Duration
	for _, m := range w.members {
		all = append(all, m.latencies...)
	}
	slices.Sort(all)
	return all[int(quantile*float64(len(all)-1))]
}

// endsSlow reads what a stalled client has left: frames without a hole, then a close with 4011.
func endsSlow(c net.Conn, first uint64) error {
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	next, code := first, 0
	err := eachMessage(c, func(op byte, payload []byte) error {
		switch op {
		case opClose:
			code = int(binary.BigEndian.Uint16(payload))
		case opText:
			if seq := memberNumber(payload, `"seq":`); seq != next {
				return errors.New("seq " + strconv.FormatUint(seq, 10) + ", want " + strconv.FormatUint(next, 10))
			}
			next++
		}
		return nil
	})
	if err == io.EOF && code != int(closeSlow) {
		return errors.New("closed with " + strconv.Itoa(code))
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// eachMessage calls fn with every message that a server sends, until reading or fn fails.
func eachMessage(r io.Reader, fn func(op byte, payload []byte) error) error {
	buf, n := make([]byte, 32<<10), 0
	for {
		got, err := r.Read(buf[n:])
		if err != nil {
			return err
		}
		n += got
		rest := buf[:n]
		for len(rest) >= maxHeader && len(rest) >= frameLen(rest) || len(rest) >= 2 && rest[1] < payload16 && len(rest) >= frameLen(rest) {
			size := frameLen(rest)
			if err := fn(rest[0]&0xf, rest[size-payloadLen(rest):size]); err != nil {
				return err
			}
			rest = rest[size:]
		}
		n = copy(buf, rest)
	}
}

// memberNumber reads the number behind a name that occurs once.
func memberNumber(payload []byte, name string) (n uint64) {
	i := bytes.Index(payload, []byte(name))
	if i < 0 {
		return 0
	}
	for _, d := range payload[i+len(name):] {
		if d < '0' || d > '9' {
			break
		}
		n = 10*n + uint64(d-'0')
	}
	return n
}
