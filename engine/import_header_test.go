package engine_test

import (
	"strings"
	"testing"

	"hyperlight/engine"
)

// A table that is not quite one is told what it lacks, and is not taken for a recording; an empty file is told too.
func TestImportTellsWhatAHeaderLacks(t *testing.T) {
	for name, c := range map[string]struct{ text, fault string }{
		"lacking": {"timestamp,market_id,trade_id,price,size\n1767225600000,7,1,10.5,2\n", ":1: columns make no dataset: for trades they lack side or is_maker_ask"},
		"twice":   {"timestamp,time,market_id,trade_id,price,size,side\n1,1,7,1,1,1,buy\n", ":1: columns make no dataset: timestamp and time both name the timestamp; take one out"},
	} {
		t.Run(name, func(t *testing.T) {
			report := importArchive(t, t.TempDir(), engine.ImportOptions{Files: []string{writeFile(t, "a.csv", c.text)}})
			if len(report.NoRows) != 1 || len(report.NoFrames) > 0 || len(report.Faults) != 1 || !strings.HasSuffix(report.Faults[0], c.fault) {
				t.Errorf("report is %+v", *report)
			}
		})
	}
	if report := importFile(t, t.TempDir(), writeFile(t, "empty.ndjson", "")); len(report.NoFrames) != 1 {
		t.Errorf("report of an empty file is %+v", *report)
	}
}
