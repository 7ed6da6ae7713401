package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	api "hyperlight/http"
)

// BenchmarkDay transcodes the recorded day of one market, imports it and asks for it over REST, warm: how fast it was
// loaded, what it takes on disk, how long the median answer and the slowest in a hundred take.
func BenchmarkDay(b *testing.B) {
	file, markets, counts := transcoded(b, standXDay...)
	began := time.Now()
	o, report := imported(b, file, markets)
	took := time.Since(began).Seconds()
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(float64(report.Frames)/took, "frames/s")
		b.ReportMetric(float64(counts.Levels)/took, "levels/s")
		b.ReportMetric(float64(report.Trades)/took, "trades/s")
		b.ReportMetric(took, "s/day")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("size", func(b *testing.B) {
		for b.Loop() {
		}
		z := measure(b, o, counts.Levels)
		b.ReportMetric(z.tables, "B/day")
		b.ReportMetric((z.head+z.core)/z.trades, "core-B/trade")
		b.ReportMetric(z.hash/z.trades, "hash-B/trade")
		b.ReportMetric(z.rest/z.trades, "rest-B/trade")
		b.ReportMetric((z.head+z.core+z.hash+z.rest+z.candles+z.index)/z.trades, "B/trade")
		b.ReportMetric((z.books+z.told)/z.levels, "B/level")
		b.ReportMetric((z.books+z.told)/z.seconds, "B/second")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("queries", func(b *testing.B) {
		_, reader, known, done := openStore(b, o)
		defer done()
		addr := serveREST(b, reader, known, standXTo)
		random := rand.New(rand.NewPCG(1, 2))
		id, native := known[0].ID, known[0].Native
		moment := func(span model.Millis) model.Millis {
			for {
				if t := standXFrom + model.Millis(random.Int64N(int64(standXTo-span-standXFrom))); seen(b, reader, id, t) {
					return t
				}
			}
		}
		ask := func(name string, path func() string) {
			b.Run(name, func(b *testing.B) { askREST(b, addr, path) })
		}
		ask("snapshot", func() string { return fmt.Sprintf("/api/v1/orderbook/%d/snapshots?at=%d", native, moment(0)) })
		ask("trades", func() string {
			at := moment(3_600_000)
			return fmt.Sprintf("/api/v1/trades/by-time?market_id=%d&start=%d&end=%d&limit=1000", native, at, at+3_600_000)
		})
		ask("candles", func() string {
			return fmt.Sprintf("/api/v1/candles?market_id=%d&resolution=1m&start=%d&end=%d&limit=1440", native, standXFrom, standXTo)
		})
		ask("minute", func() string {
			at := moment(60_000)
			return fmt.Sprintf("/api/v1/orderbook/%d/snapshots?interval=1s&limit=60&start=%d&end=%d", native, at, at+60_000)
		})
		b.Run("ticks", func(b *testing.B) {
			updates := 0
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				updates += ticks(b, reader, id, moment(60_000).Micros(), 60_000_000)
				took = append(took, time.Since(began))
			}
			reportLatency(b, took)
			b.ReportMetric(float64(updates)/b.Elapsed().Seconds(), "updates/s")
		})
	})
}

// seen tells whether there is a book within the reach of the call: one hole of the recording is longer.
func seen(b *testing.B, r api.History, m model.MarketID, t model.Millis) bool {
	for _, err := range r.BookTimes(b.Context(), m, history.Span{From: t - 60_000, To: t + 1}, time.Second, true) {
		if err != nil {
			b.Fatal(err)
		}
		return true
	}
	return false
}

// ticks goes through the book and its updates of a span, and returns how many there were.
func ticks(b *testing.B, r api.History, m model.MarketID, from, span model.Micros) (n int) {
	if v, err := r.BookAt(b.Context(), m, from); err == nil { // else it lies in a hole
		replayed := book.New()
		replayed.Reset(v)
	}
	for _, err := range r.Updates(b.Context(), m, from, from+span) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	return n
}

// reader of the record without a live engine.
type recordOnly struct{ markets []*model.Market }

func (e recordOnly) Markets() []*model.Market { return e.markets }
func (e recordOnly) Market(native int64) (*model.Market, bool) {
	return among(e.markets)(model.MarketID(native))
}
func (e recordOnly) Book(context.Context, *model.Market) (*book.View, error) {
	return nil, &model.Error{Code: model.CodeUpstream, Message: "there is no venue"}
}
func (e recordOnly) Enter(context.Context) (func(), error) { return func() {}, nil }

// serveREST serves a record on loopback at a moment just behind it, without limits of rate and reach.
func serveREST(b *testing.B, r api.History, markets []*model.Market, now model.Millis) (addr string) {
	b.Helper()
	plans := config.DefaultPlans()
	top := &plans[len(plans)-1]
	top.RequestsPerMinute, top.CreditsPerMonth = access.Unlimited, access.Unlimited
	rules, err := access.New(access.Options{LocalPlan: top.Slug, Plans: plans})
	if err != nil {
		b.Fatal(err)
	}
	s, err := api.New(api.Options{Engine: recordOnly{markets}, History: r, Access: rules,
		Health: func() api.Health { return api.Health{} }, Status: func() api.Status { return api.Status{} },
		Now: func() time.Time { return time.UnixMilli(int64(now)) }, Logger: slog.New(slog.DiscardHandler), AccessLog: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			b.Error(err)
		}
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return ln.Addr().String()
}

// askREST has one client ask questions three times each, which are answered by a 200, and reports how long it waited. The
// best of three leaves out what else the machine did: best-p99 is how long the slowest question in a hundred takes.
func askREST(b *testing.B, addr string, path func() string) {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	ask := func(question string) time.Duration {
		began := time.Now()
		if _, err := conn.Write([]byte("GET " + question + " HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			b.Fatal(err)
		}
		if err := SkipAnswer(r); err != nil {
			b.Fatalf("%s: %v", question, err)
		}
		return time.Since(began)
	}
	for range 300 { // warm
		ask(path())
	}
	var took, best []time.Duration
	used := cpuTime(b)
	for b.Loop() {
		question := path()
		least := ask(question)
		took = append(took, least)
		for range 2 {
			again := ask(question)
			took, least = append(took, again), min(least, again)
		}
		best = append(best, least)
	}
	b.ReportMetric(float64(cpuTime(b)-used)/float64(len(took)), "cpu-ns/op")
	reportLatency(b, took)
	slices.Sort(best)
	b.ReportMetric(float64(best[len(best)*99/100]), "best-p99-ns")
}

// cpuTime is what this process has used so far, the client's part included: beside other work it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportLatency(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	b.ReportMetric(0, "ns/op")
}
