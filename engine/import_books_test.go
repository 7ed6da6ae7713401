package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/export"
)

// bookLake writes rows of book_updates as a file that says of what time it has every row.
func bookLake(t testing.TB, held []export.Held, rows ...export.BookUpdate) string {
	t.Helper()
	var out bytes.Buffer
	w := export.NewWriter[export.BookUpdate](&out, export.Footer{Venue: "lighter", Held: held})
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "part-0000.parquet", out.String())
}

// sourceOf reads a store's rows as the exporter does.
func sourceOf(r *storeReader) *export.Source {
	return &export.Source{History: r.Reader, Enter: func(context.Context) (func(), error) { return func() {}, nil }}
}

func bookRows(t testing.TB, r *storeReader, m model.MarketID, sp history.Span) (out []export.BookUpdate) {
	t.Helper()
	known, ok := r.market(m)
	if !ok {
		t.Fatalf("market %d is unknown", m)
	}
	for rows, err := range sourceOf(r).BookUpdates(t.Context(), known, sp) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rows...)
	}
	return out
}

// bookTexts returns the levels of the books of full seconds, whatever their scale.
func bookTexts(t testing.TB, r *storeReader, m model.MarketID, sp history.Span) map[model.Millis]string {
	t.Helper()
	known, _ := r.market(m)
	out := map[model.Millis]string{}
	for s, err := range r.Books(t.Context(), m, sp, 1e9) {
		if err != nil {
			t.Fatal(err)
		}
		ps, ss := known.ScaleAt(s.View.Epoch)
		text := fmt.Appendf(nil, "%d:", s.View.Seq)
		for side := range 2 {
			for _, l := range s.View.Append(nil, model.Side(side), 0) {
				text = num.AppendTrim(append(text, ' '), int64(l.Price), ps)
				text = num.AppendTrim(append(text, 'x'), int64(l.Size), ss)
			}
		}
		out[s.At] = string(text)
	}
	return out
}

// The recorded books of two markets leave a store as files of book_updates, and come into an empty one as they were: each
// change, each second, and what was held. A second import adds nothing.
func TestImportRecordedBooks(t *testing.T) {
	source := t.TempDir()
	importFile(t, source, feedtest.Recording(t, btcEth))
	old, closeOld := openStore(t, source)
	defer closeOld()
	var files []string
	var sp history.Span
	for id := range model.MarketID(2) {
		m, _ := old.market(id)
		ivs, err := old.Coverage(t.Context(), model.KindBook, id, everything)
		if err != nil || len(ivs) != 1 {
			t.Fatalf("held is %v, %v", ivs, err)
		}
		sp.From = lake.DayOf(ivs[0].From.Millis())
		sp.To = sp.From + 86_400_000
		var out bytes.Buffer
		if _, err := sourceOf(old).WriteRange(t.Context(), &out, export.RangeRequest{Format: export.Parquet, Dataset: export.BookUpdates, Market: m, Span: sp},
			func(int64) {}); err != nil {
			t.Fatal(err)
		}
		files = append(files, writeFile(t, fmt.Sprintf("%d.parquet", id), out.String()))
	}
	dir := t.TempDir()
	report := importArchive(t, dir, engine.ImportOptions{Files: files})
	if report.Rejected > 0 || report.Gaps > 0 || report.KnownUpdates > 0 || report.Updates < 3000 || report.Markets != 2 || report.Rows != report.Lines {
		t.Fatalf("report is %+v", *report)
	}
	before, _ := storeDigest(t, dir)
	again := importArchive(t, dir, engine.ImportOptions{Files: files})
	if again.Updates != 0 || again.KnownUpdates != report.Updates {
		t.Errorf("the second import is %+v", *again)
	}
	if after, _ := storeDigest(t, dir); after != before {
		t.Error("the second import changed the store")
	}
	got, closeNew := openStore(t, dir)
	defer closeNew()
	if pins, err := got.Pins(); err != nil || !slices.Equal(pins, []model.Millis{sp.From}) {
		t.Errorf("pinned is %v, %v", pins, err)
	}
	for id := range model.MarketID(2) {
		want, have := bookRows(t, old, id, sp), bookRows(t, got, id, sp)
		for i := range min(len(want), len(have)) {
			if want[i].Symbol = have[i].Symbol; want[i] != have[i] {
				t.Fatalf("row %d of market %d is\n%+v, want\n%+v", i, id, have[i], want[i])
			}
		}
		if len(want) != len(have) || len(want) < 10_000 {
			t.Fatalf("%d rows came back of %d", len(have), len(want))
		}
		wantBooks, books := bookTexts(t, old, id, sp), bookTexts(t, got, id, sp)
		for at, text := range wantBooks {
			if books[at] != text {
				t.Fatalf("at %d the book of market %d differs: %.200q, want %.200q", at, id, books[at], text)
			}
		}
		if len(books) != len(wantBooks) || len(books) < 25 {
			t.Errorf("%d books came back of %d", len(books), len(wantBooks))
		}
		wantHeld, err := old.Coverage(t.Context(), model.KindBook, id, sp)
		if err != nil {
			t.Fatal(err)
		}
		held, err := got.Coverage(t.Context(), model.KindBook, id, sp)
		if err != nil || !slices.Equal(held, wantHeld) {
			t.Errorf("held is %v, want %v; %v", held, wantHeld, err)
		}
	}
}

