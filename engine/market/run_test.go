package market

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// start runs a registry of n markets inside a bubble and returns what stops it and waits.
func start(t *testing.T, o Options, n int) (*Registry, func()) {
	t.Helper()
	r := NewRegistry(o)
	var ms []model.Market
	for i := range n {
		ms = append(ms, market(int64(i)))
	}
	if _, err := r.Upsert(ms); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func micros(t time.Time) model.Micros { return model.Micros(t.UnixMicro()) }

func TestClockTicksEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{}
		time.Sleep(300 * time.Millisecond) // not on a full second
		begin := time.Now()
		_, stop := start(t, Options{Shards: 1, Listeners: []Listener{rec}}, 1)
		time.Sleep(5 * time.Second)
		stop()
		if len(rec.calls) != 5 {
			t.Fatalf("%d calls, want 5 ticks", len(rec.calls))
		}
		for i, c := range rec.calls {
			if want := micros(begin.Truncate(time.Second)) + model.Micros(i+1)*second; c.tick != want || len(c.held) != 0 {
				t.Errorf("tick %d is %d, want %d (holding %v)", i, c.tick, want, c.held)
			}
		}
	})
}

// stepClock is a wall clock that a test can set.
type stepClock struct{ offset atomic.Int64 }

func (c *stepClock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// TestClockSteps sets the wall clock forward and back: no second is missing, none comes twice, and a long leap costs
// two ticks.
func TestClockSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, clock := &recorder{}, &stepClock{}
		_, stop := start(t, Options{Shards: 1, Now: clock.now, Listeners: []Listener{rec}}, 1)
		first := micros(time.Now().Truncate(time.Second)) + second
		step := func(d, wait time.Duration) (ticks []model.Micros) {
			clock.offset.Add(int64(d))
			time.Sleep(wait)
			synctest.Wait()
			for _, c := range rec.take() {
				ticks = append(ticks, (c.tick-first)/second)
			}
			return ticks
		}
		check := func(name string, got []model.Micros, want ...model.Micros) {
			t.Helper()
			if len(got) != len(want) {
				t.Fatalf("%s: ticks %v, want %v", name, got, want)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s: ticks %v, want %v", name, got, want)
				}
			}
		}
		check("steady", step(0, 2500*time.Millisecond), 0, 1)
		check("4 s forward", step(4*time.Second, time.Second), 2, 3, 4, 5, 6)
		check("3 s back", step(-3*time.Second, 3*time.Second))
		check("steady again", step(0, 2*time.Second), 7, 8)
		check("a day forward", step(24*time.Hour, time.Second), 9, 9+86400)
		stop()
	})
}

// TestTicksAndUpdatesInOrder delivers updates all through some seconds: each lies between the ticks of its second.
func TestTicksAndUpdatesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{}
		r, stop := start(t, Options{Shards: 1, Listeners: []Listener{rec}}, 1)
		ctx := context.Background()
		seq := uint64(1)
		if err := r.Deliver(ctx, *event(0, micros(time.Now()), snapshotOf(seq, -1, 2))); err != nil {
			t.Fatal(err)
		}
		for range 400 {
			time.Sleep(7 * time.Millisecond)
			if err := r.Deliver(ctx, *event(0, micros(time.Now()), delta(seq, seq+1))); err != nil {
				t.Fatal(err)
			}
			seq++
		}
		stop()
		var last model.Micros
		events, ticks := 0, 0
		var view *book.View
		for _, c := range rec.calls {
			if c.tick != 0 {
				ticks++
				last = c.tick
				if len(c.held) != 1 || c.held[0].View != view || c.held[0].Minute != (ticks == 1) {
					t.Fatalf("tick %d holds %+v", c.tick, c.held)
				}
				continue
			}
			events++
			view = c.v
			if last != 0 && c.e.Recv.Second() != last {
				t.Fatalf("event of %d after tick %d", c.e.Recv, last)
			}
		}
		if events != 401 || ticks != 2 {
			t.Fatalf("%d events and %d ticks", events, ticks)
		}
	})
}

// gate is a listener that stands still until it is opened.
type gate struct {
	recorder
	open chan struct{}
}

func (g *gate) OnEvent(e *model.Event, v *book.View) {
	<-g.open
	g.recorder.OnEvent(e, v)
}

// TestFullQueueBlocks fills the queue behind a standing listener: Deliver waits and the time is counted, ticks are made up
// for, and nothing is lost.
func TestFullQueueBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		r, stop := start(t, Options{Shards: 1, Queue: 4, Listeners: []Listener{g}}, 1)
		begin := micros(time.Now())
		blocked := blockedSeconds.Get()
		var delivered atomic.Int64
		go func() {
			for i := range uint64(8) {
				u := delta(i, i+1)
				u.Snapshot = i == 0
				if err := r.Deliver(context.Background(), *event(0, micros(time.Now()), u)); err != nil {
					t.Error(err)
				}
				delivered.Add(1)
			}
		}()
		time.Sleep(5500 * time.Millisecond)
		synctest.Wait()
		if n := delivered.Load(); n != 5 { // one in the listener's hands, four in the queue
			t.Fatalf("%d events delivered into a queue of 4", n)
		}
		if d := blockedSeconds.Get() - blocked; d < 4.9 || d > 5.6 {
			t.Fatalf("feed_blocked_seconds rose by %v in 5.5 s", d)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.Deliver(ctx, *event(0, 0, delta(0, 0))); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a blocked Deliver whose context ends: %v", err)
		}
		close(g.open)
		time.Sleep(1500 * time.Millisecond)
		stop()
		var events int
		last := begin.Second()
		for _, c := range g.calls {
			if c.e != nil {
				events++
				continue
			}
			if c.tick != last+second {
				t.Fatalf("tick %d after %d", c.tick, last)
			}
			last = c.tick
		}
		if events != 8 || last != begin.Second()+7*second && last != begin.Second()+8*second {
			t.Fatalf("%d events, last tick %d s after the begin", events, (last-begin.Second())/second)
		}
	})
}

