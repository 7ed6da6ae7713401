package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// pipeline is what stands behind a feed's sockets: decoder, shards and history writer over a real directory, all running,
// and whoever else listens to the shards.
type pipeline struct {
	b        *testing.B
	store    *kv.Store
	registry *market.Registry
	writer   *history.Writer
	decoder  *lighter.Decoder
	emit     func(*model.Event) error
	commits  atomic.Int64
	sent     int64
	passed   counter
	stops    []func()
}

// counter tells how many events came out of the shards.
type counter struct{ n atomic.Int64 }

func (c *counter) OnEvent(*model.Event, *book.View)   { c.n.Add(1) }
func (c *counter) OnTick(model.Micros, []market.Held) {}

func newPipeline(b *testing.B, markets []*model.Market, listeners ...market.Listener) *pipeline {
	p := &pipeline{b: b}
	var err error
	if p.store, err = kv.Open(kv.Options{Dir: b.TempDir(), MinFree: -1}); err != nil {
		b.Fatal(err)
	}
	p.writer, err = history.NewWriter(history.WriterOptions{Store: p.store, OnCommit: func(int, time.Duration) { p.commits.Add(1) },
		Markets: func(id model.MarketID) (*model.Market, bool) { return p.registry.Get(id) }})
	if err != nil {
		b.Fatal(err)
	}
	p.registry = market.NewRegistry(market.Options{Listeners: append([]market.Listener{p.writer, &p.passed}, listeners...)})
	for _, m := range markets {
		p.registry.Restore(m, market.Start{})
	}
	p.decoder = lighter.NewDecoder(p.registry.Resolver(0, false))
	p.emit = func(e *model.Event) error {
		p.sent++
		return p.registry.Deliver(b.Context(), e.Clone())
	}
	p.stops = []func(){start(b, p.registry.Run), start(b, p.writer.Run)}
	return p
}

// start runs a part on a goroutine of its own; stop ends it and waits.
func start(b testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// decode takes a frame as a socket's reader does.
func (p *pipeline) decode(raw []byte) {
	if err := p.decoder.Decode(raw, model.Micros(time.Now().UnixMicro()), p.emit); err != nil {
		p.b.Fatalf("decode %s: %v", raw, err)
	}
}

// settle returns when everything decoded is on disk. It fails where a shard dropped an event.
func (p *pipeline) settle() {
	for until := time.Now().Add(time.Minute); p.passed.n.Load() < p.sent; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(until) {
			p.b.Fatalf("%d of %d events came through", p.passed.n.Load(), p.sent)
		}
	}
	if err := p.writer.Flush(p.b.Context()); err != nil {
		p.b.Fatal(err)
	}
}

// stop ends all parts but the store.
func (p *pipeline) stop() {
	if synced, total := p.registry.Synced(); synced != total {
		p.b.Errorf("%d of %d books are in sync at the end", synced, total)
	}
	for _, stop := range p.stops {
		stop()
	}
}

func (p *pipeline) close() {
	if err := p.store.Close(); err != nil {
		p.b.Error(err)
	}
}
