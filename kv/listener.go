package kv

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// repeatEvery is how often a background error that goes on is logged again.
const repeatEvery = time.Minute

// listener receives what Pebble says: log lines and events. Pebble calls it with its own locks held, so it must never
// call the database.
type listener struct {
	log     *slog.Logger
	now     func() time.Time
	onFatal func(error)

	fatal atomic.Pointer[error]

	// Set while tables cannot be written: commits would pile up in memory and then block.
	flushErr atomic.Pointer[error]
	ended    atomic.Pointer[error] // the error of the last flush

	mu       sync.Mutex
	repeated int
	lastLog  time.Time
	stalled  time.Time

	stalls atomic.Uint64
	fsyncs latencies
}

func newListener(o Options) *listener {
	return &listener{log: o.Logger, now: o.Now, onFatal: o.OnFatal}
}

// Infof logs what Pebble tells of its normal work.
func (l *listener) Infof(format string, args ...any) {
	l.log.Debug("store engine message", "text", fmt.Sprintf(format, args...))
}

// Errorf logs what Pebble found wrong and could go on with.
func (l *listener) Errorf(format string, args ...any) {
	l.background(fmt.Errorf(format, args...))
}

// Fatalf receives what Pebble cannot go on with. Pebble expects the process to end here; we let OnFatal end it, and
// refuse every write until then.
func (l *listener) Fatalf(format string, args ...any) {
	l.fail(fmt.Errorf(format, args...))
}

// fail marks the store as failed, once.
func (l *listener) fail(cause error) {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	if !l.fatal.CompareAndSwap(nil, &err) {
		return
	}
	l.log.Error("store failed", "error", err)
	l.onFatal(err)
}

// failure returns what ended writing for good.
func (l *listener) failure() error {
	if p := l.fatal.Load(); p != nil {
		return *p
	}
	return nil
}

// background counts an error of Pebble's own work and logs the first of a series, then one line a minute: a failing
// flush is tried again thousands of times a second.
func (l *listener) background(err error) {
	backgroundErrors.Inc()
	now := l.now()
	l.mu.Lock()
	if !l.lastLog.IsZero() && now.Sub(l.lastLog) < repeatEvery {
		l.repeated++
		l.mu.Unlock()
		return
	}
	n := l.repeated
	l.repeated, l.lastLog = 0, now
	l.mu.Unlock()
	l.log.Error("store background error", "error", err, "repeated", n)
}

func (l *listener) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			// A flush that failed tells FlushEnd first and then here; one that only found nothing to write tells
			// FlushEnd alone.
			if p := l.ended.Load(); p != nil && errors.Is(err, *p) {
				l.flushErr.Store(&err)
			}
			l.background(err)
		},
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err == nil {
				l.ended.Store(nil)
				l.flushErr.Store(nil)
				return
			}
			l.ended.Store(&i.Err)
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			// Reads of the damaged place return errors; the rest of the store stays usable.
			corruptions.Inc()
			l.background(fmt.Errorf("damaged file %s: %w", i.Path, i.Details))
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			stalls.Inc()
			l.stalls.Add(1)
			l.mu.Lock()
			l.stalled = l.now()
			l.mu.Unlock()
			l.log.Warn("store write stall", "reason", i.Reason)
		},
		WriteStallEnd: func() {
			l.mu.Lock()
			d := l.now().Sub(l.stalled)
			l.mu.Unlock()
			stallSeconds.Add(d.Seconds())
			l.log.Info("store write stall over", "duration_ms", d.Milliseconds())
		},
	}
}

// latencies keeps the last 1,024 durations. It is lock-free: a reader may see a mixture of old and new ones.
type latencies struct {
	n atomic.Uint64
	d [1024]atomic.Int64
}

func (l *latencies) add(d time.Duration) {
	l.d[(l.n.Add(1)-1)%uint64(len(l.d))].Store(int64(d))
}
