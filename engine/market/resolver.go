package market

import "hyperlight/engine/model"

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
	return nil, false
}
