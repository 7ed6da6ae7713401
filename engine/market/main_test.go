package market

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func TestMain(m *testing.M) {
	// The metrics library turns its summaries over in a goroutine without an end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

// market returns a market of venue 0 as a feed would describe it.
func market(native int64) model.Market {
	return model.Market{Native: native, Symbol: "M" + string(rune('A'+native%26)), Active: true, PriceScale: 2, SizeScale: 4}
}

// newShard returns a shard of its own with markets 0..n-1.
func newShard(tb testing.TB, o Options, n int) (*Registry, *Shard) {
	tb.Helper()
	r := NewRegistry(o)
	var ms []model.Market
	for i := range n {
		ms = append(ms, market(int64(i)))
	}
	if _, err := r.Upsert(ms); err != nil {
		tb.Fatal(err)
	}
	return r, r.newShard()
}

// told is one call of a listener.
type told struct {
	e    *model.Event
	v    *book.View
	tick model.Micros
	held []Held
}

// recorder is a listener that keeps every call. It is used by one goroutine, or read after the shards ended.
type recorder struct{ calls []told }

func (r *recorder) OnEvent(e *model.Event, v *book.View) { r.calls = append(r.calls, told{e: e, v: v}) }
func (r *recorder) OnTick(second model.Micros, held []Held) {
	r.calls = append(r.calls, told{tick: second, held: held})
}

func (r *recorder) take() []told {
	c := r.calls
	r.calls = nil
	return c
}

// payloads returns the recorded payloads of one type, in order.
func payloads[P model.Payload](calls []told) (out []P) {
	for _, c := range calls {
		if c.e != nil {
			if p, ok := c.e.Payload.(P); ok {
				out = append(out, p)
			}
		}
	}
	return out
}

func snapshotOf(seq uint64, levels ...num.Price) *model.BookUpdate {
	u := &model.BookUpdate{Snapshot: true, Seq: seq, Chained: true}
	for _, p := range levels {
		if p < 0 {
			u.Bids = append(u.Bids, model.Level{Price: -p, Size: 1})
		} else {
			u.Asks = append(u.Asks, model.Level{Price: p, Size: 1})
		}
	}
	return u
}

func delta(prev, seq uint64, bids ...model.Level) *model.BookUpdate {
	return &model.BookUpdate{Prev: prev, Seq: seq, Bids: bids, Chained: true}
}

// sides is a book in its plainest form, for references.
type sides [2]map[num.Price]num.Size

func newSides() sides { return sides{{}, {}} }

func (s sides) clone() sides { return sides{maps.Clone(s[0]), maps.Clone(s[1])} }

func (s sides) levels(side model.Side) (out []model.Level) {
	for p, size := range s[side] {
		out = append(out, model.Level{Price: p, Size: size})
	}
	slices.SortFunc(out, func(a, b model.Level) int {
		if side == model.Bid {
			a, b = b, a
		}
		return cmp.Compare(a.Price, b.Price)
	})
	return out
}

func (s sides) equals(v *book.View) bool {
	for side := range s {
		if !slices.Equal(s.levels(model.Side(side)), v.Append(nil, model.Side(side), 0)) {
			return false
		}
	}
	return true
}

func event(m model.MarketID, recv model.Micros, p model.Payload) *model.Event {
	return &model.Event{Market: m, Time: recv.Millis(), Recv: recv, Payload: p}
}
