package replay

import (
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// A replay that starts an hour before the first record, and ends an hour behind the last one, sleeps neither hour: the
// gaps are told at their place, the silence is skipped.
func TestSilenceAroundTheRecordIsNotSlept(t *testing.T) {
	const hour = 3_600_000 // ms
	begin := model.Millis(time.Date(2025, 10, 9, 10, 0, 0, 0, time.UTC).UnixMilli())
	m := testMarket(0)
	f := newFake()
	first, last := begin+hour, begin+hour+4000
	for i := range 5 {
		at := first + model.Millis(i)*1000
		f.trades[m.ID] = append(f.trades[m.ID], model.Trade{ID: uint64(i + 1), Time: at, Recv: at.Micros()})
	}
	f.held[recordID{m.ID, model.KindTrades}] = []history.Interval{{From: first.Micros(), To: last.Micros()}}
	f.gaps = []history.GapRow{
		{Market: m.ID, Gap: model.Gap{Kind: model.KindTrades, From: begin.Micros() - 5, To: first.Micros(), Cause: model.CauseDowntime}},
		{Market: m.ID, Gap: model.Gap{Kind: model.KindTrades, From: (last + hour).Micros(), Cause: model.CauseDowntime}},
	}
	for _, order := range []Order{EventOrder, ReceiveOrder} {
		src := NewSource(f, Request{
			Markets: []*model.Market{m}, From: begin, To: last + 2*hour, Include: Kinds(Trade), Order: order,
		})
		l := play(t, src, 1, nil)
		if n := len(l.ts); n != 7 || l.kinds[0] != Gap || l.kinds[6] != Gap {
			t.Fatalf("order %v: %d events of kinds %v, want five trades between two gaps", order, n, l.kinds)
		}
		for i, want := range []time.Duration{0, 0, 1, 2, 3, 4, 4} {
			if d := l.when[i] - want*time.Second; d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("order %v: event %d was sent after %v, want %v", order, i, l.when[i], want*time.Second)
			}
		}
	}
}
