package http

import (
	"maps"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// defaultWhale is the quote value from which something is a whale's where nobody says otherwise: 100,000 USD.
const defaultWhale = num.USD(100_000_000_000)

// whaleRules are the quote values from which something is a whale's. They are immutable.
type whaleRules struct {
	notional num.USD
	byMarket map[model.MarketID]num.USD
}

// SetWhales says from what quote value something is a whale's from the next request on; 0 means 100,000 USD.
func (s *Server) SetWhales(notional num.USD, byMarket map[model.MarketID]num.USD) {
	if notional == 0 {
		notional = defaultWhale
	}
	s.whales.Store(&whaleRules{notional: notional, byMarket: maps.Clone(byMarket)})
}

// whaleThreshold returns the quote value from which something in a market is a whale's.
func (s *Server) whaleThreshold(m model.MarketID) num.USD {
	return s.whales.Load().threshold(m)
}

func (r *whaleRules) threshold(m model.MarketID) num.USD {
	if t, ok := r.byMarket[m]; ok {
		return t
	}
	return r.notional
}

// Owners tells who owns resting orders. Its methods must not block.
type Owners interface {
	// Attribution returns who owns the resting orders of a market's book, nil where nothing is known.
	Attribution(m model.MarketID) *model.Attribution
	// Asked says that somebody who may see owners asked for a market's book.
	Asked(m model.MarketID)
}

// ownedBy returns the owners of a market's resting orders, and sees to it that they are known to who may see them.
func (c *call) ownedBy(m *model.Market) *model.Attribution {
	if c.server.owners == nil || c.past != nil {
		return nil
	}
	if c.attribution() {
		c.server.owners.Asked(m.ID)
	}
	return c.server.owners.Attribution(m.ID)
}
