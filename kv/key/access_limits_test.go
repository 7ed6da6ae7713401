package key

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func anyID(t *rapid.T, name string) (id [16]byte) {
	copy(id[:], rapid.SliceOfN(rapid.ByteMax(2), 16, 16).Draw(t, name))
	return id
}

func anyMillis(t *rapid.T, name string) int64 {
	return rapid.OneOf(rapid.Int64Range(0, 2*DayMillis), rapid.Int64Range(0, 1<<45)).Draw(t, name)
}

// Keys of counts come back as they were and sort by bucket, then by whom they belong to.
func TestLimitKeysParseAndSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := UsageKey{anyID(t, "caller"), anyMillis(t, "time")}, UsageKey{anyID(t, "caller"), anyMillis(t, "time")}
		ka, kb := UsageHour(nil, a.Caller, a.Hour), UsageHour(nil, b.Caller, b.Hour)
		a.Hour -= a.Hour % hourMillis
		b.Hour -= b.Hour % hourMillis
		if got, err := ParseUsageHour(ka); err != nil || got != a {
			t.Fatalf("%+v came back as %+v, %v", a, got, err)
		}
		order := cmp.Or(cmp.Compare(Day(a.Hour), Day(b.Hour)), bytes.Compare(a.Caller[:], b.Caller[:]), cmp.Compare(a.Hour, b.Hour))
		if bytes.Compare(ka, kb) != order {
			t.Fatalf("%+v and %+v sort wrongly", a, b)
		}
		r, err := UsageRange(a.Caller, a.Hour, b.Hour)
		want := a.Caller == b.Caller && Day(a.Hour) == Day(b.Hour)
		if a.Hour < b.Hour != (err == nil) || err != nil && !errors.Is(err, ErrEmptyRange) {
			t.Fatalf("range from %d to %d: %v", a.Hour, b.Hour, err)
		}
		if err == nil && (!r.Contains(ka) || r.Contains(kb)) {
			t.Fatalf("range from %d to %d: holds %v, %v", a.Hour, b.Hour, r.Contains(ka), r.Contains(kb))
		}
		if again, err := UsageRange(a.Caller, a.Hour, b.Hour+hourMillis); err == nil && again.Contains(kb) != want {
			t.Fatalf("range from %d to after %d holds it: %v", a.Hour, b.Hour, again.Contains(kb))
		}

		w := WindowKey{Minute: anyMillis(t, "minute") / minuteMillis * minuteMillis}
		copy(w.Bucket[:], a.Caller[:])
		k := RateWindow(nil, w.Bucket, w.Minute+anyMillis(t, "within")%minuteMillis)
		if got, err := ParseRateWindow(k); err != nil || got != w {
			t.Fatalf("%+v came back as %+v, %v", w, got, err)
		}
		if r, err := WindowRange(w.Minute); err != nil || !r.Contains(k) || r.Contains(RateWindow(nil, w.Bucket, w.Minute-1)) != (w.Minute == 0) {
			t.Fatalf("windows from %d on: %v", w.Minute, err)
		}

		m := MonthKey{Period: rapid.Uint32Range(1970, 9999).Draw(t, "year")*100 + rapid.Uint32Range(1, 12).Draw(t, "month"), Account: a.Caller}
		k = MonthTotal(nil, m.Period, m.Account)
		if got, err := ParseMonthTotal(k); err != nil || got != m {
			t.Fatalf("%+v came back as %+v, %v", m, got, err)
		}
		if r, err := MonthRange(m.Period); err != nil || !r.Contains(k) || r.Contains(MonthTotal(nil, m.Period-1, m.Account)) {
			t.Fatalf("months from %d on: %v", m.Period, err)
		}

		y := AnswerKey{Day: rapid.Uint32Range(1, math.MaxUint32).Draw(t, "day"), Account: b.Caller}
		copy(y.Hash[:], a.Caller[:])
		k = KeptAnswer(nil, y.Day, y.Account, y.Hash)
		if got, err := ParseKeptAnswer(k); err != nil || got != y {
			t.Fatalf("%+v came back as %+v, %v", y, got, err)
		}
		if r, err := AnswerRange(y.Day); err != nil || !r.Contains(k) || r.Contains(KeptAnswer(nil, y.Day-1, y.Account, y.Hash)) {
			t.Fatalf("answers from %d on: %v", y.Day, err)
		}
	})
}