// bookStart is a moment of rows that are written by hand.
const bookStart = int64(1_767_225_600_000)

// change returns a row of an update a number of milliseconds after the start.
func change(at, nonce int64, side string, price, size int64) export.BookUpdate {
	return export.BookUpdate{Timestamp: bookStart + at, RecvTS: (bookStart + at) * 1000, MarketID: 7, Symbol: "ABC", Nonce: nonce, Side: side, Price: price, Size: size}
}

// whole returns the rows of a whole book.
func whole(at, nonce int64) []export.BookUpdate {
	out := []export.BookUpdate{change(at, nonce, "bid", 10_000000, 1_000000), change(at, nonce, "ask", 10_500000, 2_000000)}
	out[0].Snapshot, out[1].Snapshot = true, true
	return out
}

// A whole book is behind a hole where the file's maker does not say that the book was held until then, whatever its nonce. Where
// he does it is one that was sent once more.
func TestImportedBooksKeepTheirHoles(t *testing.T) {
	rows := slices.Concat(whole(0, 10), []export.BookUpdate{change(500, 13, "bid", 9_900000, 1_500000)}, whole(5000, 13),
		[]export.BookUpdate{change(5500, 20, "ask", 10_500000, 0)}, whole(9000, 5))
	ms := func(at int64) model.Micros { return model.Micros((bookStart + at) * 1000) }
	span := func(from, to int64) export.Held {
		return export.Held{Market: 7, From: model.Millis(bookStart + from), To: model.Millis(bookStart + to)}
	}
	for name, c := range map[string]struct {
		held []export.Held
		want []history.Interval // of gaps
	}{
		"nobody tells":   {nil, []history.Interval{{From: ms(500), To: ms(5000)}, {From: ms(5500), To: ms(9000)}}},
		"one of one":     {[]export.Held{span(0, 500), span(5000, 5500), span(9000, 9001)}, []history.Interval{{From: ms(500), To: ms(5000)}, {From: ms(5500), To: ms(9000)}}},
		"held a while":   {[]export.Held{span(0, 2500), span(5000, 7000), span(9000, 9001)}, []history.Interval{{From: ms(2500), To: ms(5000)}, {From: ms(7000), To: ms(9000)}}},
		"sent once more": {[]export.Held{span(0, 5500), span(9000, 12_000)}, []history.Interval{{From: ms(5500), To: ms(9000)}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			report := importArchive(t, dir, engine.ImportOptions{Files: []string{bookLake(t, c.held, rows...)}})
			if report.Rejected > 0 || report.Rows != uint64(len(rows)) || report.Updates != 5 || report.Gaps != uint64(len(c.want)) {
				t.Fatalf("report is %+v", *report)
			}
			reader, closeStore := openStore(t, dir)
			defer closeStore()
			var got []history.Interval
			gaps, err := reader.Gaps(t.Context(), []model.Kind{model.KindBook}, nil, everything)
			for _, g := range gaps {
				got = append(got, history.Interval{From: g.From, To: g.To})
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("gaps are %v, want %v; %v", got, c.want, err)
			}
			if m, _ := reader.market(7); m.Symbol != "ABC" || m.PriceScale != 1 || m.SizeScale != 1 {
				t.Errorf("market is %+v", m)
			}
			held, err := reader.Coverage(t.Context(), model.KindBook, 7, everything)
			if err != nil || len(held) == 0 || held[0].From != ms(0) || name == "sent once more" && held[len(held)-1].To != ms(11_000) {
				t.Errorf("held is %v, %v", held, err)
			}
		})
	}
}

