package history

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// Checklist 59: each row is the last snapshot within its bucket, at every resolution, either way.
func TestAccountSnapshots(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	g.start()
	base := testStart.Millis()
	var rows []model.AccountSnapshot
	for i := range 600 {
		s := model.AccountSnapshot{Account: model.AccountID(g.rnd.IntN(3)), Time: base + model.Millis(g.rnd.IntN(3*86_400_000)), Value: num.USD(i), Positions: uint32(i)}
		if i > 100 && g.rnd.IntN(10) == 0 { // an hour of many
			s.Time = base + model.Millis(g.rnd.IntN(3_600_000))
		}
		if i%2 == 0 {
			s.Time -= s.Time % 300_000 // where buckets begin
		}
		rows = slices.DeleteFunc(rows, func(o model.AccountSnapshot) bool { return o.Account == s.Account && o.Time == s.Time })
		rows = append(rows, s)
	}
	if err := g.w.AddAccountSnapshots(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(rows, func(a, b model.AccountSnapshot) int { return cmp.Compare(a.Time, b.Time) })
	for range 200 {
		account := model.AccountID(g.rnd.IntN(4))
		resolution := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour}[g.rnd.IntN(6)]
		reverse := g.rnd.IntN(2) == 0
		sp := Span{base - 1000, base + 4*86_400_000}
		if g.rnd.IntN(2) == 0 {
			sp.From = base + model.Millis(g.rnd.IntN(86_400_000))
			sp.To = sp.From + 1 + model.Millis(g.rnd.IntN(2*86_400_000))
		}
		var want []model.AccountSnapshot
		length := model.Millis(resolution.Milliseconds())
		for _, s := range rows {
			if s.Account != account || s.Time < sp.From || s.Time >= sp.To {
				continue
			}
			if n := len(want); n > 0 && want[n-1].Time/length == s.Time/length {
				want = want[:n-1]
			}
			want = append(want, s)
		}
		if n, err := g.r.CountAccountSnapshots(t.Context(), account, sp, resolution); err != nil || n != uint64(len(want)) {
			t.Fatalf("%d counted, %v; want %d", n, err, len(want))
		}
		if reverse {
			slices.Reverse(want)
		}
		var got []model.AccountSnapshot
		for s, err := range g.r.AccountSnapshots(t.Context(), account, sp, resolution, reverse) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, *s)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("account %d, %s, %+v: %d rows\n got %+v\nwant %+v", account, resolution, sp, len(got), got, want)
		}
	}
	for _, err := range g.r.AccountSnapshots(t.Context(), 1, Span{0, 1 << 50}, 7*time.Minute, false) {
		if !errors.Is(err, ErrResolution) {
			t.Fatal(err)
		}
	}
	g.stop()
	if findings, err := Check(t.Context(), g.store, true); err != nil || len(findings) > 0 {
		t.Fatalf("%v, %v", findings, err)
	}
}
