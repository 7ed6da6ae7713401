package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// recordedDay is the day of the recording, and the bounds that calls name.
var recordedDay = model.Millis(time.Date(2025, 10, 9, 0, 0, 0, 0, time.UTC).UnixMilli())

// withoutPart copies a recording without what came of some channels between two of its seconds.
func withoutPart(t testing.TB, path, into string, from, to time.Duration, channels ...string) {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	first := int64(0)
	for dec := json.NewDecoder(unpacked); ; {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Recv int64 `json:"recv_us"`
			Msg  struct{ Channel, Type string }
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = f.Recv
		}
		at := time.Duration(f.Recv-first) * time.Microsecond
		if at >= from && at < to && slices.Contains(channels, f.Msg.Channel) {
			continue
		}
		out.Write(append(raw, '\n'))
	}
	if err := os.WriteFile(into, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// importArchive loads recordings and rows, which are text, into the store of a directory.
func importArchive(t testing.TB, dir string, rows map[string]string, files ...string) {
	t.Helper()
	for name, text := range rows {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	report, err := runImport(t.Context(), applianceConfig(dir, venue{}), slog.New(slog.DiscardHandler), files, importOptions{}, engine.ArchiveOptions{}, func(engine.ImportProgress) {})
	if err != nil || len(report.Faults)+len(report.NoRows)+len(report.NoFrames) > 0 {
		t.Fatalf("import: %v %+v", err, report)
	}
}

// lakeConfig is the configuration of a server whose address is known before it starts, as the tables' has to be.
func lakeConfig(t testing.TB, dir string) *config.Config {
	t.Helper()
	cfg := applianceConfig(dir, venue{})
	ln := listenBelow(t)
	cfg.Server.Listen = ln.Addr().String()
	_ = ln.Close()
	cfg.Lake.Location = "http://" + cfg.Server.Listen + "/api/v1/data-lake/files"
	return cfg
}

// A recorded day becomes files when a server starts on it. They hold the rows that REST tells, whoever reads them, and agree with
// each other; rows that come late make them anew under the same id; and the tables over them are read from the server.
func TestLakeOfARecordedDay(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	t.Parallel()
	dir := t.TempDir()
	part := filepath.Join(t.TempDir(), "part.ndjson")
	withoutPart(t, path, part, 8*time.Second, 16*time.Second, "order_book:0", "trade:0")
	fundings := "timestamp,market_id,symbol,rate,value,direction\n"
	for hour := range 24 {
		at := int64(recordedDay) + int64(hour)*3_600_000
		fundings += fmt.Sprintf("%d,0,ETH,0.0000%02d,0.%d,long\n%d,1,BTC,-0.000012,1.5,short\n", at, hour+10, hour+1, at)
	}
	importArchive(t, dir, map[string]string{"fundings.csv": fundings}, part)
	a := startAppliance(t, lakeConfig(t, dir))
	before := a.waitLake(span())
	var ids []string
	for _, d := range lake.Datasets {
		for m := range int64(2) {
			id := lake.ID{Dataset: d, Market: m, Day: recordedDay}
			if !d.PerMarket() {
				id.Market = lake.AllMarkets
			}
			if ids = append(ids, id.String()); before[id.String()].ID == "" {
				t.Errorf("there is no file %s", id)
			}
		}
	}
	if len(slices.Compact(ids)) != len(before) {
		t.Errorf("files are %v", before)
	}
	if a.downloadAll(before).checkAll(2) == 0 {
		t.Error("the hole in the recording is no gap")
	}
	a.stop()

	importInto(t, dir, path)
	a = startAppliance(t, lakeConfig(t, dir))
	after := a.waitLake(span())
	for id, f := range before {
		late := strings.Contains(id, "-0-") || strings.HasPrefix(id, "gaps-")
		if g := after[id]; (g.SHA256 != f.SHA256) != late || strings.HasPrefix(id, "trades-0") && g.Rows <= f.Rows {
			t.Errorf("late rows of market 0 made of %+v\n%+v", f, g)
		}
	}
	r := a.downloadAll(after)
	r.readByOthers()
	r.checkAll(2)
	r.checkTables(a.waitLake("")) // a gap that nothing has ended yet is in the file of each day since
}
