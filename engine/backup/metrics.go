package backup

import (
	"math"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// summaryEvery is how old the figures of the metrics may be.
const summaryEvery = 10 * time.Second

// summary is what the metrics tell of the directory.
type summary struct {
	at       time.Time // when it was read; zero: never, or it has changed
	count    int
	newest   int64 // ms; 0: none
	verified int64 // ms; 0: never
	ok       bool
}

// forget makes the next figures new ones.
func (b *Backups) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.at = time.Time{}
}

// summarise returns what there is, read at most every ten seconds.
func (b *Backups) summarise() summary {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := &b.state
	if now := b.o.Now(); state.at.IsZero() || now.Sub(state.at) >= summaryEvery || now.Before(state.at) {
		all, err := b.List()
		if err != nil {
			return *state
		}
		*state = summary{at: now, count: len(all)}
		for _, one := range all {
			if one.Manifest != nil {
				state.newest = max(state.newest, int64(one.Manifest.Created))
			}
			if v := one.Verified; v != nil && int64(v.At) > state.verified {
				state.verified, state.ok = int64(v.At), v.OK
			}
		}
	}
	return *state
}

// Register puts the metrics of the backups up and returns what takes them down. Where there is no backup its age is
// infinite, so that an alert on the age speaks up.
func (b *Backups) Register() (unregister func()) {
	set := metrics.NewSet()
	gauge := func(name string, f func(s summary) float64) {
		set.NewGauge("hyperlight_backup"+name, func() float64 { return f(b.summarise()) })
	}
	gauge("s", func(s summary) float64 { return float64(s.count) })
	gauge("_age_seconds", func(s summary) float64 {
		if s.newest == 0 {
			return math.Inf(1)
		}
		return math.Max(0, float64(b.o.Now().UnixMilli()-s.newest)/1000)
	})
	gauge("_last_verify_timestamp_seconds", func(s summary) float64 { return float64(s.verified) / 1000 })
	gauge("_last_verify_ok", func(s summary) float64 {
		if s.ok {
			return 1
		}
		return 0
	})
	metrics.RegisterSet(set)
	return func() { metrics.UnregisterSet(set, true) }
}
