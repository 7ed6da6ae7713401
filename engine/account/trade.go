package account

import (
	"math/bits"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// spot is the type of markets whose trades move balances, not positions.
const spot = "spot"

// Trade applies a trade to both of its accounts. A trade that an account's position already contains changes nothing.
// late says that the trade comes after newer ones of its market: it tells nothing that a later poll does not know better.
func (t *Tracker) Trade(m model.MarketID, trade *model.Trade, late bool) {
	info, ok := t.o.Markets(m)
	if !ok {
		return
	}
	buyer, seller := trade.BidAccount, trade.AskAccount
	switch {
	case buyer == 0 && seller == 0:
		return // the row names nobody
	case info.Type == spot:
		t.See(buyer)
		t.See(seller)
		return
	}
	f := fill{market: info, trade: trade, late: late}
	bought, sold := sides(trade)
	if buyer == seller {
		// Its position stays. Where both sides tell the same one before, that is it; else one was booked after the other, and
		// which came first cannot be told.
		if !bought.Known || bought != sold {
			t.See(buyer)
			return
		}
		f.before = bought
		t.fill(buyer, &f)
		return
	}
	f.by, f.before, f.role = trade.Size, bought, roleOf(trade.TakerBuys())
	t.fill(buyer, &f)
	f.by, f.before, f.role = -trade.Size, sold, roleOf(!trade.TakerBuys())
	t.fill(seller, &f)
}

// sides returns the positions before a trade of its buyer and its seller. A sign that changed without a position before
// tells one as well: the venue leaves out what is zero.
func sides(trade *model.Trade) (buyer, seller model.PositionBefore) {
	taker, maker := trade.TakerBefore, trade.MakerBefore
	taker.Known = taker.Known || trade.TakerSignChanged
	maker.Known = maker.Known || trade.MakerSignChanged
	if trade.TakerBuys() {
		return taker, maker
	}
	return maker, taker
}

// fill is a trade seen from one of its accounts.
type fill struct {
	market *model.Market
	trade  *model.Trade
	late   bool
	role   string   // the account's: taker or maker; "" where it was both
	by     num.Size // what it adds to the position, signed
	before model.PositionBefore
}

func (t *Tracker) fill(id model.AccountID, f *fill) {
	s := t.shard(id)
	s.mu.Lock()
	a, isNew := s.row(id)
	changed := t.apply(a, f)
	s.mu.Unlock()
	if changed || isNew {
		t.changed(id)
	}
}

// apply books a fill on an account's position; the shard is locked.
func (t *Tracker) apply(a *model.Account, f *fill) bool {
	p := touch(a, f.market.ID)
	if p.Trade >= f.trade.ID {
		return false
	}
	// A market's trades come in the order of their times, so that only a poll can have told a later position. It may or may
	// not contain this trade: the venue's clock is not ours, and it answers some time after it was asked.
	polled := p.AsOf > f.trade.Time
	if polled && (f.late || !f.before.Known) {
		return false
	}
	next, agrees := f.start(p)
	answered := answers(a, p, f.trade.Time)
	contained := f.contains(p) && (polled || !agrees && answered)
	switch {
	case contained:
		next = *p
	case !agrees && f.before.Known && (polled && !t.ahead(p.AsOf) || answered):
		// The poll has seen this trade and others behind it, which are on their way: it stands until the one comes that led to
		// it. Booked one by one, they would realise again what the poll tells that they have.
		p.Trade = f.trade.ID
		streamed(a)
		return true
	case !agrees && p.Trade != 0 && !polled:
		disagreedTrades.Inc()
	}
	if !contained {
		before := next.Size
		if err := f.book(&next); err != nil {
			tradesRefused.Inc()
			t.log.Warn("trade does not fit its account's position", "market", f.market.ID, "trade", f.trade.ID, "account", a.ID, "error", err)
			return false
		}
		next.Liquidation = num.Decimal{} // it was that of the position before
		f.margin(&next, before == 0 && next.Size != 0 && !polled)
	}
	next.Trade, next.AsOf = f.trade.ID, max(p.AsOf, f.trade.Time)
	*p = next
	a.AsOf = max(a.AsOf, f.trade.Time)
	streamed(a)
	return true
}

// streamed notes that the stream told of an account.
func streamed(a *model.Account) {
	switch a.Source {
	case model.SourceNone:
		a.Source = model.SourceStream
	case model.SourcePoll:
		a.Source = model.SourceBoth
	}
}

// held returns the size of a position at the trade's scale; false where it does not fit there.
func (f *fill) held(p *model.Position) (num.Size, bool) {
	_, to := f.market.ScaleAt(f.trade.Epoch)
	_, from := f.market.ScaleAt(p.Epoch)
	size, err := num.Rescale(int64(p.Size), from, to)
	return num.Size(size), err == nil
}

// contains tells whether a position is already what the trade makes of the one before it.
func (f *fill) contains(p *model.Position) bool {
	size, ok := f.held(p)
	return ok && f.before.Known && size == f.before.Size+f.by
}

// answerTime is how long after it was asked the venue may answer: the answer may contain trades up to then.
const answerTime = model.Millis(5_000)

// answers tells whether a position is as an account call told it that was asked for shortly before a moment.
func answers(a *model.Account, p *model.Position, at model.Millis) bool {
	return a.Polled != 0 && p.AsOf == a.Polled && at-p.AsOf < answerTime
}

// start returns the position before the trade: as the venue tells it, to its own rounding, where it does; agrees says
// whether it is the one that we held.
func (f *fill) start(p *model.Position) (next model.Position, agrees bool) {
	size, fits := f.held(p)
	next = *p
	next.Epoch, next.Size = f.trade.Epoch, size
	if !f.before.Known {
		if !fits {
			next.Size, next.Entry = 0, 0
		}
		return next, fits
	}
	next.Size, next.Entry = f.before.Size, f.before.EntryQuote
	if f.before.InitialMargin > 0 {
		next.Initial = f.before.InitialMargin
	}
	return next, fits && size == f.before.Size
}

// book adds the fill to a position. What closes realises its share of the entry value, what opens adds the fill's value;
// through zero it does both.
func (f *fill) book(p *model.Position) error {
	ps, ss := f.market.ScaleAt(f.trade.Epoch)
	by := f.by
	if held, part := magnitude(p.Size), magnitude(by); p.Size != 0 && by != 0 && (p.Size < 0) != (by < 0) {
		closed := min(held, part)
		kept := keep(p.Entry, held-closed, held)
		value, err := num.MulUSD(f.trade.Price, ps, closed, ss)
		if err != nil {
			return err
		}
		profit := value - (p.Entry - kept)
		if p.Size < 0 {
			profit, closed = -profit, -closed
		}
		p.Size -= closed
		by += closed
		p.Entry = kept
		if p.Realized, err = plus(p.Realized, profit); err != nil {
			return err
		}
	}
	if by != 0 {
		value, err := num.MulUSD(f.trade.Price, ps, magnitude(by), ss)
		if err != nil {
			return err
		}
		if p.Size, err = plus(p.Size, by); err != nil {
			return err
		}
		if p.Entry, err = plus(p.Entry, value); err != nil {
			return err
		}
	}
	return nil
}

// plus adds two numbers; ErrRange where the sum does not fit.
func plus[T ~int64](a, b T) (T, error) {
	if sum := a + b; (sum < a) == (b < 0) {
		return sum, nil
	}
	return 0, num.ErrRange
}

func magnitude(s num.Size) num.Size { return max(s, -s) }

// keep returns what is left of the entry value when a part of a position is left. It is rounded down, as the venue does:
// so it is in each of the 419 positions that a recording shows before and after a part was closed.
func keep(value num.USD, left, held num.Size) num.USD {
	if left <= 0 || value <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(value), uint64(left))
	q, _ := bits.Div64(hi, lo, uint64(held)) // below value, since left < held
	return num.USD(q)
}
