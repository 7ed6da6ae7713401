package key

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestFillKeys(t *testing.T) {
	fill := func(t *rapid.T, name string) FillKey {
		return FillKey{
			Form: Form(rapid.IntRange(0, 1).Draw(t, name+" form")), Account: rapid.Uint64().Draw(t, name+" account"),
			Time:   rapid.Int64Range(0, 3*DayMillis).Draw(t, name+" time"),
			Market: rapid.Uint32().Draw(t, name+" market"), ID: rapid.Uint64().Draw(t, name+" id"),
		}
	}
	encode := func(f FillKey) []byte { return Fill(nil, f.Form, f.Account, f.Time, f.Market, f.ID) }
	rapid.Check(t, func(t *rapid.T) {
		a, b := fill(t, "a"), fill(t, "b")
		if rapid.Bool().Draw(t, "same account") {
			b.Account = a.Account
		}
		if got, err := ParseFill(encode(a)); err != nil || got != a {
			t.Fatalf("%+v, %v", got, err)
		}
		if !FillDay(a.Form, Day(a.Time)).Contains(encode(a)) || FillDay(1-a.Form, Day(a.Time)).Contains(encode(a)) {
			t.Fatal("day")
		}
		r, err := FillRange(b.Form, b.Account, b.Time, DayStart(Day(b.Time)+1))
		if err != nil {
			t.Fatal(err)
		}
		want := a.Form == b.Form && a.Account == b.Account && a.Time >= b.Time && Day(a.Time) == Day(b.Time)
		if r.Contains(encode(a)) != want {
			t.Fatalf("%+v from %+v: %v", a, b, !want)
		}
		before, err := FillsBefore(b.Form, b.Account, b.Time)
		if err != nil {
			t.Fatal(err)
		}
		want = a.Form == b.Form && Day(a.Time) == Day(b.Time) && (a.Account < b.Account || a.Account == b.Account && a.Time < b.Time)
		if before.Contains(encode(a)) != want {
			t.Fatalf("%+v before %+v: %v", a, b, !want)
		}
		snapshot := AccountSnapshot(nil, a.Account, a.Time)
		if got, err := ParseAccountSnapshot(snapshot); err != nil || got != (AccountSnapshotKey{a.Account, a.Time}) {
			t.Fatalf("%+v, %v", got, err)
		}
		days, err := AccountSnapshotRange(b.Account, b.Time, DayStart(Day(b.Time)+1))
		if err != nil {
			t.Fatal(err)
		}
		if days.Contains(snapshot) != (a.Account == b.Account && a.Time >= b.Time && Day(a.Time) == Day(b.Time)) {
			t.Fatalf("snapshot %+v from %+v", a, b)
		}
	})
	k := encode(FillKey{Account: 1, Time: 5, Market: 2, ID: 3})
	for _, damaged := range [][]byte{k[:len(k)-1], append(bytes.Clone(k), 0), append([]byte{'T'}, k[1:]...), bytes.Replace(k, []byte{0, 0, 0, 0, 0}, []byte{0, 0, 0, 1, 0}, 1)} {
		if _, err := ParseFill(damaged); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v", damaged, err)
		}
	}
}
