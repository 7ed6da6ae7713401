package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyperlight/engine"
	"hyperlight/kv"
)

// Recordings of two markets, one of them in two files, become files that an import takes whole.
func TestFilesAreImported(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	first := write("a", `{"type":"book","ts_ms":1767657600940,"recv_us":1767657601343051,"bids":[["93869.5","0.0002"]],"asks":[["93869.5","0.0001"]]}
{"type":"trade","ts_ms":1767657601451,"recv_us":1767657601748977,"price":"93869.83","size":"0.0001"}
`)
	second := write("b", `{"type":"book","ts_ms":1767657602000,"recv_us":1767657602343051,"bids":[["93869.4","0.0002"]],"asks":[["93869.5","0.0001"]]}
`)
	other := write("c", `1721347021434994132 {"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022956,"T":1721347022956,"s":"BTCUSDT","t":5182005737,"p":"63943.90","q":"0.003","X":"MARKET","m":true}}
1721347021281597601 {"lastUpdateId":4984028384061,"E":1721347022759,"T":1721347022750,"bids":[["63943.90","46.372"]],"asks":[["63944.00","1.000"]]}
`)
	to := filepath.Join(dir, "frames")
	var out bytes.Buffer
	if err := run(&out, to, []string{first, other, second}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "btc-usd.ndjson.gz: market 1, 3 lines, 3 frames: 1 books, 1 updates of 2 levels, 1 trades, 0 breaks") {
		t.Errorf("said\n%s", &out)
	}
	markets, err := os.ReadFile(filepath.Join(to, "markets.json"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := engine.Import(t.Context(), engine.ImportOptions{Store: kv.Options{Dir: filepath.Join(dir, "store"), MinFree: -1},
		Files: []string{filepath.Join(to, "btc-usd.ndjson.gz"), filepath.Join(to, "btcusdt.ndjson.gz")}, Markets: markets})
	if err != nil {
		t.Fatal(err)
	}
	if report.Updates != 3 || report.Trades != 2 || report.Rejected != 0 || report.Gaps != 0 || report.Markets != 2 {
		t.Errorf("import: %+v", report)
	}
	if err := run(&out, to, []string{write("d", "no recording\n")}); err == nil {
		t.Error("a file of something else was taken")
	}
}
