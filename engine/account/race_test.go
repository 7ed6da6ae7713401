package account

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// Trades of several markets, polls, readers, followers and saves at once: no reader ever sees a torn row, sizes sum up to
// zero in the end, and the store has it all.
func TestTrackerUnderLoad(t *testing.T) {
	const accounts, markets, trades = 50, 4, 3000
	infos := make([]*model.Market, markets)
	for i := range infos {
		infos[i] = &model.Market{ID: model.MarketID(i), PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}}
	}
	store := kvtest.Open(t)
	tr, err := New(Options{Store: store, SaveEvery: time.Millisecond, Markets: func(id model.MarketID) (*model.Market, bool) { return infos[id], true }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()

	var writers, readers sync.WaitGroup
	for m := range markets {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(m), 1))
			for i := range trades {
				buyer := r.Uint64N(accounts)
				row := model.Trade{ID: uint64(i + 1), Time: model.Millis(10 + i), Price: num.Price(1 + r.Int64N(100)), Size: num.Size(1 + r.Int64N(100)),
					BidAccount: model.AccountID(1 + buyer), AskAccount: model.AccountID(1 + (buyer+1+r.Uint64N(accounts-1))%accounts)}
				tr.Trade(model.MarketID(m), &row, false)
			}
		})
	}
	done := make(chan struct{})
	for n := range 3 {
		readers.Go(func() {
			var a model.Account
			changes := tr.Follow()
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, id := range changes.Take() {
					if !tr.Get(id, &a) {
						t.Errorf("account %d changed and is not known", id)
					}
					for i := range a.Positions {
						if p := &a.Positions[i]; p.Size == 0 && p.Entry != 0 || i > 0 && p.Market <= a.Positions[i-1].Market || p.Trade == 0 {
							t.Errorf("account %d: torn position %+v", id, *p)
						}
					}
				}
				if n == 0 { // what only polls tell, from before every trade
					tr.Polled(&model.Account{ID: model.AccountID(1 + rand.Uint64N(accounts)), Polled: 1, Address: model.Address{byte(n + 1)}, Collateral: 5})
				}
				tr.Owned(model.Address{1})
				tr.Each(func(*model.Account) bool { return true })
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	again, err := New(Options{Store: store, Markets: tr.o.Markets})
	if err != nil {
		t.Fatal(err)
	}
	var sums [markets]num.Size
	again.Each(func(a *model.Account) bool {
		for _, p := range a.Positions {
			sums[p.Market] += p.Size
		}
		return true
	})
	if sums != [markets]num.Size{} || again.Known() != accounts {
		t.Errorf("%d accounts, sizes add up to %v", again.Known(), sums)
	}
}

// The table writes what changed by itself, and once more when it ends.
func TestRunSaves(t *testing.T) {
	store := kvtest.Open(t)
	tr := newTracker(t, store)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	tr.See(4)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := newTracker(t, store).Known(); n != 1 {
		t.Errorf("%d accounts after the end", n)
	}
}
