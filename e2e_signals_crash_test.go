package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/record"
	"hyperlight/engine/signal/delivery"
	"hyperlight/engine/sim"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// TestKillKeepsTriggers kills the server with SIGKILL while signals trigger and deliveries run, to one receiver that takes
// them and one that is out of order most of the time. After each kill the store knows of every delivery that a receiver has
// seen, each trigger that a signal counts has all its deliveries, and what is not finished waits in the queue. In the end
// each of them has arrived, under one id with the same bytes, or is marked failed.
func TestKillKeepsTriggers(t *testing.T) {
	t.Parallel() // it waits for the venue's seconds
	kills := 10
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		kills = 30
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	v := startVenue(t, sim.New(sim.Options{Seed: 3, Markets: 1, Accounts: 20, Rate: 300}), sim.ServeOptions{
		Limits: sim.Limits{MessagesPerMinute: -1, NewConnections: -1},
	})
	h := newHook(t)
	h.answer = func(path string, n int) int {
		if path == "/ill" && n%3 != 0 {
			return 503
		}
		return 200
	}
	dir := t.TempDir()
	start := func() *server {
		s := startServer(t, dir, v, "--set", "access.default_tier=enterprise", "--set", "webhooks.allow_http=true", "--set", "webhooks.allow_private=true",
			"--set", "webhooks.ports="+h.port(), "--set", "webhooks.retry_schedule=1s,1s")
		return s
	}
	s := start()
	me := s.as(s.register("crash@example.com"))
	for i := range 10 {
		rule := []string{`{"conditions":[{"field":"trade_price","op":"gt","value":0}]}`, `{"conditions":[{"field":"bid_depth","op":"gte","value":0}]}`}[i%2]
		me.want(t, 201, "POST", "/api/v1/signals", signalBody(fmt.Sprint(i), rule, 0, h.URL+"/well", h.URL+"/ill"), nil)
	}
	for n := range kills {
		before := len(h.of("/well"))
		waitFor(t, time.Minute, func() bool { return len(h.of("/well")) > before }, func() string { return "nothing triggers" })
		time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
		s.kill()
		checkDeliveries(t, fmt.Sprintf("kill %d of seed %d", n+1, seed), dir, h, false)
		s = start()
	}
	me.base = s.base
	var all struct {
		Signals []signalRow `json:"signals"`
	}
	me.want(t, 200, "GET", "/api/v1/signals", "", &all)
	for _, x := range all.Signals {
		me.want(t, 200, "PATCH", "/api/v1/signals/"+x.ID, `{"enabled":false}`, nil)
	}
	h.mu.Lock()
	h.answer = func(string, int) int { return 200 }
	h.mu.Unlock()
	waitFor(t, 60*time.Second, func() bool {
		n := len(h.of("/well")) + len(h.of("/ill"))
		time.Sleep(2500 * time.Millisecond) // longer than any retry waits
		return len(h.of("/well"))+len(h.of("/ill")) == n
	}, func() string { return "deliveries go on for ever" })
	s.kill()
	checkDeliveries(t, fmt.Sprintf("the end of seed %d", seed), dir, h, true)
}

// checkDeliveries compares what a killed server's store says of signals and deliveries with itself and with what receivers
// saw; at the end nothing may wait.
func checkDeliveries(t *testing.T, where, dir string, h *hook, end bool) {
	t.Helper()
	store, err := kv.Open(kv.Options{Dir: filepath.Join(dir, "store"), MinFree: -1})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}()
	h.mu.Lock()
	seen, twice := map[string]string{}, 0 // body by id
	for _, c := range h.calls {
		if was, ok := seen[c.id()]; ok && was != c.body {
			t.Errorf("%s: delivery %s came with other bytes", where, c.id())
		} else if ok {
			twice++
		}
		seen[c.id()] = c.body
	}
	h.mu.Unlock()
	scan := func(f key.Family, visit func(row kv.KV) error) {
		for row, err := range store.Scan(context.Background(), key.All(f)) {
			if err == nil {
				err = visit(row)
			}
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
		}
	}
	queued := map[uuid.UUID]int{}
	scan(key.DeliveryQueue, func(row kv.KV) error {
		k, err := key.ParseQueued(row.Key)
		queued[k.ID]++
		return err
	})
	logged := map[uuid.UUID]int{} // deliveries by signal
	known := map[string]bool{}
	var states [3]int
	scan(key.DeliveryLog, func(row kv.KV) error {
		k, err := key.ParseDelivery(row.Key)
		if err != nil {
			return err
		}
		d, err := record.DecodeDelivery(row.Value)
		if err != nil {
			return err
		}
		id := uuid.UUID(k.ID)
		logged[k.Signal]++
		known[id.String()] = true
		states[d.Status]++
		waits := 0
		if delivery.Status(d.Status) == delivery.Pending {
			waits = 1
		}
		if queued[id] != waits {
			t.Errorf("%s: delivery %s is %s and stands in the queue %d times", where, id, delivery.Status(d.Status), queued[id])
		}
		delete(queued, id)
		body, came := seen[id.String()]
		if came && body != string(d.Body) || !came && (d.Attempts > 0 || delivery.Status(d.Status) == delivery.Delivered) {
			t.Errorf("%s: delivery %s is %s after %d attempts; arrived: %v", where, id, delivery.Status(d.Status), d.Attempts, came)
		}
		return nil
	})
	for id := range queued {
		t.Errorf("%s: %s waits without a delivery", where, id)
	}
	for id := range seen {
		if !known[id] {
			t.Errorf("%s: delivery %s arrived and the store does not know it", where, id)
		}
	}
	triggers := 0
	scan(key.SignalStates, func(row kv.KV) error {
		id, err := key.ParseSignalState(row.Key)
		if err != nil {
			return err
		}
		s, err := record.DecodeSignalState(row.Value)
		if triggers += int(s.Triggers); logged[id] != 2*int(s.Triggers) {
			t.Errorf("%s: signal %s triggered %d times and has %d deliveries of two channels", where, uuid.UUID(id), s.Triggers, logged[id])
		}
		return err
	})
	if triggers == 0 || end && states[delivery.Pending] > 0 {
		t.Errorf("%s: %d triggers, %d deliveries wait", where, triggers, states[delivery.Pending])
	}
	t.Logf("%s: %d triggers; %d deliveries wait, %d arrived, %d failed; %d calls were repeats", where, triggers, states[0], states[1], states[2], twice)
}
