package history

import (
	"testing"
	"time"

	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// A check finds a posting that is missing, one too many, and one that says something else, hot and sealed.
func TestCheckFindsWrongPostings(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 3, 2)
	g.start()
	for range 200 {
		g.deliverTrades(g.markets[g.rnd.IntN(2)])
		g.advance(200_000)
	}
	g.flush()
	for _, form := range []key.Form{key.Hot, key.Sealed} {
		var k, v []byte
		for row, err := range g.store.Scan(t.Context(), key.All(key.Fills)) {
			if err != nil {
				t.Fatal(err)
			}
			k, v = append([]byte(nil), row.Key...), append([]byte(nil), row.Value...)
			break
		}
		if at, err := key.ParseFill(k); err != nil || at.Form != form {
			t.Fatalf("%+v, %v", at, err)
		}
		rows, err := record.DecodePostings(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		encode := func(change func([]record.Posting) []record.Posting) []byte {
			return record.AppendPostings(nil, change(append([]record.Posting(nil), rows...)), form == key.Sealed)
		}
		damages := map[string][]byte{
			"gone": nil,
			"cut":  v[:len(v)-1],
			"kind": encode(func(ps []record.Posting) []record.Posting { ps[len(ps)-1].Kind ^= 1; return ps }),
			"more": encode(func(ps []record.Posting) []record.Posting {
				p := ps[len(ps)-1]
				p.ID += 1000
				return append(ps, p)
			}),
		}
		check := func(what string, damaged bool) {
			t.Helper()
			findings, err := Check(t.Context(), g.store, true)
			if err != nil || damaged != (len(findings) > 0) {
				t.Errorf("%s: %+v, %v", what, findings, err)
			}
		}
		set := func(v []byte) {
			b := g.store.NewBatch()
			if b.Set(k, v); v == nil {
				b.Reset()
				b.Delete(k)
			}
			if err := g.store.Commit(b, kv.Sync); err != nil {
				t.Fatal(err)
			}
		}
		check("whole", false)
		for what, damage := range damages {
			set(damage)
			check(what, true)
			set(v)
		}
		if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)).Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	g.stop()
}

// Fills go with the trades of their day, and not a day later: what outlives them is never shown.
func TestFillsGoWithTrades(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 5, 1)
	g.options.Retention.Trades = 24 * time.Hour
	g.start()
	for range 30 {
		g.deliverTrades(g.markets[0])
		g.advance(1_800 * second)
	}
	g.flush()
	all := Span{0, 1 << 50}
	before, _ := g.naiveFills(3, all, FillQuery{})
	if got := collectFills(t, g.r, 3, all, FillQuery{}); !sameFills(got, before) || len(got) == 0 {
		t.Fatal(fillsDiff(got, before))
	}
	if err := g.w.retain(t.Context(), time.UnixMicro(int64(testStart)).Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	cut := testStart.Millis() - testStart.Millis()%key.DayMillis + key.DayMillis
	want, total := g.naiveFills(3, Span{cut, all.To}, FillQuery{})
	if got := collectFills(t, g.r, 3, all, FillQuery{}); !sameFills(got, want) || len(got) == len(before) {
		t.Fatal(fillsDiff(got, want))
	}
	if n, _, err := g.r.CountFills(t.Context(), 3, all, FillQuery{}, 0); err != nil || n != total {
		t.Fatalf("%d, %v", n, err)
	}
	g.stop()
	if findings, err := Check(t.Context(), g.store, true); err != nil || len(findings) > 0 {
		t.Fatalf("%v, %v", findings, err)
	}
}
