package lake

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

const day = 1_767_225_600_000 // 2026-01-01

func TestNames(t *testing.T) {
	for _, c := range []struct {
		id            ID
		text, objects string
	}{
		{ID{Trades, 0, day}, "trades-0-20260101", "trades/market_id=0/date=2026-01-01/part-0000.parquet"},
		{ID{Snapshots, 2048, day}, "orderbook_snapshots-2048-20260101", "orderbook_snapshots/market_id=2048/date=2026-01-01/part-0000.parquet"},
		{ID{FundingRates, AllMarkets, day}, "funding_rates-all-20260101", "funding_rates/date=2026-01-01/part-0000.parquet"},
		{ID{Gaps, AllMarkets, 0}, "gaps-all-19700101", "gaps/date=1970-01-01/part-0000.parquet"},
	} {
		if c.id.String() != c.text || c.id.Key() != c.objects || c.id.FileName() != c.text+".parquet" || !c.id.Valid() {
			t.Errorf("%+v is %s, %s, %s", c.id, c.id, c.id.Key(), c.id.FileName())
		}
		if got, ok := ParseID(c.text); !ok || got != c.id {
			t.Errorf("%s is read as %+v, %v", c.text, got, ok)
		}
		if got, ok := ParseKey(c.objects); !ok || got != c.id {
			t.Errorf("%s is read as %+v, %v", c.objects, got, ok)
		}
	}
	for _, bad := range []string{
		"", "-", "--", "trades", "trades-0", "trades-all-20260101", "gaps-0-20260101", "trades-00-20260101", "trades-+1-20260101", "trades--1-20260101",
		"trades-0-20260132", "trades-0-2026011", "trades-0-20260101 ", "Trades-0-20260101", "trades-2147483648-20260101", "trades-0-19691231",
		"trades-0-20260101.parquet", "../trades-0-20260101", "orders-0-20260101",
	} {
		if id, ok := ParseID(bad); ok {
			t.Errorf("%q is read as %+v", bad, id)
		}
	}
	for _, bad := range []string{
		"", "trades", "trades/date=2026-01-01/part-0000.parquet", "trades/market_id=0/date=2026-01-01/part-0001.parquet",
		"trades/market_id=00/date=2026-01-01/part-0000.parquet", "/trades/market_id=0/date=2026-01-01/part-0000.parquet",
		"trades/market_id=0/date=2026-1-01/part-0000.parquet", "gaps/date=2026-01-01/../part-0000.parquet",
	} {
		if id, ok := ParseKey(bad); ok {
			t.Errorf("%q is read as %+v", bad, id)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("trades-0-20260101")
	f.Add("gaps-all-20260101")
	f.Add("trades/market_id=0/date=2026-01-01/part-0000.parquet")
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := ParseID(text); ok && (id.String() != text || !id.Valid() || strings.ContainsAny(id.Key(), "\\\x00") || strings.Contains(id.Key(), "..")) {
			t.Fatalf("%q is read as %+v", text, id)
		}
		if id, ok := ParseKey(text); ok && (id.Key() != text || !id.Valid()) {
			t.Fatalf("%q is read as %+v", text, id)
		}
	})
}

func testLinks(now *time.Time) *Links {
	return NewLinks([]byte("test-secret-test-secret"), "http://localhost:8080", 15*time.Minute, func() time.Time { return *now })
}

// The vector is that of the contract, section 5.3.
func TestSignatureVector(t *testing.T) {
	const path = "/api/v1/data-lake/files/trades-0-20260101.parquet"
	const want = "38dec8203a9bb84f7b869e288892016d49ef0a029d69b2a1a2cd7990d3d49a56"
	now := time.Unix(1767312000-900, 999_000_000)
	l := testLinks(&now)
	if got := l.Sign(path, 1767312000); got != want {
		t.Errorf("the signature is %s, want %s", got, want)
	}
	url, expires := l.Link(path)
	if url != "http://localhost:8080"+path+"?expires=1767312000&signature="+want || expires.Unix() != 1767312000 {
		t.Errorf("the link is %s, valid until %s", url, expires)
	}
}

