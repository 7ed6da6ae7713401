package export

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"hyperlight/engine"
	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Books that are written as files, and imported elsewhere, are the same there: each change, each second, and what was held. Changes
// without a level have no row and break nothing, and no hole is bridged.
func TestBookUpdatesComeBackThroughAnImport(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2)
	g.nights(2, 500)
	s := g.source(g.store)
	var files []string
	var days []history.Span
	for day := lake.DayOf(model.Millis(rigStart.UnixMilli())); day < model.Millis(g.clock.UnixMilli()); day += 86_400_000 {
		sp := history.Span{From: day, To: day + 86_400_000}
		written := len(files)
		for _, n := range g.markets {
			var out bytes.Buffer
			if rows, err := s.WriteRange(t.Context(), &out, RangeRequest{Parquet, BookUpdates, n.m, sp}, func(int64) {}); err != nil {
				t.Fatal(err)
			} else if rows > 0 {
				files = append(files, parquetFile(t, out.Bytes()))
			}
		}
		if len(files) > written {
			days = append(days, sp)
		}
	}
	if len(days) < 3 {
		t.Fatalf("%d days and %d files", len(days), len(files))
	}
	to := imported(t, g, files...)
	seconds, holes := 0, 0
	for i, n := range g.markets {
		m := to.Markets()[i]
		if m.PriceScale > 2 || m.SizeScale > 1 || len(m.Scales) != 1 {
			t.Errorf("market is %+v", m)
		}
		for _, sp := range days {
			want, got := collect(t, s, s.BookUpdates(t.Context(), n.m, sp)), collect(t, to, to.BookUpdates(t.Context(), m, sp))
			for i := range min(len(want), len(got)) {
				if want[i] != got[i] {
					t.Fatalf("row %d is\n%+v, want\n%+v", i, got[i], want[i])
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d rows came back of %d", len(got), len(want))
			}
			books := func(s *Source, m *model.Market) []Snapshot {
				// The first book of a file is one of that moment, and one without rows leaves no nonce. At midnight itself a book
				// is only of what came before.
				return slices.DeleteFunc(collectBooks(t, s, m, sp), func(b Snapshot) bool { return b.Timestamp == int64(sp.From) })
			}
			wantBooks, gotBooks := books(s, n.m), books(to, m)
			if !reflect.DeepEqual(gotBooks, wantBooks) {
				t.Fatalf("%d books came back of %d, or others", len(gotBooks), len(wantBooks))
			}
			seconds += len(gotBooks)
			wantHeld, err := s.History.Coverage(t.Context(), model.KindBook, n.m.ID, sp)
			if err != nil {
				t.Fatal(err)
			}
			if k := len(wantHeld) - 1; k >= 0 && wantHeld[k].To >= model.Micros(got[len(got)-1].RecvTS) {
				// No hole ends it: to the next file where that begins with the same book, else to the last row, or the last full
				// second that is no part of the next file.
				if next := collect(t, s, s.BookUpdates(t.Context(), n.m, history.Span{From: sp.To, To: sp.To + 86_400_000})); len(next) == 0 ||
					next[0].RecvTS != int64(sp.To.Micros()) || next[0].Nonce != got[len(got)-1].Nonce {
					wantHeld[k].To = max((wantHeld[k].To - 1).Second(), model.Micros(got[len(got)-1].RecvTS))
				}
				wantHeld = slices.DeleteFunc(wantHeld, func(iv history.Interval) bool { return iv.From >= iv.To })
			}
			gotHeld, err := to.History.Coverage(t.Context(), model.KindBook, m.ID, sp)
			if err != nil || !slices.Equal(gotHeld, wantHeld) {
				t.Fatalf("held is %v, want %v; %v", gotHeld, wantHeld, err)
			}
			wantGaps, gotGaps := gapsWithin(t, s, n.m, sp), gapsWithin(t, to, m, sp)
			if !slices.Equal(gotGaps, wantGaps) {
				t.Fatalf("gaps are %v, want %v", gotGaps, wantGaps)
			}
			holes += len(gotGaps)
		}
	}
	if seconds < 200 || holes < 4 {
		t.Errorf("only %d seconds and %d holes", seconds, holes)
	}
}

// collectBooks returns the books of full seconds without what says when they were received.
func collectBooks(t testing.TB, s *Source, m *model.Market, sp history.Span) (out []Snapshot) {
	t.Helper()
	for batch, err := range s.Snapshots(t.Context(), m, sp) {
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batch {
			b.RecvTS, b.Nonce = 0, 0
			out = append(out, b)
		}
	}
	return out
}

// gapsWithin returns the recorded gaps of a market's books that begin and end in a span.
func gapsWithin(t testing.TB, s *Source, m *model.Market, sp history.Span) (out []history.Interval) {
	t.Helper()
	rows, err := s.History.Gaps(t.Context(), []model.Kind{model.KindBook}, []model.MarketID{m.ID}, sp)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range rows {
		if g.From >= sp.From.Micros() && g.To > 0 && g.To < sp.To.Micros() && !g.Filled {
			out = append(out, history.Interval{From: g.From, To: g.To})
		}
	}
	return out
}

// Rows that somebody else has put out of order are told, and nothing of the book is taken behind them.
func TestImportTellsBookUpdatesOutOfOrder(t *testing.T) {
	t.Parallel()
	const recv = day * 1000
	row := func(at, nonce int64, whole bool, price int64) BookUpdate {
		return BookUpdate{Timestamp: day, RecvTS: recv + at, MarketID: 3, Symbol: "M", Nonce: nonce, Snapshot: whole, Side: "bid", Price: price, Size: 1_000000}
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[BookUpdate](&out, parquet.KeyValueMetadata(versionKey, strconv.Itoa(SchemaVersion)),
		parquet.KeyValueMetadata(datasetKey, string(BookUpdates)))
	if _, err := w.Write([]BookUpdate{row(0, 1, true, 5_000000), row(10, 2, false, 6_000000), row(5, 3, false, 7_000000), row(20, 4, false, 8_000000)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := engine.Import(t.Context(), engine.ImportOptions{Store: kv.Options{Dir: filepath.Join(t.TempDir(), "store"), MinFree: -1},
		Files:   []string{parquetFile(t, out.Bytes())},
		Archive: engine.ArchiveOptions{Lake: func(name string) (engine.LakeFile, error) { return OpenArchive(name) }}})
	if err != nil {
		t.Fatal(err)
	}
	if report.Updates != 1 || report.Rejected != 3 || report.Gaps != 1 || !strings.HasSuffix(report.Faults[0], ":3: column recv_ts: before that of an earlier row") {
		t.Errorf("report is %+v", report)
	}
}

// What cannot be imported is refused with what can.
func TestArchiveRefusesOtherDatasets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{parquetFile(t, write(t, Footer{}, []Snapshot{{}})), parquetFile(t, write(t, Footer{}, []Gap{{}}))} {
		if _, err := OpenArchive(name); !errors.Is(err, ErrNotLake) || !strings.Contains(err.Error(), "book_updates holds all that orderbook_snapshots does") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