// TestShutdownDrains stops a registry while deliverers are at work: each event that was taken is told, no other one is.
func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		l := listenerFunc(func(e *model.Event, _ *book.View) {
			time.Sleep(time.Millisecond)
			told.Add(1)
		})
		r, stop := start(t, Options{Shards: 3, Queue: 16, Listeners: []Listener{l}}, 9)
		var taken atomic.Int64
		var wg sync.WaitGroup
		for m := range model.MarketID(9) {
			wg.Go(func() {
				for {
					err := r.Deliver(context.Background(), *event(m, micros(time.Now()), &model.Stats{}))
					if errors.Is(err, ErrStopped) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					taken.Add(1)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		stop()
		n := told.Load()
		wg.Wait()
		if n != taken.Load() || n < 100 {
			t.Fatalf("%d events taken, %d told", taken.Load(), n)
		}
		if err := r.Run(context.Background()); err == nil {
			t.Fatal("Run can be called twice")
		}
	})
}

type listenerFunc func(*model.Event, *book.View)

func (f listenerFunc) OnEvent(e *model.Event, v *book.View) { f(e, v) }
func (f listenerFunc) OnTick(model.Micros, []Held)          {}

// TestListenerPanic has one listener panic at one market: the others go on, and it is counted and logged once a second.
func TestListenerPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		rec := &recorder{}
		bad := listenerFunc(func(e *model.Event, _ *book.View) {
			if e.Market == 0 {
				panic("listener broke")
			}
		})
		before := listenerPanics.Get()
		r, stop := start(t, Options{Shards: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)), Listeners: []Listener{bad, rec}}, 2)
		for i := range 10 {
			if err := r.Deliver(context.Background(), *event(model.MarketID(i%2), micros(time.Now()), &model.Stats{})); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		if n := len(payloads[*model.Stats](rec.calls)); n != 10 {
			t.Errorf("the other listener was told %d of 10 events", n)
		}
		if n := listenerPanics.Get() - before; n != 5 {
			t.Errorf("%d panics counted, want 5", n)
		}
		if n := strings.Count(log.String(), "market listener panicked"); n != 1 || !strings.Contains(log.String(), "run_test.go") {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	})
}

// TestListen adds listeners before the start, which are told in the order added, and refuses one that comes too late.
func TestListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		named := func(name string) Listener {
			return listenerFunc(func(*model.Event, *book.View) { order = append(order, name) })
		}
		r := NewRegistry(Options{Shards: 1, Listeners: []Listener{named("a")}})
		r.Listen(named("b"))
		r.Listen(named("c"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		if err := r.Deliver(ctx, *event(model.NoMarket, 1, &model.Height{})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a listener was added to a running registry")
				}
			}()
			r.Listen(named("d"))
		}()
		cancel()
		if err := <-done; err != nil || strings.Join(order, "") != "abc" {
			t.Errorf("told in the order %v, %v", order, err)
		}
	})
}

// TestEventsOfNoMarket spreads a gap over all shards and passes the height on once.
func TestEventsOfNoMarket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var heights, opened, closed int
		l := listenerFunc(func(e *model.Event, _ *book.View) {
			mu.Lock()
			defer mu.Unlock()
			switch p := e.Payload.(type) {
			case *model.Height:
				heights++
			case *model.Gap:
				if e.Market > 6 || p.Kind != model.KindStats || p.Cause != model.CauseDisconnect {
					t.Errorf("gap %+v of market %d", p, e.Market)
				}
				if p.To == 0 {
					opened++
				} else {
					closed++
				}
			}
		})
		r, stop := start(t, Options{Shards: 3, Listeners: []Listener{l}}, 8)
		send := func(m model.MarketID, p model.Payload) {
			time.Sleep(time.Millisecond)
			if err := r.Deliver(context.Background(), *event(m, micros(time.Now()), p)); err != nil {
				t.Fatal(err)
			}
		}
		for m := range model.MarketID(7) { // the eighth has no statistics that could stop
			send(m, &model.Stats{})
		}
		send(model.NoMarket, &model.Height{Height: 1})
		for range 2 {
			send(model.NoMarket, &model.Gap{Kind: model.KindStats, From: micros(time.Now()), Cause: model.CauseDisconnect})
		}
		for m := range model.MarketID(5) {
			send(m, &model.Stats{})
		}
		stop()
		if heights != 1 || opened != 7 || closed != 5 {
			t.Errorf("%d heights, %d gaps opened, %d closed", heights, opened, closed)
		}
	})
}

// TestGauges reads the metrics of a running registry and wants them gone after it.
func TestGauges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := start(t, Options{Shards: 2}, 3)
		if err := r.Deliver(context.Background(), *event(1, micros(time.Now()), snapshotOf(1, -1, 2))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var b bytes.Buffer
		metrics.WritePrometheus(&b, false)
		for _, want := range []string{"hyperlight_markets_synced 1\n", "hyperlight_markets_active 3\n", `hyperlight_shard_queue_events{shard="1"} 0`,
			`hyperlight_gaps_total{kind="trade",reason="upstream_disconnect"}`, "hyperlight_feed_blocked_seconds_total", "hyperlight_snapshots_total"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("metrics lack %q", want)
			}
		}
		stop()
		b.Reset()
		metrics.WritePrometheus(&b, false)
		if strings.Contains(b.String(), "hyperlight_markets_synced") {
			t.Error("the gauges of a stopped registry are still there")
		}
	})
}