// A link is good for one path and one time, until that time.
func TestLinkIsForOnePathAndTime(t *testing.T) {
	now := time.Unix(1767312000, 0)
	l := testLinks(&now)
	const path = "/api/v1/data-lake/files/trades-0-20260101.parquet"
	const until = "1767312900"
	good := l.Sign(path, 1767312900)
	if err := l.Verify(path, until, good); err != nil {
		t.Fatal(err)
	}
	refused := func(what, path, expires, signature string) {
		t.Helper()
		var e *model.Error
		if err := l.Verify(path, expires, signature); !errors.As(err, &e) || e.Code != model.CodeForbidden {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("another path", "/api/v1/data-lake/files/trades-1-20260101.parquet", until, good)
	refused("a later time", path, "1767312901", good)
	refused("another form of the time", path, "+1767312900", good)
	refused("another form of the time", path, "01767312900", good)
	refused("a time beyond numbers", path, "99999999999999999999", good)
	refused("no time", path, "", good)
	refused("no signature", path, until, "")
	refused("upper case", path, until, strings.ToUpper(good))
	refused("a cut signature", path, until, good[:63])
	refused("another secret", path, until, NewLinks([]byte("other"), "", time.Minute, time.Now).Sign(path, 1767312900))
	now = time.Unix(1767312899, 999_999_999)
	if err := l.Verify(path, until, good); err != nil {
		t.Errorf("a moment before it ends: %v", err)
	}
	now = time.Unix(1767312900, 0)
	refused("at its end", path, until, good)
}

// The list is what a map of files would be, in memory, and after it was opened again on what a crash has left.
func TestManifestIsTheMapOfItsChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := kvtest.Open(t)
		m, err := OpenManifest(store, "here")
		if err != nil {
			rt.Fatal(err)
		}
		want := map[ID]File{}
		draw := func() ID {
			id := ID{Dataset: rapid.SampledFrom(Datasets[:]).Draw(rt, "dataset"), Market: AllMarkets, Day: day + DayMillis*model.Millis(rapid.IntRange(0, 4).Draw(rt, "day"))}
			if id.Dataset.PerMarket() {
				id.Market = rapid.Int64Range(0, 2).Draw(rt, "market")
			}
			return id
		}
		for range rapid.IntRange(0, 30).Draw(rt, "changes") {
			id, before := draw(), m.Version()
			if rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
				_, listed := want[id]
				delete(want, id)
				if err := m.Delete(id); err != nil {
					rt.Fatal(err)
				}
				if listed != (m.Version() != before) {
					rt.Fatal("the version tells of no change, or of none that was")
				}
				continue
			}
			f := File{ID: id, Rows: rapid.Int64Range(1, 1e9).Draw(rt, "rows"), Bytes: 5, SchemaVersion: 1, Created: 7, Remote: rapid.Bool().Draw(rt, "remote")}
			f.SHA256[3], f.Source[31] = byte(f.Rows), byte(f.Rows>>8)
			want[id] = f
			if err := m.Put(f); err != nil || m.Version() == before {
				rt.Fatalf("put %v, version %d after %d", err, m.Version(), before)
			}
		}
		if rapid.Bool().Draw(rt, "crash") {
			name, copied := rapid.SampledFrom([]string{"here", "there", ""}).Draw(rt, "object store"), 0
			if m, err = OpenManifest(kvtest.CrashClone(t, store, 0), name); err != nil {
				rt.Fatal(err)
			}
			for id, f := range want {
				if f.Remote && name != "here" {
					copied++
					f.Remote = false
					want[id] = f
				}
			}
			if m.Elsewhere() != copied {
				rt.Fatalf("another store has %d files, want %d", m.Elsewhere(), copied)
			}
		}
		var sorted []File
		for _, f := range want {
			sorted = append(sorted, f)
			if got, ok := m.Get(f.ID); !ok || got != f {
				rt.Fatalf("%s is %+v, %v", f.ID, got, ok)
			}
		}
		slices.SortFunc(sorted, func(a, b File) int { return compareID(a.ID, b.ID) })
		if got := m.All(); !slices.Equal(got, sorted) {
			rt.Fatalf("the list is %+v, want %+v", got, sorted)
		}
		q := Query{Limit: rapid.IntRange(0, 5).Draw(rt, "limit"), Offset: rapid.IntRange(0, 5).Draw(rt, "offset"), Ascending: rapid.Bool().Draw(rt, "ascending")}
		if rapid.Bool().Draw(rt, "one dataset") {
			q.Dataset = rapid.SampledFrom(Datasets[:]).Draw(rt, "of")
		}
		if rapid.Bool().Draw(rt, "one market") {
			one := rapid.Int64Range(-1, 3).Draw(rt, "market")
			q.Market = &one
		}
		if rapid.Bool().Draw(rt, "range") {
			q.From = day + model.Millis(rapid.IntRange(-1, 5*int(DayMillis)).Draw(rt, "from"))
			q.To = q.From + model.Millis(rapid.IntRange(1, 3*int(DayMillis)).Draw(rt, "length"))
		}
		rows, total := m.List(q)
		kept := slices.DeleteFunc(sorted, func(f File) bool {
			return q.Dataset != "" && f.ID.Dataset != q.Dataset || q.Market != nil && f.ID.Market != *q.Market ||
				q.From > 0 && f.ID.To() <= q.From || q.To > 0 && f.ID.Day >= q.To
		})
		if total != len(kept) {
			rt.Fatalf("%d in all, want %d", total, len(kept))
		}
		if !q.Ascending {
			slices.Reverse(kept)
		}
		kept = kept[min(q.Offset, len(kept)):]
		if q.Limit > 0 {
			kept = kept[:min(q.Limit, len(kept))]
		}
		if !slices.Equal(rows, kept) {
			rt.Fatalf("%+v lists %+v, want %+v", q, rows, kept)
		}
	})
}

func BenchmarkList(b *testing.B) {
	m := &Manifest{}
	for d := range model.Millis(365) {
		for market := range int64(25) {
			m.files = append(m.files, &File{ID: ID{Trades, market, day + d*DayMillis}})
		}
	}
	one := int64(7)
	for b.Loop() {
		m.List(Query{Market: &one, Limit: 50})
	}
}
