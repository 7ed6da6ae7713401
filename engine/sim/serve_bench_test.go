//go:build unix

package sim

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"
)

// BenchmarkServe runs the load that the simulator must carry over real sockets for three seconds: 100 markets, 20,000
// level changes a second, clients that take every book and every trade. cpu-% is of one core and includes the clients'
// reading.
func BenchmarkServe(b *testing.B) {
	for _, clients := range []int{1, 4} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			x := New(Options{Seed: 1, Markets: 100, Accounts: 5000, Rate: 20000})
			addr := serve(b, x, ServeOptions{Limits: Limits{MessagesPerMinute: -1}})
			for range clients {
				c := dial(b, addr)
				for _, m := range x.Markets() {
					c.subscribe(fmt.Sprintf("order_book/%d", m.Native))
					c.subscribe(fmt.Sprintf("trade/%d", m.Native))
				}
				c.subscribe("market_stats/all")
				go func() { _, _ = io.Copy(io.Discard, c.ws.NetConn()) }()
			}
			time.Sleep(300 * time.Millisecond)
			for b.Loop() {
				before, start, from := usage(b), time.Now(), x.Totals()
				time.Sleep(3 * time.Second)
				wall, to := time.Since(start), x.Totals()
				b.ReportMetric(100*float64(usage(b)-before)/float64(wall), "cpu-%")
				b.ReportMetric(float64(to.LevelChanges-from.LevelChanges)/wall.Seconds(), "levels/s")
				b.ReportMetric(float64(to.BookFrames-from.BookFrames)/wall.Seconds(), "bookframes/s")
			}
		})
	}
}

// usage is the processor time that this process has used.
func usage(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
