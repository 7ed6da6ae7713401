package history

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"hyperlight/engine/model"
)

// BenchmarkSealDays fills days of quiet markets, 100 trades an hour each, and seals them all: what a first import or a long
// backfill leaves to the next job. cpu-us/hour is the processor time of sealing one market-hour, compactions included.
func BenchmarkSealDays(b *testing.B) {
	const markets, days, perHour = 60, 3, 100
	for b.Loop() {
		store, _ := benchStore(b)
		w, stop := benchWriter(b, store)
		for m := range model.MarketID(markets) {
			f := &benchFeed{rnd: rand.New(rand.NewPCG(uint64(m), 3))}
			rows := make([]*model.Trade, 0, days*24*perHour)
			for i := range days * 24 * perHour {
				t := f.trade(testStart.Millis() + model.Millis(i)*(hourMillis/perHour))
				rows = append(rows, &t)
			}
			if err := w.AddTrades(b.Context(), m, rows, Span{From: rows[0].Time, To: rows[len(rows)-1].Time}); err != nil {
				b.Fatal(err)
			}
		}
		before, began := userTime(b), time.Now()
		if err := w.SealNow(b.Context(), time.UnixMilli(int64(testStart.Millis())+(days+2)*24*hourMillis)); err != nil {
			b.Fatal(err)
		}
		hours := float64(markets * days * 24)
		b.ReportMetric(float64((userTime(b)-before).Microseconds())/hours, "cpu-us/hour")
		b.ReportMetric(float64(time.Since(began).Microseconds())/hours, "us/hour")
		stop()
	}
	b.ReportMetric(0, "ns/op")
}

// userTime is the processor time of this process so far.
func userTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
