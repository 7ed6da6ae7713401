package feed

import (
	"context"
	"reflect"
	"testing"

	"hyperlight/engine/model"

	"pgregory.net/rapid"
)

// TestArena clones random events, spoils what they were cloned from, and wants every clone as it was.
func TestArena(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a arena
		var lent struct {
			levels [3000]model.Level
			rows   [40]model.Trade
			book   model.BookUpdate
			batch  model.TradeBatch
			stats  model.Stats
			height model.Height
		}
		var clones, want []model.Event
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			e := model.Event{Market: model.MarketID(i), Recv: model.Micros(i)}
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				n, m := rapid.IntRange(0, 2000).Draw(t, "bids"), rapid.IntRange(0, 900).Draw(t, "asks")
				for j := range n + m {
					lent.levels[j] = model.Level{Price: 1, Size: 2}
				}
				lent.book = model.BookUpdate{Seq: uint64(i), Bids: lent.levels[:n], Asks: lent.levels[n : n+m]}
				e.Payload = &lent.book
			case 1:
				lent.batch = model.TradeBatch{Rows: lent.rows[:rapid.IntRange(0, 40).Draw(t, "rows")], Nonce: uint64(i)}
				for j := range lent.batch.Rows {
					lent.rows[j] = model.Trade{ID: uint64(j), TxHash: "hash"}
				}
				e.Payload = &lent.batch
			case 2:
				lent.stats = model.Stats{FundingTime: model.Millis(i)}
				e.Payload = &lent.stats
			case 3:
				lent.height = model.Height{Height: uint64(i)}
				e.Payload = &lent.height
			case 4:
				e.Payload = &model.Gap{From: model.Micros(i)}
			}
			clones, want = append(clones, a.clone(&e)), append(want, e.Clone())
			clear(lent.levels[:])
			clear(lent.rows[:])
			lent.stats, lent.height, lent.book, lent.batch = model.Stats{}, model.Height{}, model.BookUpdate{}, model.TradeBatch{}
		}
		for i := range clones {
			if !same(clones[i], want[i]) {
				t.Fatalf("event %d is %+v, want %+v", i, clones[i].Payload, want[i].Payload)
			}
		}
	})
}

// same compares events; an empty list may be nil.
func same(a, b model.Event) bool {
	for _, e := range []model.Event{a, b} {
		switch p := e.Payload.(type) {
		case *model.BookUpdate:
			if len(p.Bids) == 0 {
				p.Bids = nil
			}
			if len(p.Asks) == 0 {
				p.Asks = nil
			}
		case *model.TradeBatch:
			if len(p.Rows) == 0 {
				p.Rows = nil
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

type discard struct{}

func (discard) Deliver(context.Context, model.Event) error { return nil }

// lentFrames emits one book update for each frame, as a decoder does.
type lentFrames struct {
	e model.Event
	u model.BookUpdate
}

func (d *lentFrames) Decode(_ []byte, recv model.Micros, emit func(*model.Event) error) error {
	d.u.Seq++
	d.e = model.Event{Market: 1, Time: recv.Millis(), Recv: recv, Payload: &d.u}
	return emit(&d.e)
}

func (d *lentFrames) Last() Frame {
	return Frame{Kind: FrameBook, Channel: Channel{Family: FamilyBook}}
}

type lentDialect struct{ Dialect }

func (lentDialect) NewDecoder() Decoder {
	return &lentFrames{u: model.BookUpdate{Bids: make([]model.Level, 3), Asks: make([]model.Level, 3)}}
}

// BenchmarkReader measures what the feed adds to decoding a frame: the clock, the metrics, the clone, the hand-over.
func BenchmarkReader(b *testing.B) {
	s := New(Options{Venue: "bench", Sink: discard{}, Dialect: lentDialect{}})
	r := newReader(context.Background(), &socket{s: s})
	frame := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.frame(frame); err != nil {
			b.Fatal(err)
		}
	}
}
