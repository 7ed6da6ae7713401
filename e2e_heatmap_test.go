package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"hyperlight/engine/sim"
)

// The heatmap channel sends what the whole program makes of the simulated venue's trades: the first frame, and another
// one when it was computed anew, no sooner than ten seconds later.
func TestHeatmapOfTheVenuesTrades(t *testing.T) {
	t.Parallel()
	const markets = 2
	v := startVenue(t, sim.New(sim.Options{Seed: 6, Markets: markets, Accounts: 200, Rate: 500}), sim.ServeOptions{})
	a := startAppliance(t, applianceConfig(t.TempDir(), v))
	a.waitSynced(markets)
	machine := watchStalls(t)
	conn := a.dial("/ws")
	next(t, conn, "authenticated")
	send(t, conn, `{"type":"subscribe","channel":"liquidation_heatmap/0"}`)
	last := next(t, conn, "subscribed")
	var before struct{ at int64 }
	shown := map[int64]string{} // the heatmaps by when they were computed
	deadline := time.Now().Add(2 * time.Minute)
	for n := 0; n < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("%d heatmaps in a minute", n)
		}
		f, raw, err := readFrame(conn, time.Minute)
		if err != nil {
			t.Fatalf("after %d heatmaps: %v", n, err)
		}
		if f.Type != "data" {
			continue
		}
		var data struct {
			Market     int64             `json:"market_id"`
			Symbol     string            `json:"symbol"`
			Mark       string            `json:"mark_price"`
			Buckets    []json.RawMessage `json:"buckets"`
			ComputedAt int64             `json:"computed_at"`
			Coverage   struct {
				Tracked string `json:"tracked_open_interest"`
			} `json:"coverage"`
		}
		if err := json.Unmarshal(f.Data, &data); err != nil {
			t.Fatalf("%v in %.300s", err, raw)
		}
		if data.Market != 0 || data.Symbol == "" || data.Mark == "" || len(data.Buckets) != 100 || data.Coverage.Tracked == "" {
			t.Fatalf("heatmap %.500s", raw)
		}
		if f.Seq <= last.Seq || data.ComputedAt-before.at < 9000-machine.within(0).Milliseconds() { // the one before may have come late
			t.Errorf("seq %d after %d, computed %d ms after the one before", f.Seq, last.Seq, data.ComputedAt-before.at)
		}
		if n++; n == 2 && (data.Coverage.Tracked == "0" || data.Coverage.Tracked == "0.0000") {
			t.Errorf("no position is tracked: %.300s", raw)
		}
		last, before.at = f, data.ComputedAt
		shown[data.ComputedAt] = string(f.Data)
	}
	// The past has the first whole one of each minute.
	for {
		answer, raw, err := a.try(fmt.Sprintf("/replay/api/v1/liquidation-heatmap/0?at=%d", before.at+1))
		if err == nil && answer.Success {
			var past struct {
				ComputedAt int64 `json:"computed_at"`
			}
			if err := json.Unmarshal(answer.Data, &past); err != nil || past.ComputedAt > before.at || past.ComputedAt < before.at-60_000 {
				t.Errorf("%v: the past has a heatmap of %d, asked at %d", err, past.ComputedAt, before.at)
			}
			if live, ok := shown[past.ComputedAt]; ok && live != string(answer.Data) {
				t.Errorf("the past shows %s\nlive was %s", answer.Data, live)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no heatmap of the past: %v %.300s", err, raw)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// A signal on a member of the heatmap is told each heatmap as the record keeps it: a backtest of the same minutes finds the very
// same triggers.
func TestSignalsOnTheHeatmap(t *testing.T) {
	t.Parallel() // it waits for two heatmaps
	h := newHook(t)
	a := startSignals(t, h)
	me := a.as(a.register("heatmap@example.com"))
	var s signalRow
	me.want(t, 201, "POST", "/api/v1/signals", signalBody("at risk",
		`{"conditions":[{"field":"heatmap_long_at_risk","op":"gte","value":0},{"field":"heatmap_short_at_risk","op":"gte","value":0}],"logic":"AND"}`, 0, h.URL+"/risk"), &s)
	waitFor(t, 2*time.Minute, func() bool { return len(h.of("/risk")) >= 2 }, func() string { return fmt.Sprintf("%d deliveries", len(h.of("/risk"))) })
	ended := time.Now().UnixMilli()
	me.want(t, 200, "PATCH", "/api/v1/signals/"+s.ID, `{"enabled":false}`, nil)
	checkBacktest(t, me, h, "/risk", s, ended)
}