// A hole within a millisecond is one, though the file's maker tells no less than milliseconds.
func TestImportedBooksKeepShortHoles(t *testing.T) {
	rows := slices.Concat(whole(0, 10), []export.BookUpdate{change(500, 13, "bid", 9_900000, 1_500000)}, whole(500, 13))
	rows[2].RecvTS += 100
	rows[3].RecvTS, rows[4].RecvTS = rows[3].RecvTS+400, rows[4].RecvTS+400
	start := model.Millis(bookStart)
	file := bookLake(t, []export.Held{{Market: 7, From: start, To: start + 500}, {Market: 7, From: start + 501, To: start + 900}}, rows...)
	if report := importArchive(t, t.TempDir(), engine.ImportOptions{Files: []string{file}}); report.Gaps != 1 || report.Updates != 3 {
		t.Errorf("report is %+v", *report)
	}
}

// A row that cannot be true is told with its place. Of its update nothing is taken, and no book until the next whole one; where
// nobody knows of what update it is, neither the one before it nor the one behind it.
func TestImportedBooksTellBrokenRows(t *testing.T) {
	good := func() []export.BookUpdate {
		return slices.Concat(whole(0, 10), []export.BookUpdate{
			change(500, 11, "bid", 9_900000, 1_500000), // row 3
			change(600, 12, "bid", 9_900000, 0),
			change(600, 12, "ask", 10_600000, 1_000000), // row 5
			change(700, 14, "bid", 9_800000, 1_000000),
		}, whole(5000, 20), []export.BookUpdate{change(5500, 21, "ask", 10_500000, 0)})
	}
	for name, c := range map[string]struct {
		row     int // from 1
		spoil   func(*export.BookUpdate)
		fault   string
		updates uint64
		rows    uint64
	}{
		"side":            {5, func(b *export.BookUpdate) { b.Side = "buy" }, "5: column side: neither bid nor ask", 4, 6},
		"price":           {3, func(b *export.BookUpdate) { b.Price = 0 }, "3: column price: not above 0", 3, 5},
		"size":            {4, func(b *export.BookUpdate) { b.Size = -1 }, "4: column size: below 0", 4, 6},
		"nonce":           {6, func(b *export.BookUpdate) { b.Nonce = 12 }, "6: column nonce: not above that of the update before", 5, 8},
		"old nonce":       {6, func(b *export.BookUpdate) { b.Nonce = -1 }, "6: column nonce: below 0", 2, 3},
		"time":            {6, func(b *export.BookUpdate) { b.Timestamp += 2 * 86_400_000 }, "6: column timestamp: more than a day after recv_ts", 2, 3},
		"market":          {6, func(b *export.BookUpdate) { b.MarketID = -7 }, "6: column market_id: below 0", 2, 3},
		"first snapshot":  {1, func(b *export.BookUpdate) { b.Price = 0 }, "1: column price: not above 0", 2, 3},
		"second snapshot": {8, func(b *export.BookUpdate) { b.Price = -5 }, "8: column price: not above 0", 4, 6},
	} {
		t.Run(name, func(t *testing.T) {
			rows := good()
			c.spoil(&rows[c.row-1])
			dir := t.TempDir()
			report := importArchive(t, dir, engine.ImportOptions{Files: []string{bookLake(t, nil, rows...)}})
			if len(report.Faults) == 0 || !strings.HasSuffix(report.Faults[0], c.fault) || report.Rows+report.Rejected != report.Lines || report.Lines != uint64(len(rows)) {
				t.Errorf("report is %+v", *report)
			}
			if report.Updates != c.updates || report.Rows != c.rows {
				t.Errorf("%d updates of %d rows, want %d of %d; %q", report.Updates, report.Rows, c.updates, c.rows, report.Faults)
			}
		})
	}
}

