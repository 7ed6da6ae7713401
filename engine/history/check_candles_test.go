package history

import (
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// Candles outlive their trades. An import that brings a part of the trades back leaves the candle as it was, and that is
// no damage.
func TestCheckOfADayImportedInPart(t *testing.T) {
	g, rec := recording(t, testSeed(t), 400)
	store := kvtest.Open(t)
	for _, n := range g.markets {
		if err := SaveMarkets(store, []*model.Market{n.m}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := NewWriter(WriterOptions{Store: store, Markets: g.market, Import: true, Interval: 3 * time.Millisecond,
		Retention: Retention{Trades: 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	stop := runWriter(t, w)
	for _, call := range rec.calls {
		call(w)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.retain(t.Context(), afterMillis(g.now.Millis(), 72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	stop()
	g.store, g.r = store, NewReader(store, g.market)
	g.check()
	importCalls(t, g, store, rec.calls[len(rec.calls)/4:len(rec.calls)*3/4])
	g.check()
	importCalls(t, g, store, rec.calls)
	g.check()
	g.complete()
}
