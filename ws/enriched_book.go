package ws

import (
	"strconv"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// bookPace is the least time between two frames of an enriched book.
const bookPace = time.Second

// enrichedBook is what a frame of an enriched book shows. It is comparable and never changes.
type enrichedBook struct {
	view   *book.View // nil while the book is out of sync
	owners *model.Attribution
	market *model.Market
}

// offer takes the newest book. A frame goes out at once where the last one is a second old, else when it will be.
func (c *channel) offer(b enrichedBook, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set.latest, c.heard = b, now
	c.pace(now)
}

// offerOwners takes a new reading of the orders' owners.
func (c *channel) offerOwners(a *model.Attribution, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set.latest.owners = a
	c.pace(now)
}

// pace publishes the newest book where it may, or sets the timer. The lock is held.
func (c *channel) pace(now time.Time) {
	s := c.set
	if !c.active || s.latest.view == nil || s.latest == s.shown || s.armed {
		return
	}
	if wait := s.next.Sub(now); wait > 0 {
		s.armed = true
		if s.timer == nil {
			s.timer = time.AfterFunc(wait, c.late)
		} else {
			s.timer.Reset(wait)
		}
		return
	}
	c.seq++
	c.show(now)
	c.publish(now, c.whole)
}

// late runs on the timer.
func (c *channel) late() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set.armed = false
	c.pace(c.hub.now())
}

// show makes the newest book the state of the present seq. Its frame is encoded by whoever needs its bytes first.
func (c *channel) show(now time.Time) {
	s := c.set
	s.shown, s.next = s.latest, now.Add(bookPace)
	levels := min(s.depth, s.shown.view.Len(model.Bid)) + min(s.depth, s.shown.view.Len(model.Ask))
	b := s.shown
	c.whole = &Frame{channel: c, lazy: &b, seq: c.seq, at: model.Millis(now.UnixMilli()), size: 512 + enrichedLevelBytes*levels}
}

// enrichedLevelBytes is about how long one level without known owners is.
const enrichedLevelBytes = 70

// encode writes the whole frame.
func (e *enrichedBook) encode(f *Frame) []byte {
	c := f.channel
	b, start := beginFrame(make([]byte, 0, f.size))
	b = appendEnvelope(b, c.name)
	b = appendEnrichedBook(b, e, &c.set.options)
	*e = enrichedBook{} // the book's memory is free again
	return endFrame(appendTail(b, false, f.seq, f.at), start)
}

// appendEnvelope opens a message of a channel of ours.
func appendEnvelope(dst []byte, name string) []byte {
	dst = append(dst, `{"type":"data","channel":"`...)
	dst = append(dst, name...)
	return append(dst, `","data":`...)
}

// appendTail closes it.
func appendTail(dst []byte, recovered bool, seq uint64, at model.Millis) []byte {
	if recovered {
		dst = append(dst, `,"recovered":true`...)
	}
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"timestamp":`...)
	return append(strconv.AppendInt(dst, int64(at), 10), '}')
}

// appendEnrichedBook writes the data object: a full view of so many levels or steps.
func appendEnrichedBook(dst []byte, e *enrichedBook, o *options) []byte {
	v := e.view
	ps, ss := e.market.ScaleAt(v.Epoch)
	dst = append(dst, `{"market_id":`...)
	dst = strconv.AppendInt(dst, e.market.Native, 10)
	dst = append(dst, `,"symbol":`...)
	dst = model.AppendString(dst, e.market.Symbol)
	dst = append(dst, `,"snapshot":true,"bids":[`...)
	dst = appendEnrichedSide(dst, e, o, model.Bid, ps, ss)
	dst = append(dst, `],"asks":[`...)
	dst = appendEnrichedSide(dst, e, o, model.Ask, ps, ss)
	dst = append(dst, `],"best_bid":`...)
	bid, hasBid := v.Best(model.Bid)
	ask, hasAsk := v.Best(model.Ask)
	dst = appendQuote(dst, bid.Price, ps, hasBid)
	dst = append(dst, `,"best_ask":`...)
	dst = appendQuote(dst, ask.Price, ps, hasAsk)
	dst = append(dst, `,"spread":`...)
	dst = appendQuote(dst, ask.Price-bid.Price, ps, hasBid && hasAsk)
	dst = append(dst, `,"tick_size":`...)
	if o.tick.Mant == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '"')
		dst = o.tick.Append(dst)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"whale_threshold":"`...)
	dst = num.AppendTrim(dst, int64(o.threshold), num.USDScale)
	dst = append(dst, `","nonce":`...)
	dst = strconv.AppendUint(dst, v.Seq, 10)
	dst = append(dst, `,"attribution_at":`...)
	if e.owners == nil {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(e.owners.At), 10)
	}
	return append(dst, '}')
}

