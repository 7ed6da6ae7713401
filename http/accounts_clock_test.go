package http

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// A clock that is set back does not keep the mark prices of before for as long as it was set back.
func TestMarksAfterClockSetBack(t *testing.T) {
	now := testNow
	f, v := newAccountsFixture(t, testOptions{edit: func(s *Options) { s.Now = func() time.Time { return time.UnixMilli(int64(now)) } }})
	mark := func() string {
		_, e := f.get(t, "/api/v1/accounts/42/positions?market_id=0")
		return fmt.Sprint(e.list("positions")[0]["mark_price"])
	}
	v.setMark(0, "3000")
	if got := mark(); got != "3000" {
		t.Fatalf("mark price %s", got)
	}
	v.setMark(0, "3100")
	now -= 3_600_000
	if got := mark(); got != "3100" {
		t.Errorf("an hour back the mark price is %s", got)
	}
	v.setMark(0, "3200")
	now += 500
	if got := mark(); got != "3100" {
		t.Errorf("within the second the mark price is %s", got)
	}
}

// What was read while the call waited is not stale, however short rows count as fresh; what was read an hour ahead is.
func TestReadWhileWaitingIsNotStale(t *testing.T) {
	d := newAccountDesk(AccountOptions{StaleAfter: time.Second})
	for age, want := range map[model.Millis]bool{-9_000: false, 0: false, 1_000: false, 1_001: true, -3_600_000: true} {
		if got := d.isStale(testNow-age, testNow); got != want {
			t.Errorf("%d ms old: stale %v", age, got)
		}
	}
}

// firstSnapshot is a record whose first snapshot comes right after it was counted.
type firstSnapshot struct{ *fakeHistory }

func (firstSnapshot) CountAccountSnapshots(context.Context, model.AccountID, history.Span, time.Duration) (uint64, error) {
	return 0, nil
}

// The row of this moment and a snapshot that is stored at this moment are not both written.
func TestFirstSnapshotWhileAnswering(t *testing.T) {
	f, _ := newAccountsFixture(t, testOptions{edit: func(s *Options) { s.Accounts.History = firstSnapshot{s.History.(*fakeHistory)} }})
	status, e := f.get(t, "/api/v1/accounts/42/pnl")
	if rows := e.list("pnl"); status != 200 || len(rows) != 1 || fmt.Sprint(*e.Meta.Total) != "1" {
		t.Errorf("%d: %d rows of %v", status, len(rows), e.Meta.Total)
	}
}

// As in stored snapshots, a wrong worth is worse than none: an account with a position that cannot be valued has no row of
// this moment.
func TestNoPnLOfUnvaluedPositions(t *testing.T) {
	f, _ := newAccountsFixture(t, testOptions{})
	path := fmt.Sprintf("/api/v1/accounts/%d/pnl", subAccount)
	if _, e := f.get(t, path); len(e.list("pnl")) != 1 {
		t.Fatalf("with a mark price: %v", e.Data)
	}
	without, v := newAccountsFixture(t, testOptions{})
	v.mu.Lock()
	clear(v.marks)
	v.mu.Unlock()
	if _, e := without.get(t, path); len(e.list("pnl")) != 0 || fmt.Sprint(*e.Meta.Total) != "0" {
		t.Errorf("without: %v", e.Data)
	}
}
