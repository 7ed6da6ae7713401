package kv

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyperlight/kv/key"
)

// Counters of all stores of the process. Gauges are per store and live in a set of their own (register).
var (
	commits          = metrics.NewCounter("hyperlight_storage_commits_total")
	commitBytes      = metrics.NewCounter("hyperlight_storage_commit_bytes_total")
	stalls           = metrics.NewCounter("hyperlight_storage_stalls_total")
	stallSeconds     = metrics.NewFloatCounter("hyperlight_storage_stall_seconds_total")
	backgroundErrors = metrics.NewCounter("hyperlight_storage_background_errors_total")
	corruptions      = metrics.NewCounter("hyperlight_storage_corruptions_total")
	walFsync         = metrics.NewSummaryExt("hyperlight_storage_wal_fsync_seconds", 5*time.Minute, []float64{0.5, 0.9, 0.99, 0.999})
)

// checkEvery is how old the figures of the disk and of the database may be.
const checkEvery = time.Second

// Health is what the store says about itself.
type Health struct {
	ReadOnly       bool          // writes are refused for want of space, or because tables cannot be written
	Reason         error         // why; nil normally
	Failed         error         // what ended writing for good; nil normally
	FreeBytes      uint64        // of the disk; 0 where the file system does not tell
	Bytes          uint64        // what the store takes on disk
	CompactionDebt uint64        // bytes that compactions still have to rewrite
	Stalls         uint64        // how often writes had to wait for compactions since Open
	FsyncP99       time.Duration // of the last 1,024 syncs of the log
}

// Metrics returns the store's health; figures are at most a second old. After Close it returns the last ones.
func (s *Store) Metrics() Health {
	h := s.stats.get(s)
	h.Reason = s.shortOfSpace()
	h.ReadOnly = h.Reason != nil
	h.Failed = s.l.failure()
	h.FreeBytes = s.space.free()
	h.Stalls = s.l.stalls.Load()
	h.FsyncP99 = s.l.fsyncs.quantile(99)
	return h
}

// statsCache keeps what is costly to ask of the database.
type statsCache struct {
	mu   sync.Mutex
	at   time.Time
	last Health
}

func (c *statsCache) get(s *Store) Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := s.o.Now()
	if !c.at.IsZero() && now.Sub(c.at) < checkEvery {
		return c.last
	}
	if s.enter() != nil {
		return c.last
	}
	defer s.leave()
	if s.stuck.Load() { // Pebble's locks are lost
		return c.last
	}
	m := s.db.Metrics()
	c.at = now
	c.last = Health{Bytes: m.DiskSpaceUsage(), CompactionDebt: m.Compact.EstimatedDebt}
	return c.last
}

// writable returns why a commit must be refused.
func (s *Store) writable() error {
	if err := s.l.failure(); err != nil {
		return err
	}
	return s.shortOfSpace()
}

// shortOfSpace returns ErrReadOnly, with the reason, while the disk cannot take more.
func (s *Store) shortOfSpace() error {
	if p := s.l.flushErr.Load(); p != nil {
		return fmt.Errorf("%w: writing tables fails: %w", ErrReadOnly, *p)
	}
	return s.space.check(s.o)
}

// spaceWatch asks the file system for its free space, at most once a second.
type spaceWatch struct {
	mu   sync.Mutex
	at   time.Time
	left uint64
	low  bool // below the minimum: read-only
	near bool // the operator was told that the minimum is near
}

// nearMinimum is how many times the minimum must be free for silence. Pebble's own warning is a tenth of the disk, which is
// 400 GB of a large one and would stand on the screen of every command.
const nearMinimum = 4

func (w *spaceWatch) check(o Options) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := o.Now(); w.at.IsZero() || now.Sub(w.at) >= checkEvery {
		w.at = now
		w.measure(o)
	}
	if w.low {
		return fmt.Errorf("%w: %d bytes free, %d are the minimum", ErrReadOnly, w.left, o.MinFree)
	}
	return nil
}

// measure goes back to writing only an eighth above the minimum, so that the state does not flutter at the edge.
func (w *spaceWatch) measure(o Options) {
	u, err := o.fs.GetDiskUsage(o.Dir)
	if err != nil {
		if !errors.Is(err, vfs.ErrUnsupported) {
			backgroundErrors.Inc()
		}
		w.left, w.low = 0, false
		return
	}
	limit := uint64(max(o.MinFree, 0))
	if w.low {
		limit += limit / 8
	}
	low := u.AvailBytes < limit
	if low != w.low {
		o.Logger.Warn("store free space crossed the minimum", "read_only", low, "free_bytes", u.AvailBytes, "min_free_bytes", o.MinFree)
	}
	w.left, w.low = u.AvailBytes, low
	switch near := u.AvailBytes/nearMinimum < uint64(max(o.MinFree, 0)); {
	case near && !w.near && !low:
		o.Logger.Warn("store free space near the minimum", "free_bytes", u.AvailBytes, "min_free_bytes", o.MinFree)
		w.near = true
	case u.AvailBytes/nearMinimum/2 >= uint64(max(o.MinFree, 0)): // twice as far away: told anew the next time
		w.near = false
	}
}

func (w *spaceWatch) free() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}

// quantile returns the given percentile of the durations kept, 0 where there are none.
func (l *latencies) quantile(percent int) time.Duration {
	n := min(int(l.n.Load()), len(l.d))
	if n == 0 {
		return 0
	}
	d := make([]int64, n)
	for i := range d {
		d[i] = l.d[i].Load()
	}
	slices.Sort(d)
	return time.Duration(d[(n*percent+99)/100-1])
}

// register puts the store's gauges up and returns what takes them down.
func (s *Store) register() func() {
	set := metrics.NewSet()
	gauge := func(name string, f func(h Health) uint64) {
		set.NewGauge("hyperlight_storage_"+name, func() float64 { return float64(f(s.Metrics())) })
	}
	gauge("free_bytes", func(h Health) uint64 { return h.FreeBytes })
	gauge("bytes", func(h Health) uint64 { return h.Bytes })
	gauge("compaction_debt_bytes", func(h Health) uint64 { return h.CompactionDebt })
	gauge("read_only", func(h Health) uint64 {
		if h.ReadOnly || h.Failed != nil {
			return 1
		}
		return 0
	})
	for _, f := range key.Families {
		set.NewGauge(fmt.Sprintf("hyperlight_storage_family_bytes{family=%q}", f.Name()), func() float64 { return float64(s.sizes.bytes(s, f)) })
	}
	metrics.RegisterSet(set)
	return func() { metrics.UnregisterSet(set, true) }
}
