package history

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// sameBook tells whether a view shows the model's book at t, whatever its scale: a segment that begins with a new scale
// holds the book before it on that scale.
func (g *rig) sameBook(n *naiveMarket, t model.Micros, v *book.View) bool {
	bids, asks, seq, epoch := g.bookAt(n, t)
	if v.Epoch < epoch {
		return false
	}
	for _, levels := range [][]model.Level{bids, asks} {
		for i := range levels {
			levels[i].Price *= num.Price(num.Pow10(v.Epoch - epoch))
		}
	}
	return v.Seq == seq && slices.Equal(v.Append(nil, model.Bid, 0), bids) && slices.Equal(v.Append(nil, model.Ask, 0), asks)
}

// heldAt tells whether the model has a book at t.
func (g *rig) heldAt(n *naiveMarket, t model.Micros) bool {
	for _, iv := range n.held {
		end := iv.To
		if end == 0 {
			end = g.heartbeat
		}
		if iv.From < t && t <= end {
			return true
		}
	}
	return false
}

// bookAt is the model's book at t: levels per side, best first.
func (g *rig) bookAt(n *naiveMarket, t model.Micros) (bids, asks []model.Level, seq uint64, epoch uint8) {
	for _, iv := range n.held {
		end := iv.To
		if end == 0 {
			end = g.heartbeat
		}
		if t <= iv.From || t > end {
			continue
		}
		sides := [2]map[num.Price]num.Size{}
		for _, row := range n.rows {
			if row.recv < iv.From || row.recv >= t {
				continue
			}
			if row.update.Snapshot {
				sides = [2]map[num.Price]num.Size{{}, {}}
			} else if row.epoch != epoch {
				for s := range sides {
					wider := map[num.Price]num.Size{}
					for p, q := range sides[s] {
						wider[p*num.Price(num.Pow10(row.epoch-epoch))] = q
					}
					sides[s] = wider
				}
			}
			epoch, seq = row.epoch, row.update.Seq
			for s, levels := range [2][]model.Level{row.update.Bids, row.update.Asks} {
				for _, l := range levels {
					if l.Size == 0 {
						delete(sides[s], l.Price)
					} else {
						sides[s][l.Price] = l.Size
					}
				}
			}
		}
		for p, q := range sides[0] {
			bids = append(bids, model.Level{Price: p, Size: q})
		}
		for p, q := range sides[1] {
			asks = append(asks, model.Level{Price: p, Size: q})
		}
		slices.SortFunc(bids, func(a, b model.Level) int { return cmp.Compare(b.Price, a.Price) })
		slices.SortFunc(asks, func(a, b model.Level) int { return cmp.Compare(a.Price, b.Price) })
		return bids, asks, seq, epoch
	}
	return nil, nil, 0, 0
}

// sortedTrades returns the model's trades of a span by (time, id).
func (n *naiveMarket) sortedTrades(sp Span) []model.Trade {
	var out []model.Trade
	for _, t := range n.trades {
		if t.Time >= sp.From && t.Time < sp.To {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, byTimeAndID)
	return out
}

// naiveCandles recomputes candles from the model's trades.
func naiveCandles(trades []model.Trade, m *model.Market, length time.Duration) []record.Candle {
	byStart := map[model.Millis]*record.Candle{}
	slices.SortFunc(trades, func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) })
	for _, t := range trades {
		at := CandleStart(t.Time, length)
		price := t.Price * num.Price(num.Pow10(m.Epoch-t.Epoch))
		c := byStart[at]
		if c == nil {
			c = &record.Candle{Time: at, Epoch: m.Epoch, Open: price, High: price, Low: price, FirstID: t.ID}
			byStart[at] = c
		}
		c.High, c.Low, c.Close, c.LastID = max(c.High, price), min(c.Low, price), price, t.ID
		c.Volume += t.Size
		c.QuoteVolume += t.USD
		c.Trades++
	}
	var out []record.Candle
	for _, c := range byStart {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b record.Candle) int { return cmp.Compare(a.Time, b.Time) })
	return out
}

// dump returns every row of the store, for comparing two states of it.
func dump(t testing.TB, store *kv.Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range []key.Family{key.Trades, key.Keyframes, key.Books, key.Candles, key.Funding, key.Liquidations, key.Stats,
		key.Gaps, key.Index, key.Coverage, key.Markets, key.Meta} {
		for row, err := range store.Scan(t.Context(), key.All(f)) {
			if err != nil {
				t.Fatal(err)
			}
			out[string(row.Key)] = string(row.Value)
		}
	}
	return out
}
