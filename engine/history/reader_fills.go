package history

import (
	"context"
	"iter"

	"hyperlight/engine/model"
)

// FillSide and FillRole narrow fills; the zero value takes both.
type (
	FillSide uint8
	FillRole uint8
)

// What FillQuery can be narrowed to. Sides and roles are the account's own.
const (
	FillBuys  FillSide = 1
	FillSells FillSide = 2

	FillMaker FillRole = 1
	FillTaker FillRole = 2
)

// KindMask is a set of kinds of trade; 0 takes all.
type KindMask uint8

// Kinds returns the set of some kinds.
func Kinds(kinds ...model.TradeKind) KindMask {
	var m KindMask
	for _, k := range kinds {
		m |= 1 << min(k, 7)
	}
	return m
}

// ForcedKinds are the trades that closed somebody's position against his will. With FillTaker they are the account's own
// liquidations: the closed account is the taker.
var ForcedKinds = Kinds(model.KindLiquidation, model.KindDeleverage)

// FillPosition is a place in a list of fills, which is ordered by (time, market, id), the taker of a self-trade before
// its maker.
type FillPosition struct {
	Position
	Maker bool
}

// FillQuery says which fills of an account are read. The zero value takes all, in ascending order.
type FillQuery struct {
	Market  *model.MarketID // nil: every market
	Side    FillSide
	Role    FillRole
	Kinds   KindMask
	Reverse bool
	// After skips everything up to and including this place, in the direction of reading.
	After *FillPosition
	// Rows is how many fills the caller is going to take at most, so that no more of them are read ahead; 0 where nobody
	// knows. Whoever takes more gets them.
	Rows int
}

// AccountFills is what FillsOf found for one account.
type AccountFills struct {
	Account model.AccountID
	Fills   []model.Fill // in the order asked for
	Total   uint64       // how many match in the whole span, whatever After says
}

// PositionOf returns the place of a fill.
func PositionOf(f *model.Fill) FillPosition {
	return FillPosition{Position{f.Time, f.Market, f.ID}, f.Maker}
}

// Fills goes through the fills of one account by (time, market, id). The pointer is valid until the next step.
func (r *Reader) Fills(ctx context.Context, account model.AccountID, sp Span, q FillQuery) iter.Seq2[*model.Fill, error] {
	return func(yield func(*model.Fill, error) bool) {}
}

// CountFills returns the number of fills of an account in a span, whatever After says. Past limit postings it gives up:
// exact is false and n tells nothing. 0 means no limit.
func (r *Reader) CountFills(ctx context.Context, account model.AccountID, sp Span, q FillQuery, limit uint64) (n uint64, exact bool, err error) {
	return 0, true, nil
}

// FillsOf returns at most perAccount fills of each of some accounts, in the order of the accounts, which may be in any.
// A trade segment that several of them need is read once.
func (r *Reader) FillsOf(ctx context.Context, accounts []model.AccountID, sp Span, q FillQuery, perAccount int) ([]AccountFills, error) {
	return make([]AccountFills, len(accounts)), nil
}

// FillsWhole tells whether fills of every stored trade of a span can be found: false while those of a store from before
// there were postings are still being built.
func (r *Reader) FillsWhole(sp Span) (bool, error) { return true, nil }
