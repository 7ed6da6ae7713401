package exposure

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// HolderList is a ranking of a market's positions, by size.
type HolderList uint8

// The rankings of a market.
const (
	HoldersAll HolderList = iota
	HoldersLong
	HoldersShort
	holderLists
)

// Holder is a position in a ranking of its market.
type Holder struct {
	Account  model.AccountID
	Index    int64
	Address  model.Address
	Size     num.Size    // signed, at the market's current scale
	Value    num.USD     // unsigned, at the mark
	Entry    num.USD     // value at entry
	Profit   num.USD     // unrealised
	Price    num.Decimal // of liquidation, where HasPrice
	HasPrice bool
}

// Holders returns a ranking of the market, the largest first; it is not to be changed.
func (m *Market) Holders(l HolderList) []Holder { return m.holders[l] }

func largerHolder(a, b Holder) int {
	return cmp.Or(cmp.Compare(max(b.Size, -b.Size), max(a.Size, -a.Size)), cmp.Compare(a.Account, b.Account))
}

// Sort is what exchange-wide rankings go by.
type Sort uint8

// The exchange-wide rankings.
const (
	ByNotional Sort = iota
	ByProfit
	ByCollateral
	sorts
)

// Total is an account in an exchange-wide ranking. Sums hold the positions that can be valued.
type Total struct {
	Account     model.AccountID
	Index       int64
	Address     model.Address
	Long, Short num.USD // unsigned, at the mark
	Profit      num.USD // unrealised
	Collateral  num.USD // known only where Polled
	Polled      bool
	Positions   int
	Largest     model.MarketID // of the positions, by value; meaningless without one
}

// Notional is the value of all positions.
func (t *Total) Notional() num.USD { return t.Long + t.Short }

// Ranking returns an exchange-wide ranking, the largest first; it is not to be changed.
func (s *Snapshot) Ranking(by Sort) []Total { return s.rankings[by] }

func largerTotal(by Sort) func(a, b Total) int {
	value := func(t *Total) num.USD {
		switch by {
		case ByProfit:
			return t.Profit
		case ByCollateral:
			return t.Collateral
		}
		return t.Notional()
	}
	return func(a, b Total) int {
		return cmp.Or(cmp.Compare(value(&b), value(&a)), cmp.Compare(a.Account, b.Account))
	}
}

func (p *pass) rank(a *model.Account, s *risk.Assessment) {
	t := Total{Account: a.ID, Index: a.Index, Address: a.Address, Profit: s.Account.Profit, Collateral: a.Collateral, Polled: a.Polled != 0,
		Positions: len(s.Exposures)}
	var largest num.USD = -1
	for i := range s.Exposures {
		e := &s.Exposures[i]
		if e.Position.Size > 0 {
			t.Long += e.Notional
		} else {
			t.Short += e.Notional
		}
		if e.Notional > largest {
			largest, t.Largest = e.Notional, e.Position.Market
		}
	}
	if t.Positions > 0 {
		p.sorted[ByNotional].add(t)
		p.sorted[ByProfit].add(t)
	}
	if t.Polled {
		p.sorted[ByCollateral].add(t)
	}
}

// top keeps the first rows of an order out of many: it gathers twice as many and then cuts.
type top[T any] struct {
	rows    []T
	n       int
	compare func(a, b T) int
	full    bool // n rows stand at the front, the last of them at rows[n-1]
}

func newTop[T any](n int, compare func(a, b T) int) *top[T] { return &top[T]{n: n, compare: compare} }

func (t *top[T]) add(row T) {
	if t.full && t.compare(row, t.rows[t.n-1]) > 0 {
		return
	}
	t.rows = append(t.rows, row)
	if len(t.rows) >= 2*t.n {
		t.cut()
	}
}

func (t *top[T]) cut() {
	slices.SortFunc(t.rows, t.compare)
	if len(t.rows) >= t.n {
		t.rows, t.full = t.rows[:t.n], true
	}
}

func (t *top[T]) sorted() []T {
	t.cut()
	return slices.Clip(t.rows)
}
