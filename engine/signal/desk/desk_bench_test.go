package desk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/engine/seal"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// rulesOfBench is how many signals the benchmark has; each triggers once at most.
const rulesOfBench = 10_000

// everyOfBench is how many events come between two that trigger.
const everyOfBench = 20

// load is one of the two things that are measured: how long from an event to its receiver, and at what processor time.
type load struct {
	delays []time.Duration
	cpu    time.Duration
	took   time.Duration
	events int
}

// benchReceiver is a receiver that measures, and when the events were made.
type benchReceiver struct {
	*receiver
	mu      sync.Mutex
	started map[int64]time.Time // by event_ts
	loads   [2]load             // bare posts, and ours
}

func newBenchReceiver(b *testing.B) *benchReceiver {
	r := &benchReceiver{receiver: &receiver{bodies: map[string]string{}}, started: map[int64]time.Time{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		now := time.Now()
		var body struct {
			At int64 `json:"event_ts"`
		}
		if json.NewDecoder(req.Body).Decode(&body) != nil {
			return
		}
		l := &r.loads[1]
		if strings.HasPrefix(req.URL.Path, "/bare") {
			l = &r.loads[0]
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		l.delays = append(l.delays, now.Sub(r.started[body.At]))
	}))
	b.Cleanup(r.Close)
	return r
}

// second calls event a thousand times in a second, and adds what that took to a load.
func (r *benchReceiver) second(l *load, event func(n int, at time.Time)) {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	began := time.Now()
	for i := range 1000 {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Millisecond)))
		at := time.Now()
		r.mu.Lock()
		if _, ok := r.started[at.UnixMilli()]; !ok {
			r.started[at.UnixMilli()] = at
		}
		r.mu.Unlock()
		event(l.events, at)
		l.events++
	}
	l.took += time.Since(began)
	time.Sleep(100 * time.Millisecond) // what is on its way is this load's
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	l.cpu += time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
}

// storeSignals writes the rules in one batch, as creating them one by one would have left them: one for each whole price.
func storeSignals(b *testing.B, store *kv.Store, url string) {
	b.Helper()
	box, err := seal.New(boxKey)
	if err != nil {
		b.Fatal(err)
	}
	batch := store.NewBatch()
	for i := range rulesOfBench {
		id, channel := uuid.New(), fmt.Sprintf("%s/%d", url, i)
		batch.Set(key.Signal(nil, uuid.New(), id), record.AppendSignal(nil, &record.Signal{
			Name: "ETH price alert", Market: eth.ID, Cooldown: 60, Enabled: true, Created: 1, Updated: 1,
			Rule:     fmt.Sprintf(`{"conditions":[{"field":"trade_price","op":"crosses_above","value":"%d.5"}]}`, 10_000+i),
			Channels: []record.SignalChannel{{URL: channel, Secret: box.Seal([]byte(secret), place(id, channel))}},
		}))
	}
	if err := store.Commit(batch, kv.Sync); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkEventToWebhook runs 10,000 rules on one market at 1,000 trades a second, of which one in twenty triggers one of
// them, on a store on disk, and tells the share of a core and the delay from the event to the receiver. Beside it, second
// by second, a bare client posts as many bodies of the same size for events that come as fast, with no rule, queue or store.
func BenchmarkEventToWebhook(b *testing.B) {
	to := newBenchReceiver(b)
	store, err := kv.Open(kv.Options{Dir: b.TempDir(), MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	storeSignals(b, store, to.URL)
	d := open(b, store, to.receiver)
	stop := run(d)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	filler := bytes.Repeat([]byte(" "), 750) // a delivery has some 800 bytes
	post := func(n int, at time.Time) {
		if n%everyOfBench != 0 {
			return
		}
		body := fmt.Appendf(nil, `{"event_ts":%d}%s`, at.UnixMilli(), filler)
		go func() {
			res, err := client.Post(fmt.Sprintf("%s/bare/%d", to.URL, n), "application/json", bytes.NewReader(body))
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		}()
	}
	tell := func(n int, at time.Time) {
		price := int64(10_000_00 + n/everyOfBench*100) // crosses one more threshold each time it moves
		ms, recv := model.Millis(at.UnixMilli()), model.Micros(at.UnixMicro())
		d.OnEvent(&model.Event{Market: eth.ID, Time: ms, Recv: recv, Payload: &model.TradeBatch{Rows: []model.Trade{
			{ID: uint64(n), Time: ms, Recv: recv, Price: num.Price(price), Size: 1, USD: 1},
		}}}, nil)
	}
	b.ResetTimer()
	for range b.N {
		to.second(&to.loads[0], post)
		to.second(&to.loads[1], tell)
	}
	b.StopTimer()
	stop()
	to.mu.Lock()
	defer to.mu.Unlock()
	if want := to.loads[1].events/everyOfBench - 1; len(to.loads[1].delays) < want {
		b.Errorf("%d webhooks arrived, want %d", len(to.loads[1].delays), want)
	}
	for i, name := range []string{"bare-", ""} {
		l := &to.loads[i]
		slices.Sort(l.delays)
		if n := len(l.delays); n > 0 {
			b.ReportMetric(float64(l.delays[n/2].Microseconds())/1000, name+"ms-p50")
			b.ReportMetric(float64(l.delays[n*99/100].Microseconds())/1000, name+"ms-p99")
		}
		b.ReportMetric(100*l.cpu.Seconds()/l.took.Seconds(), name+"%core")
	}
	b.ReportMetric(float64(len(to.loads[1].delays)), "webhooks")
	b.ReportMetric(float64(to.loads[1].events)/to.loads[1].took.Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}
