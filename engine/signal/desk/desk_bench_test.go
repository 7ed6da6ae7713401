package desk

import (
	"fmt"
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
	"hyperlight/kv"
)

// BenchmarkEventToWebhook runs 10,000 rules on one market at 1,000 trades a second, of which one in a hundred triggers one
// of them, on a store on disk, and tells the share of a core and the delay from the event to the receiver.
func BenchmarkEventToWebhook(b *testing.B) {
	var mu sync.Mutex
	started := map[string]time.Time{} // by event_ts
	var delays []time.Duration
	to := &receiver{status: 200, bodies: map[string]string{}}
	to.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		now := time.Now()
		body := make([]byte, 4096)
		n, _ := req.Body.Read(body)
		_, rest, _ := strings.Cut(string(body[:n]), `"event_ts":`)
		at, _, _ := strings.Cut(rest, ",")
		mu.Lock()
		delays = append(delays, now.Sub(started[at]))
		mu.Unlock()
	}))
	defer to.Close()
	store, err := kv.Open(kv.Options{Dir: b.TempDir(), MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	d := open(b, store, to)
	for i := range 10_000 {
		dr := draft(to)
		dr.Rule = fmt.Appendf(nil, `{"conditions":[{"field":"trade_price","op":"crosses_above","value":"%d.5"}]}`, 10_000+i)
		dr.Channels = &[]ChannelDraft{{"webhook", fmt.Sprintf("%s/%d", to.URL, i), secret}}
		create(b, d, uuid.New(), dr)
	}
	stop := run(d)
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	begin := time.Now()
	events := 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	b.ResetTimer()
	for range b.N {
		for range 1000 {
			<-tick.C
			price := int64(10_000_00 + events/100*100 + events%2) // crosses one more threshold each hundred trades
			at := time.Now()
			ms := at.UnixMilli()
			mu.Lock()
			if k := fmt.Sprint(ms); started[k].IsZero() {
				started[k] = at
			}
			mu.Unlock()
			d.OnEvent(&model.Event{Market: eth.ID, Time: model.Millis(ms), Recv: model.Micros(at.UnixMicro()), Payload: &model.TradeBatch{Rows: []model.Trade{
				{ID: uint64(events), Time: model.Millis(ms), Recv: model.Micros(at.UnixMicro()), Price: num.Price(price), Size: 1, USD: 1},
			}}}, nil)
			events++
		}
	}
	b.StopTimer()
	took := time.Since(begin)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	time.Sleep(200 * time.Millisecond)
	stop()
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(delays)
	if len(delays) > 0 {
		b.ReportMetric(float64(delays[len(delays)/2].Microseconds())/1000, "ms-p50")
		b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds())/1000, "ms-p99")
	}
	b.ReportMetric(float64(len(delays)), "webhooks")
	b.ReportMetric(100*cpu.Seconds()/took.Seconds(), "%core")
	b.ReportMetric(float64(events)/took.Seconds(), "events/s")
}
