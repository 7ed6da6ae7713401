package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/lake"
	"hyperlight/export"
	"hyperlight/kv"
)

const crashDays = 20

// lateTrades is one more trade of each day, as rows of an archive.
func lateTrades(round int) map[string]string {
	var out bytes.Buffer
	out.WriteString("timestamp,market_id,symbol,trade_id,price,size,side\n")
	for day := range int64(crashDays) {
		at := int64(lakeDay) + day*int64(lake.DayMillis) + int64(round)*1000
		fmt.Fprintf(&out, "%d,7,ABC,%d,10.%02d,2.0,buy\n", at, day*1000+int64(round)+1, round%100)
	}
	return map[string]string{"trades.csv": out.String()}
}

// TestLakeKill kills the server with SIGKILL at random moments while it makes files, on one store, again and again. What is listed
// after a kill is there whole, or, where it was just being made again, is given to nobody; the last start completes all.
func TestLakeKill(t *testing.T) {
	t.Parallel()
	kills, limit := 30, 8*time.Second
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		limit = time.Hour
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	off := []string{"--set", "venues.lighter.enabled=false", "--set", "lake.datasets=trades,candles"}
	nowhere := venue{rest: "http://127.0.0.1:1", stream: "ws://127.0.0.1:1"}
	round, done, during := 0, 0, 0
	importArchive(t, dir, lateTrades(round))
	for began := time.Now(); done < kills && (during == 0 || time.Since(began) < limit); done++ {
		s := startServer(t, dir, nowhere, off...)
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		state := s.exports("")
		fetchListed(t, s.appliance, state, random)
		s.kill()
		whole := checkListed(t, fmt.Sprintf("kill %d of seed %d", done+1, seed), dir)
		if state.State.Status == "running" || !whole {
			during++
		} else {
			round++
			importArchive(t, dir, lateTrades(round))
		}
	}
	if during == 0 {
		t.Errorf("none of %d kills met a run", done)
	}
	t.Logf("%d kills, %d of them during a run, every day made in %d versions", done, during, round+1)

	s := startServer(t, dir, nowhere, off...)
	files := s.waitLake("")
	if len(files) != 2*crashDays {
		t.Errorf("the last start has %d files", len(files))
	}
	for id, f := range files {
		if strings.HasPrefix(id, "trades-") && f.Rows != int64(round+1) {
			t.Errorf("%s has %d rows of %d", id, f.Rows, round+1)
		}
	}
	s.kill()
	checkListed(t, "at the end", dir)
	if left, err := fs.Glob(os.DirFS(filepath.Join(dir, "lake")), "*/*/*/.*"); err != nil || len(left) > 0 {
		t.Errorf("left over are %v, %v", left, err)
	}
}

// fetchListed fetches some of the files that a running server lists. What comes is a whole version of the file.
func fetchListed(t *testing.T, a *appliance, e exports, random *rand.Rand) {
	t.Helper()
	for range min(3, len(e.Exports)) {
		f := e.Exports[random.IntN(len(e.Exports))]
		resp, body, err := fetchPart("GET", a.base+"/api/v1/data-lake/files/"+keyOf(t, f), "")
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		if resp.StatusCode != 503 && (resp.StatusCode != 200 || resp.Header.Get("ETag") != `"`+hex.EncodeToString(sum[:])+`"`) {
			t.Errorf("%s: status %d, %d bytes, ETag %s", f.ID, resp.StatusCode, len(body), resp.Header.Get("ETag"))
		}
	}
}

func keyOf(t *testing.T, f exported) string {
	t.Helper()
	id, ok := lake.ParseID(f.ID)
	if !ok {
		t.Fatalf("listed is %+v", f)
	}
	return id.Key()
}

// checkListed looks at the list and the directory that a kill has left: each listed file is whole, but for at most one that was
// in the middle of its change. It tells whether all files are there.
func checkListed(t *testing.T, where, dir string) bool {
	t.Helper()
	store, err := kv.Open(kv.Options{Dir: filepath.Join(dir, "store"), MinFree: -1})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer store.Close()
	manifest, err := lake.OpenManifest(store, "")
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	l, err := export.NewLake(export.LakeOptions{Dir: filepath.Join(dir, "lake"), Manifest: manifest, Now: time.Now})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer l.Close()
	changing := 0
	if err := l.Verify(t.Context(), func(f lake.File, fault error) error {
		if errors.Is(fault, export.ErrChanged) {
			changing++
		} else if fault != nil {
			t.Errorf("%s: %s: %v", where, f.ID, fault)
		}
		return nil
	}); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if changing > 1 {
		t.Errorf("%s: %d listed files are not those in their place", where, changing)
	}
	return len(manifest.All()) == 2*crashDays && changing == 0
}

// A server that is stopped while it makes files ends at once; what it has made is listed, and the next start makes the rest. One
// with lake.enabled off makes none, and lists what there is.
func TestLakeStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	importArchive(t, dir, lateTrades(0))
	a := startAppliance(t, applianceConfig(dir, venue{}))
	began := time.Now()
	a.stop()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	checkListed(t, "stopped", dir)
	cfg := applianceConfig(dir, venue{})
	cfg.Lake.Enabled = false
	a = startAppliance(t, cfg)
	before := a.exports("dataset=trades")
	if before.State.Status != "idle" || before.State.Next != nil {
		t.Errorf("nothing is to be made: %+v", before.State)
	}
	a.stop()
	a = startAppliance(t, applianceConfig(dir, venue{}))
	if files := a.waitLake("dataset=trades"); len(files) != crashDays || len(before.Exports) > crashDays {
		t.Errorf("%d files after %d", len(files), len(before.Exports))
	}
}
