package market

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	venueShift = 24
	// ownIndex is the first index that the registry gives out itself; native ids below it are their own index.
	ownIndex = 1 << 23
)

// Upsert takes markets as the venue describes them and returns those that are new or changed in more than their volume,
// as saved. The venue is in the upper 8 bits of ID, the venue's own id in Native; the registry gives ids, epochs and
// scale lists. New decimals begin a new scale epoch. Members that the venue left out keep their last value. Markets that
// cannot be registered or saved are left as they were and reported together; the others take effect.
func (r *Registry) Upsert(ms []model.Market) (changed []*model.Market, err error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	return r.upsert(ms)
}

func (r *Registry) upsert(ms []model.Market) (changed []*model.Market, err error) {
	next := r.table.Load().clone()
	var quiet []*model.Market // changed in what is not worth saving
	var errs []error
	for i := range ms {
		in := &ms[i]
		venue := uint8(in.ID >> venueShift)
		m := *in
		if in.PriceScale > num.MaxScale || in.SizeScale > num.MaxScale {
			errs = append(errs, fmt.Errorf("%w: market %d has %d price and %d size decimals", ErrMarket, in.Native, in.PriceScale, in.SizeScale))
			continue
		}
		e := next.byNative[nativeID{venue, in.Native}]
		if e == nil {
			id, err := next.newID(venue, in.Native)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			m.ID, m.Epoch = id, 0
			m.Scales = []model.Scale{{Price: m.PriceScale, Size: m.SizeScale, From: r.nowMillis()}}
			changed = append(changed, &m)
			next.add(&m)
			continue
		}
		old := e.market.Load()
		if err := merge(&m, old, r.nowMillis()); err != nil {
			errs = append(errs, err)
			continue
		}
		switch {
		case !equal(&m, old):
			changed = append(changed, &m)
		case m.DailyQuoteVolume != old.DailyQuoteVolume:
			quiet = append(quiet, &m)
		}
	}
	if len(changed) > 0 && r.o.Save != nil {
		if err := r.o.Save(changed); err != nil {
			return nil, errors.Join(append(errs, fmt.Errorf("save markets: %w", err))...)
		}
	}
	r.publish(next, append(quiet, changed...))
	return changed, errors.Join(errs...)
}

// Restore registers a market as the store knows it. It must be called before the market's first event.
func (r *Registry) Restore(m *model.Market, s Start) {
	r.changing.Lock()
	defer r.changing.Unlock()
	next := r.table.Load().clone()
	if next.byID[m.ID] == nil {
		next.add(m)
	}
	next.byID[m.ID].start.Store(&s)
	r.publish(next, []*model.Market{m})
}

// publish makes a table current in which the given markets have replaced their former values.
func (r *Registry) publish(next *table, ms []*model.Market) {
	for _, m := range ms {
		next.byID[m.ID].market.Store(m)
	}
	next.markets = make([]*model.Market, len(next.entries))
	for i, e := range next.entries {
		next.markets[i] = e.market.Load()
	}
	r.table.Store(next)
}

func (r *Registry) nowMillis() model.Millis { return model.Millis(r.o.Now().UnixMilli()) }

func (t *table) clone() *table {
	c := &table{byID: maps.Clone(t.byID), byNative: maps.Clone(t.byNative), entries: slices.Clone(t.entries)}
	if c.byID == nil {
		c.byID, c.byNative = map[model.MarketID]*entry{}, map[nativeID]*entry{}
	}
	return c
}

func (t *table) add(m *model.Market) {
	e := &entry{id: m.ID}
	e.market.Store(m)
	t.byID[m.ID] = e
	t.byNative[nativeID{uint8(m.ID >> venueShift), m.Native}] = e
	i, _ := slices.BinarySearchFunc(t.entries, m.ID, func(e *entry, id model.MarketID) int { return cmp.Compare(e.id, id) })
	t.entries = slices.Insert(t.entries, i, e)
}

// newID gives a market its id: the native one where it fits, else the next free index of our own. Ids are saved with the
// market and never given twice.
func (t *table) newID(venue uint8, native int64) (model.MarketID, error) {
	base := model.MarketID(venue) << venueShift
	if native < 0 {
		return 0, fmt.Errorf("%w: native id %d is negative", ErrMarket, native)
	}
	if native < ownIndex {
		return base | model.MarketID(native), nil
	}
	next := model.MarketID(ownIndex)
	for _, e := range t.entries {
		if e.id>>venueShift == base>>venueShift && e.id&model.NoMarket >= next {
			next = e.id&model.NoMarket + 1
		}
	}
	if next >= model.NoMarket {
		return 0, fmt.Errorf("%w: native id %d: every index is taken", ErrMarket, native)
	}
	return base | next, nil
}

// merge completes what the venue says now by what is known, and continues the scale list.
func merge(m, old *model.Market, now model.Millis) error {
	m.ID, m.Epoch, m.Scales = old.ID, old.Epoch, old.Scales
	if m.PriceScale != old.PriceScale || m.SizeScale != old.SizeScale {
		if len(old.Scales) > math.MaxUint8 {
			return fmt.Errorf("%w: market %d changed its decimals too often", ErrMarket, m.Native)
		}
		m.Epoch = uint8(len(old.Scales))
		m.Scales = append(slices.Clone(old.Scales), model.Scale{Price: m.PriceScale, Size: m.SizeScale, From: now})
	}
	keep(&m.Symbol, old.Symbol)
	keep(&m.Type, old.Type)
	keep(&m.DefaultInitialMargin, old.DefaultInitialMargin)
	keep(&m.MinInitialMargin, old.MinInitialMargin)
	keep(&m.MaintenanceMargin, old.MaintenanceMargin)
	keep(&m.CloseOutMargin, old.CloseOutMargin)
	keep(&m.TakerFee, old.TakerFee)
	keep(&m.MakerFee, old.MakerFee)
	keep(&m.LiquidationFee, old.LiquidationFee)
	keep(&m.MinBaseAmount, old.MinBaseAmount)
	keep(&m.MinQuoteAmount, old.MinQuoteAmount)
	keep(&m.DailyQuoteVolume, old.DailyQuoteVolume)
	return nil
}

func keep[T comparable](v *T, old T) {
	if *v == *new(T) {
		*v = old
	}
}

// equal compares all but the volume, which changes all the time and is not worth a write.
func equal(a, b *model.Market) bool {
	c := *a
	c.DailyQuoteVolume = b.DailyQuoteVolume
	return reflect.DeepEqual(&c, b)
}
