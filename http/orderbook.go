package http

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	defaultDepth = 50
	maxDepth     = 1000
)

// getBook answers /orderbook/{market_id}. The data object depends only on the view, the depth and what the plan may see,
// and a view never changes: it is encoded once per view and shared by everyone who asks until the next update. There is
// no clock in it, so an answer is never older than the book.
func getBook(c *call, dst []byte) ([]byte, meta, error) {
	m, err := c.pathMarket()
	if err != nil {
		return dst, meta{}, err
	}
	p := c.params()
	depth := p.integer("depth", defaultDepth, 1, maxDepth)
	if p.err != nil {
		return dst, meta{}, p.err
	}
	v, err := c.book(m)
	if err != nil {
		return dst, meta{}, err
	}
	if depth > maxCachedDepth || c.past != nil {
		return appendBook(dst, m, v, depth, c.attribution(), c.server.whaleThreshold(m.ID)), meta{}, nil
	}
	slot := c.server.books.slot(m.ID, depth, c.attribution())
	e := slot.Load()
	if e == nil || e.view != v || e.market != m || e.depth != depth || e.attribution != c.attribution() {
		e = &encodedBook{view: v, market: m, depth: depth, attribution: c.attribution()}
		e.data = appendBook([]byte(envelopeHead), m, v, depth, e.attribution, c.server.whaleThreshold(m.ID))
		slot.Store(e)
	}
	// A body that will be compressed has to be in one piece.
	if len(e.data) <= sharedMost && len(c.head.acceptEncoding) == 0 {
		c.shared = e.data
		return dst, meta{}, nil
	}
	return append(dst, e.data[len(envelopeHead):]...), meta{}, nil
}

// maxCachedDepth bounds what the cache may hold: four answers of some 35 KB per market.
const maxCachedDepth = 250

// encodedBook is a data object behind the envelope's head, and what it was made from. It is immutable.
type encodedBook struct {
	view        *book.View
	market      *model.Market
	depth       int
	attribution bool
	data        []byte
}

// bookSlots are the answers kept for one market; variants that fall on one slot replace each other.
type bookSlots [4]atomic.Pointer[encodedBook]

// bookCache holds the newest encoded answers per market. Reading takes no lock.
type bookCache struct {
	markets atomic.Pointer[map[model.MarketID]*bookSlots]
	mu      sync.Mutex // writers of the map
}

func (b *bookCache) slot(m model.MarketID, depth int, attribution bool) *atomic.Pointer[encodedBook] {
	var slots *bookSlots
	if all := b.markets.Load(); all != nil {
		slots = (*all)[m]
	}
	if slots == nil {
		slots = b.add(m)
	}
	variant := uint32(depth) << 1
	if attribution {
		variant |= 1
	}
	return &slots[variant*2654435761>>30]
}

func (b *bookCache) add(m model.MarketID) *bookSlots {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := map[model.MarketID]*bookSlots{}
	if all := b.markets.Load(); all != nil {
		if slots := (*all)[m]; slots != nil {
			return slots
		}
		maps.Copy(next, *all)
	}
	slots := &bookSlots{}
	next[m] = slots
	b.markets.Store(&next)
	return slots
}

// appendBook writes the data object of a live book.
func appendBook(dst []byte, m *model.Market, v *book.View, depth int, attribution bool, whale num.USD) []byte {
	ps, ss := m.ScaleAt(v.Epoch)
	dst = appendMarket(dst, m)
	for _, side := range [...]model.Side{model.Bid, model.Ask} {
		if side == model.Bid {
			dst = append(dst, `,"bids":[`...)
		} else {
			dst = append(dst, `,"asks":[`...)
		}
		first := true
		for l := range v.Levels(side, depth) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = l.AppendObject(dst, ps, ss)
			dst = append(dst[:len(dst)-1], `,"whale":`...)
			dst = strconv.AppendBool(dst, isWhale(l, ps, ss, whale))
			// No owner of a resting order is known yet; a plan that may see them sees that.
			if attribution {
				dst = append(dst, `,"orders":[]`...)
			}
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	dst = appendQuotes(dst, v, ps)
	dst = append(dst, `,"nonce":`...)
	dst = strconv.AppendUint(dst, v.Seq, 10)
	dst = append(dst, `,"attribution_at":null,"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(viewTime(v)), 10)
	return append(dst, '}')
}

// appendMarket opens a data object with the market that it is about.
func appendMarket(dst []byte, m *model.Market) []byte {
	dst = append(dst, `{"market_id":`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `,"symbol":`...)
	return model.AppendString(dst, m.Symbol)
}

// viewTime is when the venue last changed the book; our own receive time where its frames carry none.
func viewTime(v *book.View) model.Millis {
	if v.Time != 0 {
		return v.Time
	}
	return v.Recv.Millis()
}

// isWhale tells whether a level's notional reaches the threshold.
func isWhale(l model.Level, ps, ss uint8, threshold num.USD) bool {
	value, err := num.MulUSD(l.Price, ps, l.Size, ss)
	return err != nil || value >= threshold // a product beyond 64 bits is above every threshold
}

// appendQuotes writes best_bid, best_ask, spread and mid_price; null where a side is empty.
func appendQuotes(dst []byte, v *book.View, ps uint8) []byte {
	bid, hasBid := v.Best(model.Bid)
	ask, hasAsk := v.Best(model.Ask)
	dst = append(dst, `,"best_bid":`...)
	dst = appendPrice(dst, bid.Price, ps, hasBid)
	dst = append(dst, `,"best_ask":`...)
	dst = appendPrice(dst, ask.Price, ps, hasAsk)
	dst = append(dst, `,"spread":`...)
	dst = appendPrice(dst, ask.Price-bid.Price, ps, hasBid && hasAsk)
	dst = append(dst, `,"mid_price":`...)
	return appendMid(dst, v, ps)
}

func appendPrice(dst []byte, p num.Price, ps uint8, known bool) []byte {
	if !known {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = num.Append(dst, int64(p), ps)
	return append(dst, '"')
}

// quotientScale is how many decimals a quotient is rounded to (contract 1.8).
const quotientScale = 8

// midPrice returns the middle of the best prices, half-even at no more than eight decimals; false where a side is empty.
func midPrice(v *book.View, ps uint8) (mid num.Decimal, ok bool) {
	bid, hasBid := v.Best(model.Bid)
	ask, hasAsk := v.Best(model.Ask)
	if !hasBid || !hasAsk {
		return num.Decimal{}, false
	}
	var sum num.Acc // half a sum has one decimal more than its terms
	sum.AddProduct(int64(bid.Price), 5)
	sum.AddProduct(int64(ask.Price), 5)
	scale := min(ps+1, max(ps, quotientScale))
	mant, err := sum.Round(ps+1, scale)
	if err != nil {
		return num.Decimal{}, false
	}
	return num.Decimal{Mant: mant, Scale: scale}, true
}

func appendMid(dst []byte, v *book.View, ps uint8) []byte {
	mid, ok := midPrice(v, ps)
	if !ok {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = num.AppendTrim(dst, mid.Mant, mid.Scale)
	return append(dst, '"')
}