// The layout is the architecture's; a changed byte would lose what is stored.
func TestLimitKeyBytes(t *testing.T) {
	id := [16]byte{1, 15: 2}
	for name, c := range map[string]struct{ got, want []byte }{
		"usage":  {UsageHour(nil, id, DayMillis+5*hourMillis+7), append(append([]byte{'U', 0, 0, 0, 1}, id[:]...), 5)},
		"window": {RateWindow(nil, [20]byte{19: 3}, 2*minuteMillis), append([]byte{'W', 0, 0, 0, 2}, append(make([]byte, 19), 3)...)},
		"answer": {KeptAnswer(nil, 3, id, [32]byte{31: 4}), append(append([]byte{'Y', 0, 0, 0, 3}, id[:]...), append(make([]byte, 31), 4)...)},
		"month":  {MonthTotal(nil, 202402, id), append([]byte{'q', 0, 3, 0x16, 0xa2}, id[:]...)},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: %x, want %x", name, c.got, c.want)
		}
	}
}

func TestParseLimitKeysRefuses(t *testing.T) {
	id := [16]byte{1}
	good := [][]byte{UsageHour(nil, id, 0), RateWindow(nil, [20]byte{}, 0), KeptAnswer(nil, 0, id, [32]byte{}), MonthTotal(nil, 202402, id)}
	bad := [][]byte{nil, append(UsageHour(nil, id, 0)[:21], 24), MonthTotal(nil, 202400, id), MonthTotal(nil, 202413, id)}
	for _, k := range good {
		bad = append(bad, k[:len(k)-1], append(bytes.Clone(k), 0), append([]byte{'z'}, k[1:]...))
	}
	for _, k := range bad {
		_, e1 := ParseUsageHour(k)
		_, e2 := ParseRateWindow(k)
		_, e3 := ParseKeptAnswer(k)
		_, e4 := ParseMonthTotal(k)
		for _, err := range []error{e1, e2, e3, e4} {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%x: %v", k, err)
			}
		}
	}
	if _, err := UsageRange(id, 5, hourMillis); !errors.Is(err, ErrMalformed) {
		t.Error("a range that does not begin at a full hour", err)
	}
}

func FuzzParseLimits(f *testing.F) {
	id := [16]byte{1}
	f.Add(UsageHour(nil, id, 1_760_041_995_767))
	f.Add(RateWindow(nil, [20]byte{2}, 1_760_041_995_767))
	f.Add(KeptAnswer(nil, 7, id, [32]byte{3}))
	f.Add(MonthTotal(nil, 202402, id))
	f.Fuzz(func(t *testing.T, k []byte) {
		if u, err := ParseUsageHour(k); err == nil && !bytes.Equal(UsageHour(nil, u.Caller, u.Hour), k) {
			t.Errorf("%x is read as %+v", k, u)
		}
		if w, err := ParseRateWindow(k); err == nil && !bytes.Equal(RateWindow(nil, w.Bucket, w.Minute), k) {
			t.Errorf("%x is read as %+v", k, w)
		}
		if a, err := ParseKeptAnswer(k); err == nil && !bytes.Equal(KeptAnswer(nil, a.Day, a.Account, a.Hash), k) {
			t.Errorf("%x is read as %+v", k, a)
		}
		if m, err := ParseMonthTotal(k); err == nil && !bytes.Equal(MonthTotal(nil, m.Period, m.Account), k) {
			t.Errorf("%x is read as %+v", k, m)
		}
	})
}
