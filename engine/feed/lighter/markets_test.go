package lighter

import (
	"fmt"
	"sync"

	"hyperlight/engine/model"
)

// markets is a Resolver: with learn it takes over what it is told, as an import does, else it refuses, as a live feed
// does.
type markets struct {
	mu    sync.Mutex
	byID  map[int64]*model.Market
	learn bool
}

func newMarket(native int64, symbol string, price, size uint8) *model.Market {
	return &model.Market{
		ID: model.MarketID(native), Native: native, Symbol: symbol, Active: true,
		PriceScale: price, SizeScale: size, Scales: []model.Scale{{Price: price, Size: size}},
	}
}

func newMarkets() *markets {
	r := &markets{byID: map[int64]*model.Market{}}
	for _, m := range []*model.Market{newMarket(0, "ETH", 2, 4), newMarket(1, "BTC", 1, 5), newMarket(36, "CRV", 5, 1), newMarket(24, "HYPE", 4, 2)} {
		r.byID[m.Native] = m
	}
	return r
}

func (r *markets) Market(native int64) (*model.Market, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.byID[native]
	return m, ok
}

func (r *markets) Observe(native int64, symbol string, price, size uint8) (*model.Market, bool) {
	if !r.learn {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.byID[native]
	if !ok {
		if symbol == "" {
			symbol = fmt.Sprintf("MARKET-%d", native)
		}
		old = newMarket(native, symbol, price, size)
		r.byID[native] = old
		return old, true
	}
	m := *old
	if symbol != "" {
		m.Symbol = symbol
	}
	if price > m.PriceScale || size > m.SizeScale {
		m.PriceScale, m.SizeScale = max(price, m.PriceScale), max(size, m.SizeScale)
		m.Epoch++
		m.Scales = append(append([]model.Scale(nil), m.Scales...), model.Scale{Price: m.PriceScale, Size: m.SizeScale})
	}
	r.byID[native] = &m
	return &m, true
}
