package market

import (
	"context"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// deepSnapshot is a book of n levels a side.
func deepSnapshot(n int) *model.BookUpdate {
	u := &model.BookUpdate{Snapshot: true, Seq: 1, Chained: true}
	for i := range n {
		u.Bids = append(u.Bids, model.Level{Price: num.Price(1e6 - 1 - 2*i), Size: 5})
		u.Asks = append(u.Asks, model.Level{Price: num.Price(1e6 + 1 + 2*i), Size: 5})
	}
	return u
}

// nextFrame is an update of four levels near the best prices that differs from the one before it.
func nextFrame(seq uint64) *model.BookUpdate {
	at, size := num.Price(1+seq*7%40), num.Size(seq%3*seq)
	return &model.BookUpdate{Prev: seq - 1, Seq: seq, Chained: true,
		Bids: []model.Level{{Price: 1e6 - at, Size: size}, {Price: 1e6 - at - 3, Size: size + 1}},
		Asks: []model.Level{{Price: 1e6 + at, Size: size}, {Price: 1e6 + at + 3, Size: size + 1}}}
}

func ignore(*model.Event, *book.View) {}

// BenchmarkShardBookUpdate is the whole path of an update of four levels: apply, publish a view, tell one listener.
func BenchmarkShardBookUpdate(b *testing.B) {
	_, s := newShard(b, Options{Listeners: []Listener{listenerFunc(ignore)}}, 1)
	s.Handle(event(0, t0, deepSnapshot(3000)))
	seq := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		s.Handle(event(0, t0+model.Micros(seq), nextFrame(seq)))
	}
}

// BenchmarkShardTrades is the path of a batch of two new trades.
func BenchmarkShardTrades(b *testing.B) {
	_, s := newShard(b, Options{Listeners: []Listener{listenerFunc(ignore)}}, 1)
	id := uint64(0)
	rows := make([]model.Trade, 2)
	e := event(0, t0, &model.TradeBatch{Rows: rows})
	b.ReportAllocs()
	for b.Loop() {
		rows[0].ID, rows[1].ID = id+1, id+2
		id += 2
		s.Handle(e)
	}
}

// BenchmarkDeliver passes events through a shard's queue.
func BenchmarkDeliver(b *testing.B) {
	r := NewRegistry(Options{Shards: 1})
	if _, err := r.Upsert([]model.Market{market(0)}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	e := *event(0, t0, &model.Stats{})
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Deliver(ctx, e); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkTick is a full second of 200 held markets.
func BenchmarkTick(b *testing.B) {
	_, s := newShard(b, Options{}, 200)
	for m := range model.MarketID(200) {
		s.Handle(event(m, t0, snapshotOf(1, -1, 2)))
	}
	sec := t0
	b.ReportAllocs()
	for b.Loop() {
		sec += second
		s.Tick(sec)
	}
}
