package history

import (
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/kvtest"
)

// Where retention has dropped the beginning of a range, the rest of it still comes from what is ready, piece by piece.
func TestCandleTextsBehindDroppedOnes(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	g.r.KeepReady(1 << 20)
	g.options.Retention = Retention{Candles: 24 * time.Hour}
	g.start()
	defer g.stop()
	n := g.markets[0]
	for range 3 {
		for range 5 {
			tr := g.trade(n)
			tr.Time = g.now.Millis()
			g.event(n, &model.TradeBatch{Rows: []model.Trade{tr}}, tr.Time, nil)
			g.advance(model.Micros(pieceMillis) * 1000)
		}
		g.advance(100 * 86_400_000_000)
	}
	g.flush()
	if err := g.w.retain(t.Context(), time.UnixMilli(int64(g.now.Millis())).Add(-110*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	texts := Texts[record.Candle]{Form: 1, Append: func(dst []byte, _ *record.Candle) []byte { return append(dst, 'x') }}
	runs, rows := 0, 0
	for run, err := range g.r.CandleTexts(t.Context(), n.m.ID, Span{To: g.now.Millis()}, g.now.Millis(), texts) {
		if err != nil {
			t.Fatal(err)
		}
		runs, rows = runs+1, rows+run.Len()
	}
	if rows == 0 || rows >= 15 || runs < 3 {
		t.Errorf("%d candles in %d runs", rows, runs)
	}
}
