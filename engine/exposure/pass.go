package exposure

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// pass is one computation over all accounts.
type pass struct {
	d       *Desk
	now     model.Millis
	rules   map[model.MarketID]risk.Market
	markets map[model.MarketID]*marketPass
	sorted  [sorts]*top[Total]
	census  Census
}

// marketPass is what a pass gathers about one market.
type marketPass struct {
	market  *Market
	entries []risk.Entry
	holders [holderLists]*top[Holder]
}

func newPass(d *Desk, now model.Millis) *pass {
	p := &pass{d: d, now: now, rules: map[model.MarketID]risk.Market{}, markets: map[model.MarketID]*marketPass{}}
	for _, m := range d.o.Markets() {
		s, _ := d.o.Stats(m.ID)
		if s == nil || s.Has&model.HasMark == 0 {
			continue
		}
		r := risk.Market{Info: m, Mark: s.Mark}
		if !r.Known() {
			continue
		}
		p.rules[m.ID] = r
		mp := &marketPass{
			market: &Market{Info: m, Mark: s.Mark, At: now, OpenInterest: s.OpenInterest, HasOpenInterest: s.Has&model.HasOpenInterest != 0},
		}
		if last := d.latest.Load().Market(m.ID); last != nil {
			long, short := last.Map.Total()
			mp.entries = make([]risk.Entry, 0, long.Count+short.Count+16)
		}
		for i := range mp.holders {
			mp.holders[i] = newTop(d.o.Rows, largerHolder)
		}
		p.markets[m.ID] = mp
	}
	for i := range p.sorted {
		p.sorted[i] = newTop(d.o.Rows, largerTotal(Sort(i)))
	}
	return p
}

func (p *pass) market(id model.MarketID) (risk.Market, bool) {
	m, ok := p.rules[id]
	return m, ok
}

// add takes an account's assessment in; neither is kept.
func (p *pass) add(a *model.Account, s *risk.Assessment) {
	for i := range s.Exposures {
		e := &s.Exposures[i]
		mp := p.markets[e.Position.Market]
		size, ok := sizeAt(e, mp.market.Info)
		if !ok {
			continue
		}
		if size > 0 {
			mp.market.Tracked += size
		}
		funded := hasMoney(a, e.Position)
		price, hasPrice := e.Price()
		hasPrice = hasPrice && funded
		h := Holder{
			Account: a.ID, Index: a.Index, Address: a.Address, Size: size, Value: e.Notional, Entry: e.Position.Entry, Profit: e.Profit,
			Price: price, HasPrice: hasPrice,
		}
		mp.holders[HoldersAll].add(h)
		if size > 0 {
			mp.holders[HoldersLong].add(h)
		} else {
			mp.holders[HoldersShort].add(h)
		}
		if entry, ok := e.Entry(a.ID, mp.market.Info.SizeScale); ok && funded {
			mp.entries = append(mp.entries, entry)
		}
	}
	p.rank(a, s)
}

// hasMoney tells whether it is known what stands behind a position. An account that only traded until now has collateral
// that nobody has told: where its cross positions would be closed is not known.
func hasMoney(a *model.Account, p *model.Position) bool {
	return a.Polled != 0 || p.Isolated || p.Liquidation.Mant > 0
}

func sizeAt(e *risk.Exposure, m *model.Market) (num.Size, bool) {
	_, from := m.ScaleAt(e.Position.Epoch)
	size, err := num.Rescale(int64(e.Position.Size), from, m.SizeScale)
	return num.Size(size), err == nil
}

// finish makes the snapshot.
func (p *pass) finish() *Snapshot {
	s := &Snapshot{At: p.now, Accounts: p.d.o.Accounts.Known(), Census: p.census, markets: make(map[model.MarketID]*Market, len(p.markets))}
	for id, mp := range p.markets {
		mp.finish()
		s.markets[id] = mp.market
	}
	for i := range p.sorted {
		s.rankings[i] = p.sorted[i].sorted()
	}
	return s
}

func (mp *marketPass) finish() {
	mp.market.Map = risk.NewMap(mp.market.Info.SizeScale, mp.entries)
	for i := range mp.holders {
		mp.market.holders[i] = mp.holders[i].sorted()
	}
	if h, err := mp.market.heatmap(Defaults); err == nil {
		mp.market.standard = h
	}
}
