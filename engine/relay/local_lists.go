package relay

import (
	"sync/atomic"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
)

// allMarkets is the market_id that asks for every market.
const allMarkets = 255

// answerCache keeps the last answer that was asked for without a filter.
type answerCache struct{ last atomic.Pointer[cachedAnswer] }

type cachedAnswer struct {
	kept    *Kept
	changes uint64
	body    []byte
}

// encode returns the kept answer with the stream's figures in it, encoded again only where either has changed.
func (c *answerCache) encode(l *Live, k *Kept, live func(*lighter.RawRow) *model.Stats) []byte {
	changes := l.changes.Load() // before the statistics are read: a change meanwhile is seen the next time
	if live == nil {
		changes = 0
	}
	old := c.last.Load()
	if old != nil && old.kept == k && old.changes == changes {
		return old.body
	}
	size := 0
	if old != nil {
		size = len(old.body) + len(old.body)/16
	}
	body := k.Answer.Append(make([]byte, 0, size), nil, live)
	c.last.Store(&cachedAnswer{kept: k, changes: changes, body: body})
	return body
}

// marketList answers orderBooks and orderBookDetails. The latter has two lists; how the venue writes one that a filter
// has emptied is recorded for the list of spot markets only.
func (a *Answers) marketList(path string, v *values) ([]byte, bool) {
	id, filter := int64(allMarkets), "all"
	if _, given := v.q.Get("market_id"); given {
		var ok bool
		if id, ok = v.integer("market_id"); !ok {
			return nil, false
		}
	}
	if f, given := v.text("filter"); given {
		filter = f
	}
	if !v.done() || filter != "all" && filter != "perp" && filter != "spot" {
		return nil, false
	}
	k, ok := a.o.Polled.Get(path, a.o.Now())
	if !ok {
		return nil, false
	}
	details := path == "orderBookDetails"
	live := a.rowStats(k)
	if !details {
		live = nil
	}
	keep := func(r *lighter.RawRow) bool {
		return (id == allMarkets || r.Native == id) && (filter == "all" || r.Type == filter)
	}
	if rows, perps, ok := a.answerable(k, keep); !ok || rows == 0 || details && perps == 0 {
		return nil, false
	}
	if id == allMarkets && filter == "all" {
		return a.caches[path].encode(a.o.Live, k, live), true
	}
	return k.Answer.Append(make([]byte, 0, 2048), keep, live), true
}

// answerable counts the rows that are asked for, and the perps among them; false where one of them cannot be answered: an
// active market that is not in sync, or a row without a market.
func (a *Answers) answerable(k *Kept, keep func(*lighter.RawRow) bool) (rows, perps int, ok bool) {
	ok = true
	k.Answer.Rows(func(r *lighter.RawRow) bool {
		if !keep(r) {
			return true
		}
		rows++
		if r.Type == "perp" {
			perps++
		}
		if r.Native < 0 {
			ok = false
		} else if r.Active {
			m, known := a.o.Markets.ByNative(a.o.Venue, r.Native)
			ok = known && a.inSync(m)
		}
		return ok
	})
	return rows, perps, ok
}

// rowStats finds the statistics of a row by its market id.
func (a *Answers) rowStats(k *Kept) func(*lighter.RawRow) *model.Stats {
	return func(r *lighter.RawRow) *model.Stats {
		if m, ok := a.o.Markets.ByNative(a.o.Venue, r.Native); ok {
			return a.liveStats(m, k)
		}
		return nil
	}
}

// exchangeStats answers while every active market is in sync. Its rows name their market by symbol only.
func (a *Answers) exchangeStats(v *values) ([]byte, bool) {
	k, ok := a.o.Polled.Get("exchangeStats", a.o.Now())
	synced, total := a.o.Markets.Synced()
	if !ok || !v.done() || synced != total {
		return nil, false
	}
	var bySymbol map[string]*model.Market
	return a.caches["exchangeStats"].encode(a.o.Live, k, func(r *lighter.RawRow) *model.Stats {
		if bySymbol == nil {
			bySymbol = map[string]*model.Market{}
			for _, m := range a.o.Markets.All() {
				if m.Active {
					bySymbol[m.Symbol] = m
				}
			}
		}
		if m := bySymbol[r.Symbol]; m != nil {
			return a.liveStats(m, k)
		}
		return nil
	}), true
}

// fundingRates answers from the last poll: the venue's rates are floats of its own arithmetic, over eight hours and of
// other exchanges too, of which the stream tells nothing.
func (a *Answers) fundingRates(v *values) ([]byte, bool) {
	k, ok := a.o.Polled.Get("funding-rates", a.o.Now())
	if !ok || !v.done() {
		return nil, false
	}
	return a.caches["funding-rates"].encode(a.o.Live, k, nil), true
}
