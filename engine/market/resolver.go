package market

import (
	"fmt"

	"hyperlight/engine/model"
)

// Resolver finds the markets of one venue for its decoder.
type Resolver struct {
	r     *Registry
	venue uint8
	infer bool
}

// Resolver returns a resolver of one venue. With infer an unknown market or more digits than known widen the registry
// (import without a venue); without it they are refused.
func (r *Registry) Resolver(venue uint8, infer bool) *Resolver {
	return &Resolver{r: r, venue: venue, infer: infer}
}

// Market returns a market by the venue's own id.
func (r *Resolver) Market(native int64) (*model.Market, bool) { return r.r.ByNative(r.venue, native) }

// Observe tells of a market that is unknown or whose numbers have more digits than known. It returns the market as it is
// from now on, false where it is still unknown or still too narrow. An empty symbol is one that the frame did not tell.
func (r *Resolver) Observe(native int64, symbol string, price, size uint8) (*model.Market, bool) {
	r.r.changing.Lock()
	defer r.r.changing.Unlock()
	m := model.Market{ID: model.MarketID(r.venue) << venueShift, Native: native, Symbol: symbol, Active: true, PriceScale: price, SizeScale: size}
	old, known := r.r.ByNative(r.venue, native)
	if known {
		if price <= old.PriceScale && size <= old.SizeScale && (symbol == "" || symbol == old.Symbol || !r.infer) {
			return old, true
		}
		m.Active = old.Active
		m.PriceScale, m.SizeScale = max(price, old.PriceScale), max(size, old.SizeScale)
		if symbol != "" && old.Symbol != placeholder(native) {
			m.Symbol = old.Symbol // a name that somebody gave is not overruled by a frame
		}
	} else if symbol == "" {
		m.Symbol = placeholder(native)
	}
	if !r.infer {
		return old, false
	}
	if _, err := r.r.upsert([]model.Market{m}); err != nil {
		r.r.o.Logger.Warn("market not registered", "market", native, "error", err)
		return old, false
	}
	return r.r.ByNative(r.venue, native)
}

// placeholder is the symbol of a market whose name no frame has told.
func placeholder(native int64) string { return fmt.Sprintf("MARKET-%d", native) }
