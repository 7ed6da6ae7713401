package ws

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"math"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	defaultLevels  = 20
	maxLevels      = 250
	defaultWhale   = num.USD(100_000_000_000) // 100,000 USD
	leastThreshold = num.USD(1_000_000_000)   // 1,000 USD
)

// options are what a client chose of a channel, and whether its plan shows it whose something is. They are part of the
// channel's identity: seq, epoch and ring belong to one set of them.
type options struct {
	depth     int         // levels a side; 0 where the family has no book
	tick      num.Decimal // step of the prices, without trailing zeros; zero means the market's own
	threshold num.USD     // value from which something is a whale's or worth an alert; 0 where the family has none
	accounts  bool        // whose it is is shown
}

var (
	errDepth     = errors.New("depth must be an integer from 1 to 250")
	errTick      = errors.New("tick_size must be a decimal number above 0")
	errTickLarge = errors.New("tick_size is too large")
	errThreshold = errors.New("whale_threshold must be a number of USD from 1000 up, with at most 6 decimals")
)

// optionsOf reads those of a subscribe message that a family knows. An error's text may be shown to the client.
func (h *Hub) optionsOf(f *family, m *model.Market, msg *message, p *access.Plan) (options, error) {
	o := options{accounts: p.Attribution}
	switch f {
	case enrichedBookFamily:
		o.depth = defaultLevels
		if msg.Depth != nil {
			if o.depth = *msg.Depth; o.depth < 1 || o.depth > maxLevels {
				return o, errDepth
			}
		}
		var err error
		if o.tick, err = parseTick(msg.TickSize, m.PriceScale); err != nil {
			return o, err
		}
	case heatmapFamily:
		return options{}, nil
	}
	o.threshold = h.whale(m.ID)
	if msg.WhaleThreshold != nil {
		n, err := num.Parse(numberText(msg.WhaleThreshold), num.USDScale)
		if o.threshold = num.USD(n); err != nil || o.threshold < leastThreshold {
			return o, errThreshold
		}
	}
	return o, nil
}

// defaults tells whether nothing was chosen: only the tier views differ.
func (h *Hub) defaults(f *family, m *model.Market, o options) bool {
	none, err := h.optionsOf(f, m, &message{}, &access.Plan{})
	none.accounts = o.accounts
	return err == nil && o == none
}

// whale returns the value from which something in a market is a whale's, where a subscription does not say.
func (h *Hub) whale(m model.MarketID) num.USD {
	rules := h.own.whales.Load()
	if rules == nil {
		return defaultWhale
	}
	if t, ok := rules.byMarket[m]; ok {
		return t
	}
	return cmp.Or(rules.notional, defaultWhale)
}

// SetWhales says from what value something is a whale's or worth an alert, for subscriptions from now on that do not say;
// 0 means 100,000 USD. Those that are open keep theirs.
func (s *Server) SetWhales(notional num.USD, byMarket map[model.MarketID]num.USD) {
	s.hub.own.whales.Store(&whaleRules{notional: notional, byMarket: maps.Clone(byMarket)})
}

// parseTick reads a step of prices, which is a multiple of the market's own; zero where the member was left out.
func parseTick(raw json.RawMessage, priceScale uint8) (num.Decimal, error) {
	if raw == nil {
		return num.Decimal{}, nil
	}
	d, err := num.ParseDecimal(numberText(raw))
	if err != nil || d.Mant <= 0 {
		return d, errTick
	}
	tick, err := num.Rescale(d.Mant, d.Scale, priceScale)
	switch {
	case errors.Is(err, num.ErrScale):
		return d, errors.New("tick_size must be a multiple of " + string(num.Append(nil, 1, priceScale)))
	case err != nil || tick > math.MaxInt64/4: // rounding a price up to a tick must not overflow
		return d, errTickLarge
	}
	for d.Scale > 0 && d.Mant%10 == 0 {
		d.Mant, d.Scale = d.Mant/10, d.Scale-1
	}
	return d, nil
}

// numberText is the digits of a number that may stand in a string.
func numberText(raw json.RawMessage) []byte {
	if n := len(raw); n >= 2 && raw[0] == '"' && raw[n-1] == '"' {
		return raw[1 : n-1]
	}
	return raw
}
