package account

import (
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Polled takes a whole account as the venue told it: every member of the row but Source and the positions' Trade. Polled
// is when the venue was asked. Positions that a later trade told stay as that trade left them; a disagreement about any
// other is counted, and the poll wins.
func (t *Tracker) Polled(row *model.Account) {
	s := t.shard(row.ID)
	s.mu.Lock()
	a, _ := s.row(row.ID)
	back := t.ahead(a.Polled)
	if row.Polled < a.Polled && !back {
		s.mu.Unlock()
		return // answers may overtake one another
	}
	positions := a.Positions
	source := model.SourcePoll
	if a.Source == model.SourceStream || a.Source == model.SourceBoth {
		source = model.SourceBoth
	}
	asOf, index, owner := max(a.AsOf, row.Polled), a.Index, a.Address
	if back {
		asOf = row.Polled
	}
	*a = *row
	a.Positions, a.Source, a.AsOf, a.Index = positions, source, asOf, index
	if a.Address == (model.Address{}) {
		a.Address = owner // it never changes
	}
	for i := range row.Positions {
		t.merge(a, &row.Positions[i], row.Polled)
	}
	t.flatten(a, row.Positions, row.Polled)
	s.mu.Unlock()
	t.owners.own(row.Address, row.ID)
	t.changed(row.ID)
}

// aheadMost is how far the venue's clock may be ahead of ours.
const aheadMost = model.Millis(60_000)

// ahead tells whether a moment lies in the future: our clock was set back since. What it dates is the past all the same.
func (t *Tracker) ahead(at model.Millis) bool {
	return t.o.Now != nil && at > model.Millis(t.o.Now().UnixMilli())+aheadMost
}

// flatten closes the positions that the venue no longer lists.
func (t *Tracker) flatten(a *model.Account, listed []model.Position, at model.Millis) {
	for i := range a.Positions {
		p := &a.Positions[i]
		if p.Size != 0 && (p.AsOf <= at || t.ahead(p.AsOf)) && !lists(listed, p.Market) {
			if p.Trade != 0 {
				disagreedPolls.Inc()
			}
			*p = model.Position{Market: p.Market, Epoch: p.Epoch, Realized: p.Realized, Trade: p.Trade, AsOf: at}
		}
	}
}

// PolledPositions takes some positions of an account as the venue's channel told them at a moment; others stay, unless
// these are the whole of what the venue lists.
func (t *Tracker) PolledPositions(id model.AccountID, rows []model.Position, whole bool, at model.Millis) {
	s := t.shard(id)
	s.mu.Lock()
	a, _ := s.row(id)
	for i := range rows {
		t.merge(a, &rows[i], at)
	}
	if whole {
		t.flatten(a, rows, at)
	}
	if a.Source == model.SourceStream {
		a.Source = model.SourceBoth
	} else if a.Source == model.SourceNone {
		a.Source = model.SourcePoll
	}
	a.AsOf = max(a.AsOf, at)
	s.mu.Unlock()
	t.changed(id)
}

func lists(ps []model.Position, m model.MarketID) bool {
	return slices.ContainsFunc(ps, func(p model.Position) bool { return p.Market == m })
}

// merge puts a polled position into an account, unless something later has told a newer one. Behind a trade, the numbers
// that trades do not tell are taken all the same.
func (t *Tracker) merge(a *model.Account, polled *model.Position, at model.Millis) {
	p := touch(a, polled.Market)
	if p.AsOf > at && !t.ahead(p.AsOf) {
		if p.Trade == 0 {
			return
		}
		if !p.Isolated {
			p.Isolated, p.Allocated = polled.Isolated, polled.Allocated
		}
		p.FundingPaid = polled.FundingPaid
		p.OpenOrders, p.Pending, p.Tied = polled.OpenOrders, polled.Pending, polled.Tied
		return
	}
	if p.Trade != 0 && !t.sameSize(p, polled) {
		disagreedPolls.Inc()
	}
	trade := p.Trade
	*p = *polled
	p.Trade, p.AsOf = trade, at
}

func (t *Tracker) sameSize(a, b *model.Position) bool {
	if a.Epoch == b.Epoch {
		return a.Size == b.Size
	}
	m, ok := t.o.Markets(a.Market)
	if !ok {
		return false
	}
	_, sa := m.ScaleAt(a.Epoch)
	_, sb := m.ScaleAt(b.Epoch)
	return num.Decimal{Mant: int64(a.Size), Scale: sa}.Cmp(num.Decimal{Mant: int64(b.Size), Scale: sb}) == 0
}

// Missing notes that the venue does not know an account, at a moment.
func (t *Tracker) Missing(id model.AccountID, at model.Millis) {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[id] != nil {
		return // it traded: the venue will know it again
	}
	if len(s.foreign) >= maxForeign {
		clear(s.foreign)
	}
	s.foreign[id] = at
}

// maxForeign bounds the indices of a shard that are remembered as unknown to the venue; a stranger may ask for any.
const maxForeign = 1024

// IsMissing returns when the venue said that it does not know an account; false where it never did.
func (t *Tracker) IsMissing(id model.AccountID) (model.Millis, bool) {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.foreign[id]
	return at, ok
}
