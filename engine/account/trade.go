package account

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Trade applies a new trade to both of its accounts. A trade that an account's position already contains changes nothing.
func (t *Tracker) Trade(m model.MarketID, trade *model.Trade) {
	info, ok := t.o.Markets(m)
	if !ok {
		return
	}
	f := fill{market: info, trade: trade}
	buyer, seller := trade.BidAccount, trade.AskAccount
	if buyer == seller {
		// Both sides are one account: its position stays, whatever the venue tells as the one before.
		t.See(buyer)
		return
	}
	f.before, f.other = trade.MakerBefore, trade.TakerBefore
	if trade.TakerBuys() {
		f.before, f.other = trade.TakerBefore, trade.MakerBefore
	}
	f.by = trade.Size
	t.fill(buyer, &f)
	f.before, f.by = f.other, -trade.Size
	t.fill(seller, &f)
}

// fill is a trade seen from one of its accounts.
type fill struct {
	market *model.Market
	trade  *model.Trade
	by     num.Size // what it adds to the position, signed
	before model.PositionBefore
	other  model.PositionBefore // of the seller, while the buyer is worked on
}

func (t *Tracker) fill(id model.AccountID, f *fill) {
	s := t.shard(id)
	s.mu.Lock()
	a, _ := s.row(id)
	changed := t.apply(a, f)
	s.mu.Unlock()
	if changed {
		t.changed(id)
	}
}

// apply books a fill on an account's position; the shard is locked.
func (t *Tracker) apply(a *model.Account, f *fill) bool {
	p := touch(a, f.market.ID)
	if p.Trade >= f.trade.ID || !f.before.Known && p.AsOf > f.trade.Time {
		// Known, or contained in what a later poll told. A trade that tells the position before it is applied even then: it
		// comes out at the same.
		return false
	}
	t.bring(p, f)
	next, err := after(p, f)
	if err != nil {
		tradesRefused.Inc()
		t.log.Warn("trade does not fit its account's position", "market", f.market.ID, "trade", f.trade.ID, "account", a.ID, "error", err)
		return false
	}
	next.Trade, next.AsOf = f.trade.ID, max(p.AsOf, f.trade.Time)
	next.Liquidation = num.Decimal{} // it was that of the position before
	*p = next
	a.AsOf = max(a.AsOf, f.trade.Time)
	switch a.Source {
	case model.SourceNone:
		a.Source = model.SourceStream
	case model.SourcePoll:
		a.Source = model.SourceBoth
	}
	return true
}

// bring makes the position what the venue says it was before the trade. Where we knew another one, something passed us
// by: it is counted, and the venue is right.
func (t *Tracker) bring(p *model.Position, f *fill) {
	_, to := f.market.ScaleAt(f.trade.Epoch)
	_, from := f.market.ScaleAt(p.Epoch)
	size, err := num.Rescale(int64(p.Size), from, to)
	p.Epoch = f.trade.Epoch
	p.Size = num.Size(size)
	if !f.before.Known {
		if err != nil {
			p.Size, p.Entry = 0, 0
		}
		return
	}
	if err != nil || p.Size != f.before.Size {
		if p.Trade != 0 && p.AsOf <= f.trade.Time {
			disagreedTrades.Inc()
		}
		p.Size, p.Entry = f.before.Size, f.before.EntryQuote
	} else {
		p.Entry = f.before.EntryQuote // to the venue's own rounding
	}
	if f.before.InitialMargin > 0 {
		p.Initial = f.before.InitialMargin
	}
}

// after returns the position after a fill. What closes realises its share of the entry value, what opens adds the fill's
// value; through zero it does both.
func after(p *model.Position, f *fill) (model.Position, error) {
	next := *p
	ps, ss := f.market.ScaleAt(f.trade.Epoch)
	by := f.by
	held, part := magnitude(p.Size), magnitude(by)
	if p.Size != 0 && (p.Size < 0) != (by < 0) {
		closed := min(held, part)
		entry, err := share(p.Entry, closed, held)
		if err != nil {
			return next, err
		}
		value, err := num.MulUSD(f.trade.Price, ps, closed, ss)
		if err != nil {
			return next, err
		}
		profit := value - entry
		if p.Size < 0 {
			profit = -profit
			next.Size += closed
			by -= closed
		} else {
			next.Size -= closed
			by += closed
		}
		next.Realized += profit
		next.Entry -= entry
	}
	if by != 0 {
		value, err := num.MulUSD(f.trade.Price, ps, magnitude(by), ss)
		if err != nil {
			return next, err
		}
		next.Size += by
		next.Entry += value
	}
	return next, nil
}

func magnitude(s num.Size) num.Size { return max(s, -s) }

// share returns the part of a whole's value, half-even.
func share(value num.USD, part, whole num.Size) (num.USD, error) {
	if part == whole {
		return value, nil
	}
	var a num.Acc
	a.AddProduct(int64(value), int64(part))
	v, err := a.DivRound(int64(whole), num.USDScale, num.USDScale)
	return num.USD(v), err
}
