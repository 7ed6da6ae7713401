package ws

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// On /stream, after an auth message, the frames of order_book name the known owners of the levels that they change, to
// plans with attribution. It is a second channel of the same name beside that of /ws, with seq, epoch and ring of its own.

// bookChannel is the order_book channel that a plan is shown here.
func (l *live) bookChannel(f *feed, p *access.Plan) *channel {
	if l.owners && p.Attribution && l.c.server.hub.own.owners != nil {
		return f.owned
	}
	return f.channels[bookFamily.index]
}

// attribution is what is known of the owners now; nil for a channel that does not name them.
func (c *channel) attribution() *model.Attribution {
	if !c.owned {
		return nil
	}
	return c.hub.own.owners.Attribution(c.market.Load().ID)
}

// watch says that somebody wants to know the owners.
func (c *channel) watch() {
	if c.owned && !c.idle() {
		c.hub.own.owners.Watch(c.market.Load().ID)
	}
}

// sweepOwned does once a second for the channel with owners what sweep does for the others.
func (f *feed) sweepOwned(now time.Time) {
	f.owned.watch()
	f.owned.sweep(now)
}

// appendOwners writes the member enriched: the known orders behind the levels that the frame shows, bids before asks. A
// level whose size is not the one that its owners were found for has none.
func appendOwners(dst []byte, m *model.Market, f bookFrame) []byte {
	dst = append(dst, `,"enriched":[`...)
	epoch := f.epoch
	if f.view != nil {
		epoch = f.view.Epoch
	}
	if f.owners == nil || f.owners.Epoch != epoch {
		return append(dst, ']')
	}
	w := ownersWriter{dst: dst, threshold: f.whale, known: f.owners}
	w.ps, w.ss = m.ScaleAt(epoch)
	for _, s := range [...]model.Side{model.Bid, model.Ask} {
		if f.view != nil {
			for l := range f.view.Levels(s, f.depth) {
				w.level(s, l)
			}
			continue
		}
		levels := f.update.Bids
		if s == model.Ask {
			levels = f.update.Asks
		}
		for _, l := range levels {
			w.level(s, l)
		}
	}
	return append(w.dst, ']')
}

// ownersWriter writes the entries of enriched.
type ownersWriter struct {
	dst       []byte
	known     *model.Attribution
	threshold num.USD
	ps, ss    uint8
	begun     bool
}

func (w *ownersWriter) level(s model.Side, l model.Level) {
	levels := w.known.Levels[s]
	at, ok := slices.BinarySearchFunc(levels, l.Price, func(o *model.OwnedLevel, p num.Price) int {
		if s == model.Bid { // best first
			return cmp.Compare(p, o.Price)
		}
		return cmp.Compare(o.Price, p)
	})
	if !ok || levels[at].Size != l.Size {
		return
	}
	for i := range levels[at].Orders {
		w.order(s, &levels[at].Orders[i])
	}
}

func (w *ownersWriter) order(s model.Side, r *model.RestingOrder) {
	var notional num.Acc
	notional.AddProduct(int64(r.Price), int64(r.Size))
	if w.begun {
		w.dst = append(w.dst, ',')
	}
	w.begun = true
	w.dst = append(w.dst, `{"account":`...)
	w.dst = strconv.AppendUint(w.dst, uint64(r.Account), 10)
	w.dst = append(w.dst, `,"side":"`...)
	w.dst = append(w.dst, s.String()...)
	w.dst = append(w.dst, `","price":"`...)
	w.dst = num.Append(w.dst, int64(r.Price), w.ps)
	w.dst = append(w.dst, `","size":"`...)
	w.dst = num.Append(w.dst, int64(r.Size), w.ss)
	w.dst = append(w.dst, `","whale":`...)
	w.dst = strconv.AppendBool(w.dst, reaches(notional, w.ps+w.ss, w.threshold))
	w.dst = append(w.dst, '}')
}
