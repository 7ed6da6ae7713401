package attribution

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// Watched markets that have no live book take no polls from the one that has.
func TestMarketsOutOfSyncTakeNoPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, polls := book.New().View(), 0
		w := New(Options{
			Markets: func(id model.MarketID) (*model.Market, bool) { return &model.Market{ID: id}, true },
			View:    func(id model.MarketID) (*book.View, bool) { return live, id == 0 },
			Poll: func(context.Context, *model.Market) (*List, error) {
				polls++
				return &List{Asked: time.Now(), Replied: time.Now()}, nil
			},
			PerMinute: 60, Now: time.Now,
		})
		for id := range model.MarketID(10) {
			w.Asked(id)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if polls < 20 || polls > 51 {
			t.Errorf("%d polls of the live market in 50 s", polls)
		}
	})
}

// The venue is asked for a market's orders while somebody watches it and for a minute after its book was asked for, once a
// second at most and never more often than the allowance says; of failures it is given a rest. Nobody else's is asked for.
func TestPollsOfWatchedMarkets(t *testing.T) {
	for name, c := range map[string]struct {
		perMinute, most, least int // polls of the watched market in its 30 s
		fails                  bool
	}{"a second": {6000, 32, 15, false}, "allowance": {12, 7, 3, false}, "failures": {6000, 6, 2, true}} {
		synctest.Test(t, func(t *testing.T) {
			live, polls := book.New().View(), map[model.MarketID]int{}
			var mu sync.Mutex // of polls
			count := func(m model.MarketID) int {
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				return polls[m]
			}
			w := New(Options{
				Markets: func(id model.MarketID) (*model.Market, bool) { return &model.Market{ID: id}, true },
				View:    func(model.MarketID) (*book.View, bool) { return live, true },
				Poll: func(_ context.Context, m *model.Market) (*List, error) {
					mu.Lock()
					polls[m.ID]++
					mu.Unlock()
					if c.fails {
						return nil, errors.New("no answer")
					}
					return &List{Asked: time.Now(), Replied: time.Now()}, nil
				},
				PerMinute: c.perMinute, Now: time.Now,
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			time.Sleep(10 * time.Second)
			for range 30 {
				w.Watch(0)
				time.Sleep(time.Second)
			}
			if n := count(0); n < c.least || n > c.most {
				t.Errorf("%s: %d polls in 30 s", name, n)
			}
			time.Sleep(10 * time.Second) // it is watched for five seconds more
			before := count(0)
			w.Asked(1)
			time.Sleep(50 * time.Second)
			middle := count(1)
			time.Sleep(8 * time.Second)
			if late := count(1); middle == 0 || !c.fails && late == middle {
				t.Errorf("%s: %d and %d polls of a book that was asked for", name, middle, late)
			}
			time.Sleep(5 * time.Second)
			last := count(1)
			time.Sleep(2 * time.Minute)
			if count(0) != before || count(1) != last || count(2) != 0 {
				t.Errorf("%s: %d and %d polls, %d and %d of them while they were wanted", name, count(0), count(1), before, last)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
