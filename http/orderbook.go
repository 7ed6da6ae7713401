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

// getBook answers /orderbook/{market_id}. The data object depends only on the view, the owners of its orders, the depth and
// what the plan may see, and none of them ever changes: it is encoded once per view and shared by everyone who asks until
// the next update. There is no clock in it, so an answer is never older than the book.
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
	b := bookAnswer{view: v, market: m, owners: c.ownedBy(m), depth: depth, attribution: c.attribution(), whale: c.server.whaleThreshold(m.ID)}
	if depth > maxCachedDepth || c.past != nil {
		return b.append(dst), meta{}, nil
	}
	slot := c.server.books.slot(m.ID, depth, c.attribution())
	e := slot.Load()
	if e == nil || e.bookAnswer != b {
		e = &encodedBook{bookAnswer: b, data: b.append([]byte(envelopeHead))}
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
	bookAnswer
	data []byte
}

// bookAnswer is all that a data object of a book depends on. It is comparable.
type bookAnswer struct {
	view        *book.View
	market      *model.Market
	owners      *model.Attribution // nil where nothing is known
	depth       int
	attribution bool    // the caller may see owners
	whale       num.USD // value from which something is a whale's
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

// append writes the data object.
func (b *bookAnswer) append(dst []byte) []byte {
	m, v := b.market, b.view
	ps, ss := m.ScaleAt(v.Epoch)
	dst = appendMarket(dst, m)
	for _, side := range [...]model.Side{model.Bid, model.Ask} {
		if side == model.Bid {
			dst = append(dst, `,"bids":[`...)
		} else {
			dst = append(dst, `,"asks":[`...)
		}
		dst = b.appendSide(dst, side, ps, ss)
		dst = append(dst, ']')
	}
	dst = appendQuotes(dst, v, ps)
	dst = append(dst, `,"nonce":`...)
	dst = strconv.AppendUint(dst, v.Seq, 10)
	dst = append(dst, `,"attribution_at":`...)
	if b.owners == nil || !b.attribution {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(b.owners.At), 10)
	}
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(viewTime(v)), 10)
	return append(dst, '}')
}

// appendSide writes the levels of a side, best first, and walks the known orders along with them.
func (b *bookAnswer) appendSide(dst []byte, side model.Side, ps, ss uint8) []byte {
	var owned []*model.OwnedLevel
	if b.owners != nil && b.owners.Epoch == b.view.Epoch {
		owned = b.owners.Levels[side]
	}
	first := true
	for l := range b.view.Levels(side, b.depth) {
		for len(owned) > 0 && owned[0].Price != l.Price && (owned[0].Price > l.Price) == (side == model.Bid) {
			owned = owned[1:]
		}
		var orders []model.RestingOrder
		// Book and owners may be of two moments: a level that has changed between is one of which nothing is known.
		if len(owned) > 0 && owned[0].Price == l.Price && owned[0].Size == l.Size {
			orders = owned[0].Orders
		}
		// A level is a whale's if one of its known orders is, or, where none is known, if it is so by itself.
		whale := len(orders) == 0 && isWhale(l, ps, ss, b.whale)
		for i := range orders {
			whale = whale || isWhale(model.Level{Price: l.Price, Size: orders[i].Size}, ps, ss, b.whale)
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = l.AppendObject(dst, ps, ss)
		dst = append(dst[:len(dst)-1], `,"whale":`...)
		dst = strconv.AppendBool(dst, whale)
		if b.attribution {
			dst = append(dst, `,"orders":[`...)
			for i := range orders {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = b.appendOrder(dst, side, &orders[i], ps, ss)
			}
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
	}
	return dst
}

// appendOrder writes one known order of a level.
func (b *bookAnswer) appendOrder(dst []byte, side model.Side, r *model.RestingOrder, ps, ss uint8) []byte {
	dst = append(dst, `{"account":`...)
	dst = strconv.AppendUint(dst, uint64(r.Account), 10)
	dst = append(dst, `,"side":"`...)
	dst = append(dst, side.String()...)
	dst = append(dst, `","order_id":"`...)
	dst = strconv.AppendUint(dst, r.ID, 10)
	dst = append(dst, `","size":"`...)
	dst = num.Append(dst, int64(r.Size), ss)
	dst = append(dst, `","whale":`...)
	dst = strconv.AppendBool(dst, isWhale(model.Level{Price: r.Price, Size: r.Size}, ps, ss, b.whale))
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
