package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const clockStart = 1_760_041_996_000 // ms

// recordedBook is a line of a recording: a frame of market 7's book, received and sent at the given milliseconds.
func recordedBook(offset int, recv, sent int64) string {
	kind := "update"
	if offset == 1 {
		kind = "subscribed"
	}
	return fmt.Sprintf(`{"seq":%d,"recv_us":%d,"msg":{"channel":"order_book:7","offset":%d,"order_book":{"code":0,"asks":[{"price":"10.10","size":"1.0"}],"bids":[{"price":"10.00","size":"%d.5"}],"offset":%d},"timestamp":%d,"type":"%s/order_book"}}`,
		offset, recv*1000, offset, offset, offset, sent, kind)
}

// recordedTrade is a trade frame; the first one of a channel is a "subscribed" one.
func recordedTrade(kind string, id int, recv, at int64) string {
	return fmt.Sprintf(`{"seq":%d,"recv_us":%d,"msg":{"channel":"trade:7","liquidation_trades":null,"trades":[{"trade_id":%d,"market_id":7,"price":"10.00","size":"1.0","is_maker_ask":false,"timestamp":%d}],"type":"%s/trade"}}`,
		id, recv*1000, id, at, kind)
}

func writeRecording(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in.ndjson")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A line whose receive time cannot be true is left out with a reason, and carries no other line along.
func TestImportAbsurdTimes(t *testing.T) {
	const t0, hour, day = int64(clockStart), int64(3_600_000), int64(86_400_000)
	at := func(i int) int64 { return t0 + int64(i)*100 }
	for name, c := range map[string]struct {
		line   string
		reason string
	}{
		"centuries ahead":          {recordedTrade("update", 900, t0+200*365*day, at(10)), "in the future"},
		"months ahead of itself":   {recordedTrade("update", 900, t0+20*day, at(10)), "more than a day from the venue's"},
		"hours ahead of itself":    {recordedTrade("update", 900, t0+3*hour, at(10)), "more than an hour ahead"},
		"history days ahead":       {recordedTrade("subscribed", 900, t0+20*day, at(10)), "more than an hour ahead"},
		"in seconds":               {recordedTrade("update", 900, t0/1_000_000, at(10)), "no time in microseconds"},
		"negative":                 {recordedTrade("update", 900, -5, at(10)), "no time in microseconds"},
		"hours back":               {recordedTrade("update", 900, t0-3*hour, t0-3*hour), "far before that of an earlier line"},
		"a trade of another day":   {recordedTrade("subscribed", 900, at(10), t0+30*day), "time of a trade"},
		"a trade before the venue": {recordedTrade("subscribed", 900, at(10), 1), "time of a trade"},
	} {
		for _, where := range []int{0, 29} {
			if where == 0 && name == "hours back" {
				continue // the first line has nothing before it
			}
			t.Run(fmt.Sprintf("%s, line %d", name, where), func(t *testing.T) {
				var lines []string
				for i := range 30 {
					if i == where {
						lines = append(lines, c.line, c.line)
					}
					lines = append(lines, recordedBook(i+1, at(i), at(i)-20))
				}
				dir := t.TempDir()
				report := importFile(t, dir, writeRecording(t, lines...))
				if report.Updates != 30 || report.Rejected != 2 || report.Trades != 0 || report.From != t0 || report.To != at(29) {
					t.Fatalf("report is %+v", *report)
				}
				for reason := range report.Reasons {
					if !strings.Contains(reason, c.reason) {
						t.Errorf("reason is %q, want %q", reason, c.reason)
					}
				}
				reader, _ := openReader(t, dir)
				i := 0
				for row, err := range reader.Updates(context.Background(), 7, 0, 1<<60) {
					if err != nil {
						t.Fatal(err)
					}
					if row.Recv != model.Micros(at(i)*1000) {
						t.Fatalf("update %d was received at %d, want %d", i, row.Recv, at(i)*1000)
					}
					i++
				}
			})
		}
	}
}

// A recorder that was away for hours is believed when it is back: whatever its first line is.
func TestImportLongHole(t *testing.T) {
	const t0, hour = int64(clockStart), int64(3_600_000)
	for name, lines := range map[string][]string{
		"book first": {recordedBook(1, t0, t0), recordedTrade("subscribed", 1, t0+50, t0-9*hour),
			recordedBook(1, t0+5*hour, t0+5*hour), recordedTrade("subscribed", 1, t0+5*hour+50, t0-9*hour), recordedBook(2, t0+5*hour+2000, t0+5*hour+2000)},
		"trades first": {recordedTrade("subscribed", 1, t0, t0-9*hour), recordedBook(1, t0+50, t0),
			recordedTrade("subscribed", 1, t0+5*hour, t0-9*hour), recordedBook(1, t0+5*hour+50, t0+5*hour), recordedBook(2, t0+5*hour+2000, t0+5*hour+2000)},
	} {
		t.Run(name, func(t *testing.T) {
			report := importFile(t, t.TempDir(), writeRecording(t, lines...))
			if report.Rejected != 0 || report.Updates != 3 || report.To != t0+5*hour+2000 {
				t.Errorf("report is %+v", *report)
			}
		})
	}
}

// A hole in the recording is no held time for the trades either, which have no chain that would break.
func TestImportSilenceIsNotHeld(t *testing.T) {
	const t0, minute = int64(clockStart), int64(60_000)
	var lines []string
	for i := range 10 {
		lines = append(lines, recordedTrade("update", i+1, t0+int64(i)*1000, t0+int64(i)*1000))
	}
	for i := range 10 { // half an hour later, nobody says that anything is missing
		lines = append(lines, recordedTrade("update", i+500, t0+30*minute+int64(i)*1000, t0+30*minute+int64(i)*1000))
	}
	dir := t.TempDir()
	file := writeRecording(t, lines...)
	importFile(t, dir, file)
	importFile(t, dir, file)
	reader, _ := openReader(t, dir)
	ivs, err := reader.Coverage(context.Background(), model.KindTrades, 7, history.Span{To: 1 << 45})
	if err != nil || len(ivs) != 2 || ivs[0].To > model.Micros((t0+minute)*1000) || ivs[1].From < model.Micros((t0+29*minute)*1000) {
		t.Errorf("trades are held in %v (%v), want two intervals", ivs, err)
	}
	gaps, err := reader.Gaps(context.Background(), []model.Kind{model.KindTrades}, nil, history.Span{To: 1 << 45})
	if err != nil || len(gaps) != 1 || gaps[0].To != ivs[1].From {
		t.Errorf("gaps are %+v (%v), want one", gaps, err)
	}
}

// The files of a rotating recorder meet within a second; neither takes rows of the other for its own.
func TestImportRotatedFiles(t *testing.T) {
	const t0 = int64(clockStart)
	var first, second []string
	for i := range 14 {
		first = append(first, recordedBook(i+1, t0+int64(i)*100, t0+int64(i)*100))
	}
	for i := range 30 {
		at := t0 + 1350 + int64(i)*100
		second = append(second, recordedBook(i+1, at, at))
	}
	a, b := writeRecording(t, first...), writeRecording(t, second...)
	for name, files := range map[string][]string{"in order": {a, b}, "newer first": {b, a}} {
		t.Run(name, func(t *testing.T) {
			report := importFile(t, t.TempDir(), files...)
			if report.Updates != 44 || report.KnownUpdates != 0 {
				t.Errorf("report is %+v", *report)
			}
		})
	}
}

// A line that is longer than any frame is left out like any other damaged one.
func TestImportOverlongLine(t *testing.T) {
	const t0 = int64(clockStart)
	file := writeRecording(t, recordedBook(1, t0, t0), strings.Repeat("x", 66<<20), recordedBook(2, t0+100, t0+100))
	report := importFile(t, t.TempDir(), file)
	if report.Updates != 2 || report.Rejected != 1 || len(report.CutShort) != 0 {
		t.Errorf("report is %+v", *report)
	}
}
