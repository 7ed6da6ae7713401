package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/sim"
	"hyperlight/kv"
)

// TestKill kills the server with SIGKILL at random moments of its work, on one store, again and again. Each time the
// store must open within two seconds, hold everything that a client had read from it, lack at most the last second
// before the kill, and agree with its own indexes.
func TestKill(t *testing.T) {
	kills := 10
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		kills = 200
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	const markets = 6
	v := startVenue(t, sim.New(sim.Options{Seed: int64(seed >> 1), Markets: markets, Accounts: 500, Rate: 2000}), sim.ServeOptions{
		Limits: sim.Limits{MessagesPerMinute: -1, NewConnections: -1}, // each restart subscribes anew
	})
	dir := t.TempDir()
	machine := watchStalls(t)
	var known map[string]bool
	for n := range kills {
		s := startServer(t, dir, v)
		s.waitSynced(markets)
		known = s.readUntilKill(time.Duration(random.IntN(1500))*time.Millisecond, known)
		killed := s.kill()
		checkStore(t, fmt.Sprintf("kill %d of seed %d", n+1, seed), dir, known, killed, machine)
	}
}

// server is the program in a process of its own.
type server struct {
	*appliance
	cmd   *exec.Cmd
	began model.Millis
}

// startServer starts it with further arguments; a later one stands against an earlier one.
func startServer(t *testing.T, dir string, v venue, args ...string) *server {
	t.Helper()
	cmd := exec.Command("hyperlight", append([]string{"serve", "--listen", "127.0.0.1:0", "--storage-dir", dir, "--local-plan", "enterprise",
		"--set", "venues.lighter.rest_url=" + v.rest, "--set", "venues.lighter.stream_url=" + v.stream,
		"--set", "venues.lighter.messages_per_minute=6000", "--set", "venues.lighter.rest_budget_per_minute=24000",
		"--set", "storage.min_free=64MiB", "--set", "storage.cache=32MiB", "--log-level", "error"}, args...)...)
	cmd.Env = append(os.Environ(), "HYPERLIGHT_CONFIG="+os.DevNull)
	errors, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := model.Millis(time.Now().UnixMilli())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // already dead where the test went well
	lines := bufio.NewScanner(errors)
	for lines.Scan() {
		if base, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			go io.Copy(io.Discard, errors)
			return &server{appliance: &appliance{t: t, base: base, dir: dir}, cmd: cmd, began: began}
		}
		t.Log(lines.Text())
	}
	_ = cmd.Wait()
	t.Fatal("server did not start")
	return nil
}

// readUntilKill reads the stored trades again and again until its time is over, and returns every one ever read: a
// trade that was served from the store is acknowledged.
func (s *server) readUntilKill(d time.Duration, known map[string]bool) map[string]bool {
	s.t.Helper()
	if known == nil {
		known = map[string]bool{}
	}
	for deadline := time.Now().Add(d); ; {
		cursor := ""
		for {
			var page struct {
				Trades []struct {
					MarketID  int64  `json:"market_id"`
					TradeID   uint64 `json:"trade_id"`
					Timestamp int64  `json:"timestamp"`
				} `json:"trades"`
			}
			a := s.get(fmt.Sprintf("/api/v1/trades/by-time?limit=1000&start=%d%s", s.began, cursor), &page)
			for _, tr := range page.Trades {
				known[fmt.Sprintf("%d/%d@%d", tr.MarketID, tr.TradeID, tr.Timestamp)] = true
			}
			if a.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + a.Meta.NextCursor
		}
		if time.Now().After(deadline) {
			return known
		}
	}
}

func (s *server) kill() model.Millis {
	s.t.Helper()
	at := model.Millis(time.Now().UnixMilli())
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait() // says only that it was killed
	return at
}

func checkStore(t *testing.T, where, dir string, known map[string]bool, killed model.Millis, machine *stalls) {
	t.Helper()
	began := time.Now()
	store, err := kv.Open(kv.Options{Dir: filepath.Join(dir, "store"), MinFree: -1})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Errorf("%s: close: %v", where, err)
		}
	}()
	ctx := context.Background()
	rec, err := history.Recover(ctx, store)
	if err != nil {
		t.Fatalf("%s: recover: %v", where, err)
	}
	if took := time.Since(began); took > machine.within(2*time.Second) {
		t.Errorf("%s: the store took %s to open", where, took)
	}
	findings, err := history.Check(ctx, store, false)
	if err != nil {
		t.Fatalf("%s: check: %v", where, err)
	}
	for _, f := range findings {
		t.Errorf("%s: %x: %s", where, f.Key, f.Problem)
	}
	markets := map[model.MarketID]*model.Market{}
	for _, m := range rec.Markets {
		markets[m.ID] = m
	}
	reader := history.NewReader(store, func(id model.MarketID) (*model.Market, bool) { m, ok := markets[id]; return m, ok })
	stored := map[string]bool{}
	newest := model.Micros(0)
	for _, m := range rec.Markets {
		for tr, err := range reader.Trades(ctx, m.ID, history.Span{To: 1 << 50}, history.TradeQuery{}) {
			if err != nil {
				t.Fatalf("%s: read trades: %v", where, err)
			}
			name := fmt.Sprintf("%d/%d@%d", m.Native, tr.ID, tr.Time)
			if stored[name] {
				t.Errorf("%s: trade %s is stored twice", where, name)
			}
			stored[name] = true
		}
		for row, err := range reader.Updates(ctx, m.ID, killed.Micros()-5_000_000, 1<<60) {
			if err != nil {
				t.Fatalf("%s: read book: %v", where, err)
			}
			newest = max(newest, row.Recv)
		}
	}
	missing := 0
	for name := range known {
		if !stored[name] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%s: %d of %d acknowledged trades are gone", where, missing, len(known))
	}
	if lost := time.Duration(killed.Micros()-newest) * time.Microsecond; lost > machine.within(time.Second) {
		t.Errorf("%s: book updates end %s before the kill", where, lost)
	}
}

// A store that a newer version wrote is refused in plain words, and nothing is written to it.
func TestNewerStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	importInto(t, dir, writeRecording(t, dir))
	store, err := kv.Open(kv.Options{Dir: filepath.Join(dir, "store"), MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	b := store.NewBatch()
	b.Set([]byte("gformat"), []byte{1, 99}) // version of the row, then the format
	if err := store.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("hyperlight", "serve", "--storage-dir", dir, "--listen", "127.0.0.1:0").CombinedOutput()
	if code := exitCode(err); code != exitConfig || !strings.Contains(string(out), "newer format") {
		t.Errorf("exit code %d, output %s", code, out)
	}
}

func exitCode(err error) int {
	if e, ok := err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// writeRecording makes a small recording of one market.
func writeRecording(t *testing.T, dir string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "small.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	enc := json.NewEncoder(file)
	for i := range 20 {
		kind := "update/order_book"
		if i == 0 {
			kind = "subscribed/order_book"
		}
		err := enc.Encode(map[string]any{"seq": i, "recv_us": 1_760_041_996_000_000 + i*100_000, "msg": map[string]any{
			"channel": "order_book:7", "type": kind, "offset": i + 1, "timestamp": 1_760_041_996_000 + i*100,
			"order_book": map[string]any{"code": 0, "offset": i + 1,
				"asks": []bookLevel{{"10.10", "1.0"}}, "bids": []bookLevel{{"10.00", fmt.Sprintf("%d.0", i+1)}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return file.Name()
}
