package refresh

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/exposure"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
	"hyperlight/kv"

	"pgregory.net/rapid"
)

// history keeps snapshots.
type history struct {
	mu   sync.Mutex
	rows []model.AccountSnapshot
}

func (h *history) AddAccountSnapshots(_ context.Context, rows []model.AccountSnapshot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows = append(h.rows, rows...)
	return nil
}

// stream is what Follow was told last.
type stream struct {
	mu    sync.Mutex
	ids   []model.AccountID
	swaps int // the most that came new at once
	room  int
}

func (s *stream) follow(ids []model.AccountID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := 0
	for _, id := range ids {
		if !slices.Contains(s.ids, id) {
			came++
		}
	}
	if len(s.ids) > 0 {
		s.swaps = max(s.swaps, came)
	}
	s.ids = slices.Clone(ids[:min(len(ids), s.room)])
	return len(s.ids)
}

func (s *stream) now() []model.AccountID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.ids))
}

// TestStreamedAccounts checks which accounts the stream carries, and that they change slowly.
func TestStreamedAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab, s := newVenueOf(t, 60), newTable(), &stream{room: 30}
		tab.know(1, true, ids(0, 200)...)
		r, stop := start(t, Options{
			Venue: v, Table: tab, Allowance: 60, Streamed: 40, Follow: s.follow,
			Urgent: func() []model.AccountID { return ids(100, 160) },
		})
		defer stop()
		time.Sleep(time.Minute)
		if got := s.now(); !slices.Equal(got, ids(100, 130)) || r.Status().Streamed != 30 {
			t.Errorf("the stream carries %v, status %+v", got, r.Status())
		}
		s.mu.Lock()
		s.room, s.swaps = 40, 0
		s.mu.Unlock()
		r.Refresh(t.Context(), ids(0, 20), nil)
		r.Refresh(t.Context(), []model.AccountID{1_000_000}, nil) // unknown: nobody to follow
		r.Track(150)
		r.Track(1_000_001)
		time.Sleep(time.Minute)
		want := slices.Concat(ids(0, 20), ids(100, 119), []model.AccountID{150})
		if got := s.now(); !slices.Equal(got, want) {
			t.Errorf("the stream carries %v\nwant %v", got, want)
		}
		s.mu.Lock()
		if s.swaps > 2*maxSwap {
			t.Errorf("%d accounts changed at once", s.swaps)
		}
		s.mu.Unlock()
		// Who was asked for an hour ago gives way again, whose history is kept does not for 30 days.
		time.Sleep(recentFor + time.Minute)
		if got := s.now(); !slices.Equal(got, slices.Concat(ids(100, 139), []model.AccountID{150})) {
			t.Errorf("the stream carries %v", got)
		}
		r.mu.Lock()
		r.watch.tracked[150] -= millis(trackFor)
		r.mu.Unlock()
		time.Sleep(time.Minute)
		if got := s.now(); !slices.Equal(got, ids(100, 140)) || r.Status().Tracked != 1 {
			t.Errorf("the stream carries %v, %+v", got, r.Status())
		}
	})
}

// TestChoose checks for any lists that what is chosen fits, has no duplicates, keeps who may stay and changes slowly.
func TestChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfDistinct(rapid.Uint64Range(0, 80), func(v uint64) uint64 { return v })
		toIDs := func(vs []uint64) (out []model.AccountID) {
			for _, v := range vs {
				out = append(out, model.AccountID(v))
			}
			return out
		}
		now, n := toIDs(list.Draw(t, "now")), rapid.IntRange(1, 60).Draw(t, "n")
		now = now[:min(len(now), n)]
		candidates := toIDs(rapid.SliceOf(rapid.Uint64Range(0, 80)).Draw(t, "candidates"))
		known := func(id model.AccountID) bool { return id%7 != 3 }
		got := choose(now, candidates, n, known)
		sorted := slices.Sorted(slices.Values(got))
		if len(got) > n || len(slices.Compact(slices.Clone(sorted))) != len(got) {
			t.Fatalf("%d chosen of %d: %v", len(got), n, got)
		}
		best := map[model.AccountID]bool{}
		for _, id := range candidates {
			if len(best) < n && known(id) {
				best[id] = true
			}
		}
		came := 0
		for _, id := range got {
			switch {
			case !slices.Contains(now, id):
				came++
				if !best[id] {
					t.Fatalf("%d is none of the best candidates", id)
				}
			}
		}
		for _, id := range now {
			if best[id] && !slices.Contains(got, id) {
				t.Fatalf("%d had to go, a good one", id)
			}
		}
		if came > n-len(now)+maxSwap {
			t.Fatalf("%d came at once", came)
		}
	})
}

