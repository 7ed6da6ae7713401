package account

import (
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// The first frame of an account's channel lists all of its positions: one that closed unseen before it is not there.
func TestWholeListCloses(t *testing.T) {
	tr := newTracker(t, kvtest.Open(t))
	tr.Polled(&model.Account{ID: 1, Polled: 100, Positions: []model.Position{{Size: 5, Entry: 50, Realized: 3}}})
	tr.PolledPositions(1, nil, false, 150)
	if p := state(t, tr, 1); p.Size != 5 {
		t.Fatalf("a frame of changes closed what it does not name: %+v", p)
	}
	tr.PolledPositions(1, nil, true, 99)
	if p := state(t, tr, 1); p.Size != 5 {
		t.Fatalf("an older list closed a position: %+v", p)
	}
	tr.PolledPositions(1, nil, true, 200)
	if p := state(t, tr, 1); p.Size != 0 || p.Entry != 0 || p.Realized != 3 || p.AsOf != 200 {
		t.Errorf("%+v", p)
	}
}

// A machine that came up with a clock of next year, which was put right then: what was read meanwhile does not stand for a
// year against what is read now.
func TestClockSetBack(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	store := kvtest.Open(t)
	tr, err := New(Options{Store: store, Markets: markets, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	poll := func(at time.Time, size, collateral int64) {
		tr.Polled(&model.Account{ID: 1, Polled: model.Millis(at.UnixMilli()), Collateral: num.USD(collateral),
			Positions: []model.Position{{Size: num.Size(size), Entry: 1}}})
	}
	want := func(what string, size num.Size, collateral num.USD, at time.Time) {
		t.Helper()
		var a model.Account
		if !tr.Get(1, &a) || a.Positions[0].Size != size || a.Collateral != collateral || a.AsOf != model.Millis(at.UnixMilli()) || a.Positions[0].AsOf != a.AsOf {
			t.Errorf("%s: %+v", what, a)
		}
	}
	real := now
	now = now.AddDate(1, 0, 0)
	poll(now, 5, 100)
	now = real
	poll(now, 7, 200)
	want("after the clock was put right", 7, 200, now)
	poll(now.Add(-time.Second), 8, 300)
	want("an answer that was overtaken", 7, 200, now)
	now = now.AddDate(1, 0, 0)
	poll(now, 5, 100)
	now = real.Add(time.Second)
	tr.Polled(&model.Account{ID: 1, Polled: model.Millis(now.UnixMilli()), Collateral: 400})
	want("closed", 0, 400, now)
}