// A market that is known becomes wider before its first change, and its books lie in one scale.
func TestImportedBooksWidenScales(t *testing.T) {
	dir := t.TempDir()
	importArchive(t, dir, engine.ImportOptions{Files: []string{writeFile(t, "a.csv",
		"timestamp,market_id,symbol,trade_id,price,size,side\n1767225600000,7,XYZ,1,10.5,2,buy\n")}})
	rows := append(whole(0, 10), change(1500, 11, "bid", 9_999900, 1_000000), change(3000, 12, "bid", 9_999900, 0))
	file := bookLake(t, nil, rows...)
	if report := importArchive(t, dir, engine.ImportOptions{Files: []string{file}}); report.Updates != 3 {
		t.Fatalf("report is %+v", *report)
	}
	reader, closeStore := openStore(t, dir)
	defer closeStore()
	m, _ := reader.market(7)
	if m.Symbol != "XYZ" || len(m.Scales) != 2 || m.PriceScale != 4 || m.SizeScale != 0 {
		t.Fatalf("market is %+v", m)
	}
	day := history.Span{From: model.Millis(bookStart), To: model.Millis(bookStart) + 86_400_000}
	for i := range rows {
		rows[i].Symbol = "XYZ"
	}
	if got := bookRows(t, reader, 7, day); !slices.Equal(got, rows) {
		t.Errorf("rows are %+v", got)
	}
	if got := bookTexts(t, reader, 7, day)[model.Millis(bookStart)+2000]; got != "11: 10x1 9.9999x1 10.5x2" {
		t.Errorf("the book is %q", got)
	}
}

// The files of two days leave no moment between them unheld where the second one begins with the book that the first one ends with.
// Newer first, a second is left: what was stored begins with a book of its own.
func TestImportedDaysOfBooksMeet(t *testing.T) {
	const day = 86_400_000
	first := slices.Concat(whole(day-5000, 10), []export.BookUpdate{change(day-1700, 11, "bid", 9_900000, 1_500000)})
	second := slices.Concat(whole(day, 11), []export.BookUpdate{change(day, 11, "bid", 9_900000, 1_500000), change(day+900, 12, "bid", 9_900000, 0)})
	second[2].Snapshot = true
	ms := func(at int64) model.Micros { return model.Micros((bookStart + at) * 1000) }
	start := model.Millis(bookStart)
	a := bookLake(t, []export.Held{{Market: 7, From: start + day - 5000, To: start + day}}, first...)
	b := bookLake(t, []export.Held{{Market: 7, From: start + day, To: start + day + 2000}}, second...)
	other := slices.Clone(second)
	for i := range other {
		other[i].Nonce++
	}
	c := bookLake(t, []export.Held{{Market: 7, From: start + day, To: start + day + 2000}}, other...)
	one := []history.Interval{{From: ms(day - 5000), To: ms(day + 1000)}}
	two := []history.Interval{{From: ms(day - 5000), To: ms(day - 1000)}, {From: ms(day), To: ms(day + 1000)}}
	for name, x := range map[string]struct {
		files []string
		want  []history.Interval
	}{"in order": {[]string{a, b}, one}, "newer first": {[]string{b, a}, two}, "one again": {[]string{a, b, a, b}, one},
		"another book": {[]string{a, c}, two}, "another book, newer first": {[]string{c, a}, two}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range x.files {
				importArchive(t, dir, engine.ImportOptions{Files: []string{f}})
			}
			reader, closeStore := openStore(t, dir)
			defer closeStore()
			held, err := reader.Coverage(t.Context(), model.KindBook, 7, everything)
			if err != nil || !slices.Equal(held, x.want) {
				t.Errorf("held is %v, want %v; %v", held, x.want, err)
			}
			books := bookTexts(t, reader, 7, history.Span{From: start, To: start + 2*day})
			if want := "11: 10x1 9.9x1.5 10.5x2"; books[start+day-1000] != want || len(x.want) == 1 && books[start+day] != want {
				t.Errorf("books are %v", books)
			}
			if findings, err := history.Check(t.Context(), reader.store, true); err != nil || len(findings) > 0 {
				t.Errorf("check: %v, %v", findings, err)
			}
		})
	}
}
