package bench

import (
	"runtime"
	"testing"

	"hyperlight/engine/model"
)

// BenchmarkMarketMemory measures what a market of 3,000 levels a side holds after some traffic: book, published view,
// ring of trade ids, and the history writer's state. The baseline is the levels alone, in two slices of the exact size;
// ratio is its bytes by ours.
func BenchmarkMarketMemory(b *testing.B) {
	const markets, depth = 100, 3000
	t := newTraffic(markets, depth)
	for b.Loop() {
		p := newPipeline(b, t.markets)
		for _, raw := range t.starts {
			p.decode(raw)
		}
		for i := range t.frames {
			t.frames[i].shift(0)
			p.decode(t.frames[i].raw)
		}
		p.settle()
		levels := 0
		for _, m := range t.markets {
			v, fresh := p.registry.View(m.ID)
			if !fresh {
				b.Fatalf("market %d is out of sync", m.ID)
			}
			levels += v.Len(model.Bid) + v.Len(model.Ask)
		}
		p.stop()
		full := heap()
		p.registry, p.writer, p.decoder, p.emit, p.stops = nil, nil, nil, nil, nil
		ours := float64(full-heap()) / markets
		plain := float64(levels) * 16 / markets
		b.ReportMetric(ours, "B/market")
		b.ReportMetric(plain, "bare-B/market")
		b.ReportMetric(plain/ours, "ratio")
		p.close()
	}
}

// heap returns the bytes of live objects.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held until now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
