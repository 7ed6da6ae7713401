package engine_test

import (
	"context"
	"net"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/model"
	"hyperlight/engine/sim"
)

// simulatedVenue serves a simulated venue until the test ends.
func simulatedVenue(t *testing.T, x *sim.Exchange) (rest, stream string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sim.Serve(ctx, ln, x, sim.ServeOptions{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String(), "ws://" + ln.Addr().String() + "/stream"
}

// Accounts that are asked for come in over the stream and, while nobody polls known ones, the stream alone tells their
// positions; those that nobody knows are waited for, with every number of the ledger.
func TestAccountsAreFollowed(t *testing.T) {
	x := sim.New(sim.Options{Seed: 62, Markets: 2, Accounts: 400, Rate: 300})
	cfg := config.Default()
	cfg.Venues.Lighter.RESTURL, cfg.Venues.Lighter.StreamURL = simulatedVenue(t, x)
	cfg.Accounts.PollShare, cfg.Accounts.Streamed = 0, 50
	e, err := engine.Open(engine.Options{
		Store: storeOptions(t.TempDir()), Lighter: cfg.Venues.Lighter, History: cfg.History, Accounts: cfg.Accounts, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()

	var traded, told []model.AccountID
	for until := time.Now().Add(60 * time.Second); len(told) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d accounts traded, the stream told of none", len(traded))
		}
		traded = traded[:0]
		e.Accounts().Each(func(a *model.Account) bool {
			if a.Polled != 0 {
				t.Errorf("account %d was asked for", a.ID)
			}
			if a.Source == model.SourceBoth {
				told = append(told, a.ID)
			}
			traded = append(traded, a.ID)
			return true
		})
		if failed := e.Refresher().Refresh(ctx, traded, nil); failed != nil {
			t.Errorf("known accounts: %v", failed)
		}
	}

	// An account that does not trade, so that nothing changes between the answer and the ledger.
	for _, l := range x.Ledger(false) {
		var row model.Account
		if id := model.AccountID(l.Index); l.Trades > 0 || len(l.Positions) == 0 || e.Accounts().Get(id, &row) {
			continue
		}
		failed := e.Refresher().Refresh(ctx, []model.AccountID{model.AccountID(l.Index)}, nil)
		if !e.Accounts().Get(model.AccountID(l.Index), &row) || failed != nil {
			t.Fatalf("account %d: %v", l.Index, failed)
		}
		if row.Collateral != l.Collateral || len(row.Positions) < len(l.Positions) || row.Polled == 0 {
			t.Errorf("account is %+v, the ledger has %+v", row, l)
		}
		for _, want := range l.Positions {
			for _, p := range row.Positions {
				if int64(p.Market) == want.Market && (p.Size != want.Size || p.Entry != want.Entry || int64(p.Initial) != want.Fraction || p.Realized != want.Realized) {
					t.Errorf("account %d: position %+v, the ledger has %+v", l.Index, p, want)
				}
			}
		}
		return
	}
	t.Fatal("every account of the simulator has traded")
}