// TestSnapshots checks whose history is kept and what is in it.
func TestSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, tab, h := newVenueOf(t, 60), newTable(), &history{}
		m := &model.Market{ID: 1, PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}},
			DefaultInitialMargin: 500, MinInitialMargin: 200, MaintenanceMargin: 120, CloseOutMargin: 80}
		r, stop := start(t, Options{
			Venue: v, Table: tab, Allowance: 60, Snapshots: h,
			Market: func(id model.MarketID) (risk.Market, bool) {
				return risk.Market{Info: m, Mark: num.Decimal{Mant: 3000}}, id == 1
			},
		})
		defer stop()
		tab.Polled(&model.Account{ID: 5, Polled: 1, Collateral: 1000_000000, Positions: []model.Position{
			{Market: 1, Size: 20000, Entry: 5900_000000, Initial: 500, Realized: 7, FundingPaid: -3},
			{Market: 2, Realized: 2, FundingPaid: 1},
		}})
		tab.Polled(&model.Account{ID: 6, Polled: 1, Positions: []model.Position{{Market: 9, Size: 1}}})
		tab.Polled(&model.Account{ID: 7})
		for _, id := range []model.AccountID{5, 6, 7, 8} {
			r.Track(id) // 6 cannot be valued, the collateral of 7 is unknown, and so is 8
		}
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.rows) != 3 {
			t.Fatalf("snapshots %+v", h.rows)
		}
		for i, s := range h.rows {
			want := model.AccountSnapshot{
				Account: 5, Time: s.Time, Value: 1100_000000, Collateral: 1000_000000, Unrealized: 100_000000,
				Realized: 9, Funding: -2, Notional: 6000_000000, Positions: 1,
			}
			if s != want || s.Time%60_000 != 0 || i > 0 && s.Time-h.rows[i-1].Time != 60_000 {
				t.Errorf("snapshot %+v", s)
			}
		}
	})
}

// TestTrackedAreRemembered checks that a restart knows whose history is kept.
func TestTrackedAreRemembered(t *testing.T) {
	store, err := kv.Open(kv.Options{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	o := Options{Venue: newVenueOf(t, 60), Table: newTable(), Store: store, Now: func() time.Time { return now }, StaleAfter: time.Minute}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range model.AccountID(maxTracked + 10) {
		now = now.Add(time.Millisecond)
		r.Track(1<<48 - i)
	}
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	again, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(again.watch.tracked); n > maxTracked || n < maxTracked-200 || again.watch.changed {
		t.Errorf("%d accounts remembered", n)
	}
	if _, first := again.watch.tracked[1<<48]; first {
		t.Error("the one asked for longest ago should have made room")
	}
	for id, at := range r.watch.tracked {
		if again.watch.tracked[id] != at {
			t.Fatalf("account %d: %d, want %d", id, again.watch.tracked[id], at)
		}
	}
}

// TestTrackedFor checks that a history is kept for thirty days from the last question for it, and that the accounts of the
// stream have one as well.
func TestTrackedFor(t *testing.T) {
	now := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	tab, h, s := newTable(), &history{}, &stream{room: 1}
	r, err := New(Options{Venue: newVenueOf(t, 60), Table: tab, Now: func() time.Time { return now }, StaleAfter: time.Minute, Snapshots: h,
		Market: func(model.MarketID) (risk.Market, bool) { return risk.Market{}, false }, Follow: s.follow, Streamed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []model.AccountID{1, 2, 3} {
		tab.Polled(&model.Account{ID: id, Polled: 1})
	}
	kept := func() (ids []model.AccountID) {
		t.Helper()
		h.rows = nil
		r.follow()
		if err := r.snapshot(t.Context(), r.now()); err != nil {
			t.Fatal(err)
		}
		for _, row := range h.rows {
			ids = append(ids, row.Account)
		}
		return ids
	}
	r.Track(1)
	r.Track(2)
	now = now.Add(20 * 24 * time.Hour)
	r.Track(2) // asked for again
	now = now.Add(10*24*time.Hour - time.Minute)
	if got := kept(); !slices.Equal(got, []model.AccountID{1, 2}) {
		t.Errorf("before thirty days: %v", got)
	}
	now = now.Add(2 * time.Minute)
	if got := kept(); !slices.Equal(got, []model.AccountID{2}) {
		t.Errorf("after thirty days: %v", got)
	}
	now = now.Add(20 * 24 * time.Hour)
	r.mu.Lock()
	r.watch.ask(3, r.now())
	r.mu.Unlock()
	if got := kept(); !slices.Equal(got, []model.AccountID{3}) {
		t.Errorf("the one of the stream: %v", got)
	}
}

func TestDistance(t *testing.T) {
	mark := num.Decimal{Mant: 300000, Scale: 2}
	for _, c := range []struct {
		price string
		want  int64
	}{{"2970.00", 100}, {"3030", 100}, {"3000.0", 1}, {"2999.9", 1}, {"1", 9997}, {"9000", 10000}, {"", 10000}} {
		h := exposure.Holder{HasPrice: c.price != ""}
		if c.price != "" {
			d, err := num.ParseDecimal([]byte(c.price))
			if err != nil {
				t.Fatal(err)
			}
			h.Price = d
		}
		if got := distance(&h, mark); got != c.want {
			t.Errorf("distance to %s is %d, want %d", c.price, got, c.want)
		}
	}
}
