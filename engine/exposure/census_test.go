package exposure

import (
	"testing"
	"time"

	"hyperlight/engine/model"
)

// The census counts accounts with an open position alone: an account with money and no position is not stale to anybody.
func TestCensus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10)
	now := time.UnixMilli(1_700_000_000_000)
	w.desk.o.Now = func() time.Time { return now }
	at := model.Millis(now.UnixMilli())
	if got := w.desk.Step().Census; got != (Census{}) {
		t.Errorf("without accounts: %+v", got)
	}
	for id, polled := range []model.Millis{at - 60_001, at - 60_000, at - 5000, at} {
		w.tracker.Polled(&model.Account{ID: model.AccountID(id), Polled: polled, Collateral: 1e6,
			Positions: []model.Position{{Market: 0, Size: 1, Entry: 1}, {Market: 900, Size: -1, Entry: 1}}})
	}
	w.tracker.Polled(&model.Account{ID: 50, Polled: at - 900_000, Collateral: 5e6, Positions: []model.Position{{Market: 0}}})
	flat := model.PositionBefore{Known: true}
	w.tracker.Trade(0, &model.Trade{ID: 1, Time: 5, Price: 3000_00, Size: 2_0000, BidAccount: 60, AskAccount: 61, TakerBefore: flat, MakerBefore: flat}, false)
	if got, want := w.desk.Step().Census, (Census{Open: 6, Stale: 3, Unpolled: 2, Oldest: at - 60_001}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	w.tracker.Polled(&model.Account{ID: 0, Polled: at})
	now = now.Add(time.Hour)
	if got, want := w.desk.Step().Census, (Census{Open: 5, Stale: 5, Unpolled: 2, Oldest: at - 60_000}); got != want {
		t.Errorf("an hour later: got %+v, want %+v", got, want)
	}
}
