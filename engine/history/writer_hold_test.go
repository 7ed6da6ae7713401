package history

import (
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// What an import holds lies in no gap, not in one that a stop has left open before it either: the gap goes on behind.
func TestImportEndsAnOpenGap(t *testing.T) {
	const base = model.Millis(1_760_000_000_000)
	at := func(s model.Millis) model.Micros { return (base + s*1000).Micros() }
	imports := map[string]func(t *testing.T, w *Writer){
		"given": func(t *testing.T, w *Writer) {
			rows := []*model.Trade{givenTrade(7, base+12_000, 100)}
			if err := w.AddTrades(t.Context(), 0, rows, Span{base + 10_000, base + 20_000}); err != nil {
				t.Fatal(err)
			}
		},
		"recorded": func(_ *testing.T, w *Writer) {
			for _, s := range []model.Millis{10, 12, 20} {
				tr := givenTrade(uint64(s), base+s*1000, 100)
				tr.Recv = at(s)
				w.OnEvent(&model.Event{Recv: at(s), Payload: &model.TradeBatch{Rows: []model.Trade{*tr}}}, nil)
			}
		},
	}
	for name, load := range imports {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, kvtest.Open(t), 1, 1)
			batch := g.store.NewBatch()
			batch.Set(key.Gap(nil, 0, uint8(model.KindTrades), int64(at(5))), record.AppendGap(nil, record.Gap{Cause: model.CauseNonce}))
			batch.Set(key.Gap(nil, 0, uint8(model.KindTrades), int64(at(1))), record.AppendGap(nil, record.Gap{To: at(3), Cause: model.CauseStale}))
			if err := g.store.Commit(batch, kv.Sync); err != nil {
				t.Fatal(err)
			}
			w, err := NewWriter(WriterOptions{Store: g.store, Markets: g.market, Import: true, Interval: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			stop := runWriter(t, w)
			load(t, w)
			stop()
			held, err := g.r.Coverage(t.Context(), model.KindTrades, 0, Span{base, base + 100_000})
			if err != nil || len(held) != 1 {
				t.Fatalf("held %v, %v", held, err)
			}
			gaps, err := g.r.Gaps(t.Context(), nil, nil, Span{0, base + 100_000})
			if err != nil {
				t.Fatal(err)
			}
			var have []Interval
			for _, gap := range gaps {
				have = append(have, Interval{gap.From, gap.To})
			}
			want := []Interval{{at(1), at(3)}, {at(5), held[0].From}, {held[0].To, 0}}
			if !slices.Equal(have, want) {
				t.Errorf("gaps %v, want %v (%v held)", have, want, held)
			}
		})
	}
}

// A gap that this very import has opened, and of which given rows fill the middle, ends later behind what they hold.
func TestImportEndsItsOwnGapBehindWhatIsGiven(t *testing.T) {
	const base = model.Millis(1_760_000_000_000)
	at := func(s model.Millis) model.Micros { return (base + s*1000).Micros() }
	g := newRig(t, kvtest.Open(t), 1, 1)
	w, err := NewWriter(WriterOptions{Store: g.store, Markets: g.market, Import: true, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	stop := runWriter(t, w)
	w.OnEvent(&model.Event{Recv: at(1), Payload: &model.Gap{Kind: model.KindTrades, From: at(1), Cause: model.CauseNonce}}, nil)
	if err := w.AddTrades(t.Context(), 0, nil, Span{base + 10_000, base + 20_000}); err != nil {
		t.Fatal(err)
	}
	w.OnEvent(&model.Event{Recv: at(30), Payload: &model.Gap{Kind: model.KindTrades, From: at(1), To: at(30), Cause: model.CauseNonce}}, nil)
	stop()
	gaps, err := g.r.Gaps(t.Context(), nil, nil, Span{0, base + 100_000})
	if err != nil {
		t.Fatal(err)
	}
	var have []Interval
	for _, gap := range gaps {
		have = append(have, Interval{gap.From, gap.To})
	}
	if want := []Interval{{at(1), at(10)}, {at(20), at(30)}}; !slices.Equal(have, want) {
		t.Errorf("gaps %v, want %v", have, want)
	}
}
