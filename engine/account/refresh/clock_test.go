package refresh

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// A clock that was set back by a day does not stop the refresher for a day, and what was read by the wrong clock is read
// again.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab := newVenueOf(t, 60), newTable()
		var back atomic.Int64
		now := func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		tab.know(1, true, ids(2, 12)...)
		r, stop := start(t, Options{Venue: v, Table: tab, Allowance: 60, Share: 50, Now: now})
		defer stop()
		time.Sleep(2 * time.Minute) // all of them were read
		back.Store(int64(24 * time.Hour))
		before := len(v.calls())
		time.Sleep(3 * time.Minute)
		if n := len(v.calls()) - before; n < 10 {
			t.Errorf("%d calls in three minutes after the clock was set back", n)
		}
		tab.know(model.Millis(time.Now().UnixMilli()), true, 100)
		r.Refresh(t.Context(), []model.AccountID{100}, nil)
		time.Sleep(10 * time.Second)
		if c := calls(v, 100); len(c) != 1 || c[0].priority != feed.Refresh {
			t.Errorf("an account that was read tomorrow was asked for %d times", len(c))
		}
	})
}
