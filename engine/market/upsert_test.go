package market

import (
	"errors"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
)

func TestUpsert(t *testing.T) {
	var saved [][]*model.Market
	var fail error
	now := time.UnixMilli(1000)
	r := NewRegistry(Options{Now: func() time.Time { return now }, Save: func(ms []*model.Market) error {
		saved = append(saved, ms)
		return fail
	}})
	eth, pepe := market(0), market(7)
	eth.TakerFee = "0.01"
	changed, err := r.Upsert([]model.Market{pepe, eth})
	if err != nil || len(changed) != 2 || len(saved) != 1 || len(saved[0]) != 2 {
		t.Fatalf("new markets: %v, %v, saved %v", changed, err, saved)
	}
	if all := r.All(); len(all) != 2 || all[0].Native != 0 || all[1].Native != 7 {
		t.Fatalf("All is %v", all)
	}
	m, ok := r.Get(7)
	if !ok || m.Epoch != 0 || !slices.Equal(m.Scales, []model.Scale{{Price: 2, Size: 4, From: 1000}}) {
		t.Fatalf("market %+v", m)
	}

	// Only the volume: visible at once, not worth saving. Members left out stay.
	quiet := market(0)
	quiet.DailyQuoteVolume = 5
	if changed, err = r.Upsert([]model.Market{quiet}); err != nil || len(changed) != 0 || len(saved) != 1 {
		t.Fatalf("volume: %v, %v, saved %d times", changed, err, len(saved))
	}
	if m, _ := r.ByNative(0, 0); m.DailyQuoteVolume != 5 || m.TakerFee != "0.01" || r.All()[0] != m {
		t.Fatalf("market %+v", m)
	}

	// New decimals begin an epoch, and one that comes back another one.
	now = time.UnixMilli(2000)
	wide := market(0)
	wide.PriceScale = 3
	if changed, err = r.Upsert([]model.Market{wide}); err != nil || len(changed) != 1 || changed[0].Epoch != 1 {
		t.Fatalf("wider: %v, %v", changed, err)
	}
	if changed, err = r.Upsert([]model.Market{eth}); err != nil || len(changed) != 1 || changed[0].Epoch != 2 || len(changed[0].Scales) != 3 {
		t.Fatalf("narrower: %v, %v", changed, err)
	}
	if p, _ := changed[0].ScaleAt(1); p != 3 || changed[0].Scales[1].From != 2000 || len(saved) != 3 {
		t.Fatalf("scales %+v, saved %d times", changed[0].Scales, len(saved))
	}

	// What cannot be saved does not take effect; what is impossible does not hinder the rest.
	fail = errors.New("disk gone")
	if _, err = r.Upsert([]model.Market{wide, market(9)}); !errors.Is(err, fail) {
		t.Fatalf("unsaved: %v", err)
	}
	if m, _ := r.Get(0); m.PriceScale != 2 || len(r.All()) != 2 {
		t.Fatalf("an unsaved change took effect: %+v", m)
	}
	fail = nil
	bad, negative := market(10), market(-1)
	bad.SizeScale = 19
	if changed, err = r.Upsert([]model.Market{bad, negative, market(9)}); !errors.Is(err, ErrMarket) || len(changed) != 1 || changed[0].ID != 9 {
		t.Fatalf("impossible: %v, %v", changed, err)
	}
	if s, total := r.Synced(); s != 0 || total != 3 {
		t.Fatalf("%d of %d synced", s, total)
	}
}

// TestOwnIndexes gives ids to native ids that do not fit, on two venues, and keeps them over a restart.
func TestOwnIndexes(t *testing.T) {
	r := NewRegistry(Options{})
	const venue = model.MarketID(1) << venueShift
	other := market(3)
	other.ID = venue
	huge := []model.Market{market(1 << 40), market(1 << 41), market(3), market(1<<23 - 1), other}
	if _, err := r.Upsert(huge); err != nil {
		t.Fatal(err)
	}
	for native, want := range map[int64]model.MarketID{1 << 40: 1 << 23, 1 << 41: 1<<23 + 1, 3: 3, 1<<23 - 1: 1<<23 - 1} {
		if m, ok := r.ByNative(0, native); !ok || m.ID != want {
			t.Errorf("native %d is %+v, want id %d", native, m, want)
		}
	}
	if m, ok := r.ByNative(1, 3); !ok || m.ID != venue|3 {
		t.Errorf("venue 1: %+v", m)
	}
	again := NewRegistry(Options{})
	kept, _ := r.ByNative(0, 1<<41)
	again.Restore(kept, Start{})
	if _, err := again.Upsert([]model.Market{market(1 << 40), market(1 << 41)}); err != nil {
		t.Fatal(err)
	}
	if m, _ := again.ByNative(0, 1<<41); m.ID != kept.ID {
		t.Errorf("a restored market changed its id from %d to %d", kept.ID, m.ID)
	}
	if m, _ := again.ByNative(0, 1<<40); m.ID == kept.ID {
		t.Error("an id was given twice")
	}
}

func TestResolver(t *testing.T) {
	r := NewRegistry(Options{})
	live, infer := r.Resolver(0, false), r.Resolver(0, true)
	if m, ok := live.Observe(5, "SOL", 3, 2); ok || m != nil {
		t.Fatalf("an unknown market was accepted live: %+v", m)
	}
	m, ok := infer.Observe(5, "", 3, 2)
	if !ok || m.Symbol != "MARKET-5" || m.PriceScale != 3 || m.SizeScale != 2 || !m.Active {
		t.Fatalf("inferred %+v", m)
	}
	if m, ok = infer.Observe(5, "SOL", 1, 4); !ok || m.Symbol != "SOL" || m.PriceScale != 3 || m.SizeScale != 4 || m.Epoch != 1 {
		t.Fatalf("widened %+v", m)
	}
	if m, ok = infer.Observe(5, "OTHER", 0, 0); !ok || m.Symbol != "SOL" || m.Epoch != 1 {
		t.Fatalf("renamed %+v", m)
	}
	if m, ok = live.Observe(5, "SOL", 3, 4); !ok || m.Epoch != 1 {
		t.Fatalf("wide enough: %+v, %v", m, ok)
	}
	if m, ok = live.Observe(5, "SOL", 4, 4); ok || m.PriceScale != 3 {
		t.Fatalf("too wide live: %+v, %v", m, ok)
	}
	if m, ok = infer.Observe(5, "SOL", 19, 4); ok || m.PriceScale != 3 {
		t.Fatalf("wider than a mantissa: %+v, %v", m, ok)
	}
	if got, ok := live.Market(5); !ok || got.Epoch != 1 {
		t.Fatalf("market %+v", got)
	}
	if _, ok := live.Market(6); ok {
		t.Fatal("market 6 is known")
	}
}