func appendQuote(dst []byte, p num.Price, ps uint8, known bool) []byte {
	if !known {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = num.Append(dst, int64(p), ps)
	return append(dst, '"')
}

// appendEnrichedSide writes the levels of a side, or its steps where a tick was chosen.
func appendEnrichedSide(dst []byte, e *enrichedBook, o *options, s model.Side, ps, ss uint8) []byte {
	w := levelWriter{o: o, view: e.view, side: s, ps: ps, ss: ss}
	if e.owners != nil && e.owners.Epoch == e.view.Epoch {
		w.owned = e.owners.Levels[s]
	}
	tick, err := num.Rescale(o.tick.Mant, o.tick.Scale, ps)
	if tick <= 0 || err != nil { // none chosen, or the market's own step has grown beyond it
		for l := range e.view.Levels(s, o.depth) {
			var size, notional num.Acc
			size.AddProduct(int64(l.Size), 1)
			notional.AddProduct(int64(l.Price), int64(l.Size))
			dst = w.append(dst, l.Price, l.Price, size, notional)
		}
		return dst
	}
	for _, b := range e.view.Aggregate(s, tick, o.depth) {
		// A step holds the prices from its own to the next one's, away from the other side's.
		last := b.Price + num.Price(tick) - 1
		if s == model.Ask {
			last = b.Price - num.Price(tick) + 1
		}
		dst = w.append(dst, b.Price, last, b.Size, b.Notional)
	}
	return dst
}

// levelWriter writes the levels of a side, best first, and walks the known orders along with them.
type levelWriter struct {
	o      *options
	view   *book.View
	side   model.Side
	ps, ss uint8
	owned  []*model.OwnedLevel // those at this level's price and worse ones
	begun  bool
}

// append writes one level that is shown at price. last is the other end of the prices that it holds.
func (w *levelWriter) append(dst []byte, price, last num.Price, size, notional num.Acc) []byte {
	low, high := min(price, last), max(price, last)
	for len(w.owned) > 0 && w.better(w.owned[0].Price, low, high) {
		w.owned = w.owned[1:]
	}
	n := 0
	for n < len(w.owned) && w.owned[n].Price >= low && w.owned[n].Price <= high {
		n++
	}
	here := w.owned[:n]
	w.owned = w.owned[n:]

	if w.begun {
		dst = append(dst, ',')
	}
	w.begun = true
	dst = append(dst, `{"price":"`...)
	dst = num.Append(dst, int64(price), w.ps)
	dst = append(dst, `","size":`...)
	if total, err := size.Int64(); err != nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '"')
		dst = num.Append(dst, total, w.ss)
		dst = append(dst, '"')
	}
	// A level is a whale's if one of its known orders is, or, where none is known, if it is so by itself.
	known, whale := false, false
	for _, l := range here {
		for i := range w.orders(l) {
			known, whale = true, whale || w.whale(&l.Orders[i])
		}
	}
	if !known {
		whale = reaches(notional, w.ps+w.ss, w.o.threshold)
	}
	dst = append(dst, `,"whale":`...)
	dst = strconv.AppendBool(dst, whale)
	dst = append(dst, `,"orders":[`...)
	first := true
	for _, l := range here {
		for i := range w.orders(l) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = w.appendOrder(dst, &l.Orders[i])
		}
	}
	return append(dst, `]}`...)
}

// orders returns the known orders of a level; none where the book and they are not of the same moment and the level has
// changed between.
func (w *levelWriter) orders(l *model.OwnedLevel) []model.RestingOrder {
	if w.view.At(w.side, l.Price) != l.Size {
		return nil
	}
	return l.Orders
}

// better tells whether a price is better than those of a level.
func (w *levelWriter) better(p, low, high num.Price) bool {
	if w.side == model.Bid {
		return p > high
	}
	return p < low
}

func (w *levelWriter) whale(r *model.RestingOrder) bool {
	var notional num.Acc
	notional.AddProduct(int64(r.Price), int64(r.Size))
	return reaches(notional, w.ps+w.ss, w.o.threshold)
}

// appendOrder writes one known order. Who may not see owners sees neither the account nor the id that leads to it.
func (w *levelWriter) appendOrder(dst []byte, r *model.RestingOrder) []byte {
	dst = append(dst, `{"account":`...)
	if w.o.accounts {
		dst = strconv.AppendUint(dst, uint64(r.Account), 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"side":"`...)
	dst = append(dst, w.side.String()...)
	dst = append(dst, `","order_id":`...)
	if w.o.accounts {
		dst = append(dst, '"')
		dst = strconv.AppendUint(dst, r.ID, 10)
		dst = append(dst, '"')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"size":"`...)
	dst = num.Append(dst, int64(r.Size), w.ss)
	dst = append(dst, `","notional":`...)
	dst = appendUSD(dst, r.Price, w.ps, r.Size, w.ss)
	dst = append(dst, `,"whale":`...)
	dst = strconv.AppendBool(dst, w.whale(r))
	return append(dst, '}')
}

// appendUSD writes a value; null beyond 64 bits.
func appendUSD(dst []byte, p num.Price, ps uint8, s num.Size, ss uint8) []byte {
	value, err := num.MulUSD(p, ps, s, ss)
	if err != nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = num.AppendTrim(dst, int64(value), num.USDScale)
	return append(dst, '"')
}

// reaches tells whether a product of a price and a size reaches a value; one beyond 64 bits is above every value.
func reaches(product num.Acc, scale uint8, threshold num.USD) bool {
	value, err := product.Round(scale, num.USDScale)
	return err != nil || num.USD(value) >= threshold
}
