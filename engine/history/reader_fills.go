package history

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
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
	// Uncounted says that totals are not wanted: FillsOf ends as soon as it has the fills.
	Uncounted bool
	// CountLimit is from how many postings of an account on FillsOf gives up counting them; 0: never.
	CountLimit uint64
}

// AccountFills is what FillsOf found for one account.
type AccountFills struct {
	Account model.AccountID
	Fills   []model.Fill // in the order asked for
	Total   uint64       // how many match in the whole span, whatever After says
	Counted bool         // Total is exact; else it tells nothing
}

// PositionOf returns the place of a fill.
func PositionOf(f *model.Fill) FillPosition {
	return FillPosition{Position{f.Time, f.Market, f.ID}, f.Maker}
}

// Fills goes through the fills of one account by (time, market, id). The pointer is valid until the next step.
func (r *Reader) Fills(ctx context.Context, account model.AccountID, sp Span, q FillQuery) iter.Seq2[*model.Fill, error] {
	return func(yield func(*model.Fill, error) bool) {
		var found fillSet
		defer found.free()
		taken, page, ended := 0, firstFills, false
		// send reads the trades of what was found and hands the fills on.
		send := func() (bool, error) {
			fills, err := found.read(ctx, r)
			if err != nil {
				return false, err
			}
			for i := range fills {
				if fills[i].Size == 0 && fills[i].ID == 0 {
					continue // its trade is gone
				}
				taken++
				if !yield(&fills[i], nil) {
					ended = true
					return false, nil
				}
			}
			return true, nil
		}
		q.narrow(&sp)
		err := r.eachPosting(ctx, []model.AccountID{account}, sp, q, func(_ int, p *record.Posting) (bool, error) {
			if !q.passed(p) {
				return true, nil
			}
			found.add(p)
			want := page
			if left := q.Rows - taken; left > 0 {
				want = min(left, maxFills)
			}
			if len(found.wants) < want {
				return true, nil
			}
			page = min(4*page, maxFills)
			return send()
		})
		if err == nil && !ended {
			_, err = send()
		}
		if err != nil {
			yield(nil, fmt.Errorf("read fills: %w", err))
		}
	}
}

// narrow cuts the span at the place that the query goes on from.
func (q *FillQuery) narrow(sp *Span) {
	switch {
	case q.After == nil:
	case q.Reverse:
		sp.To = min(sp.To, q.After.Time+1)
	default:
		sp.From = max(sp.From, q.After.Time)
	}
}

// CountFills returns the number of fills of an account in a span, whatever After says. Past limit postings it gives up:
// exact is false and n tells nothing. 0 means no limit.
func (r *Reader) CountFills(ctx context.Context, account model.AccountID, sp Span, q FillQuery, limit uint64) (n uint64, exact bool, err error) {
	exact = true
	seen := uint64(0)
	all := FillQuery{Reverse: q.Reverse}
	err = r.eachPosting(ctx, []model.AccountID{account}, sp, all, func(_ int, p *record.Posting) (bool, error) {
		if seen++; limit > 0 && seen > limit {
			exact = false
			return false, nil
		}
		if q.matches(p) {
			n++
		}
		return true, nil
	})
	if err != nil {
		return 0, false, fmt.Errorf("count fills: %w", err)
	}
	return n, exact, nil
}

// FillsOf returns at most perAccount fills of each of some accounts, in the order of the accounts, which may be in any.
// A trade segment that several of them need is read once.
func (r *Reader) FillsOf(ctx context.Context, accounts []model.AccountID, sp Span, q FillQuery, perAccount int) ([]AccountFills, error) {
	out := make([]AccountFills, len(accounts))
	for i, id := range accounts {
		out[i].Account, out[i].Counted = id, !q.Uncounted
	}
	taken, seen := make([]int, len(accounts)), make([]uint64, len(accounts))
	var found fillSet
	defer found.free()
	all := q
	all.Market, all.Side, all.Role, all.Kinds = nil, 0, 0, 0 // the limit counts what is looked at
	err := r.eachPosting(ctx, accounts, sp, all, func(i int, p *record.Posting) (bool, error) {
		seen[i]++
		if q.CountLimit > 0 && seen[i] > q.CountLimit {
			out[i].Counted = false
		}
		if q.matches(p) {
			out[i].Total++
			if taken[i] < perAccount && q.passed(p) {
				taken[i]++
				found.addFor(i, p)
			}
		}
		return out[i].Counted || taken[i] < perAccount, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read fills of accounts: %w", err)
	}
	fills, err := found.read(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("read fills of accounts: %w", err)
	}
	for i := range fills {
		if fills[i].Size == 0 && fills[i].ID == 0 {
			continue
		}
		at := found.owners[i]
		if out[at].Fills == nil {
			out[at].Fills = make([]model.Fill, 0, taken[at])
		}
		out[at].Fills = append(out[at].Fills, fills[i])
	}
	return out, nil
}

// eachPosting visits the postings of some accounts that match a query, day by day in the direction of reading, and within
// a day account by account: the number of the account goes along. Where visit returns false it is done with that account.
func (r *Reader) eachPosting(
	ctx context.Context, accounts []model.AccountID, sp Span, q FillQuery, visit func(i int, p *record.Posting) (bool, error),
) error {
	keep, err := r.keep()
	if err != nil {
		return err
	}
	from, to, err := r.extent(ctx, key.Fills, max(int64(sp.From), 0), int64(sp.To))
	if err != nil {
		return err
	}
	order := make([]int, len(accounts)) // as they lie in the store
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(accounts[a], accounts[b]) })
	done := make([]bool, len(accounts))
	slice := postingSlice{reverse: q.Reverse, limit: maxPostingSlice}
	for from < to && len(order) > 0 {
		if keep.skip(key.Fills, &from, &to, q.Reverse) {
			continue
		}
		lo, hi := from, min(to, key.DayStart(key.Day(from)+1))
		if q.Reverse {
			lo, hi = max(from, key.DayStart(key.Day(to-1))), to
		}
		order = slices.DeleteFunc(order, func(i int) bool { return done[i] })
		for _, i := range order {
			for dayLo, dayHi := lo, hi; dayLo < dayHi && !done[i]; {
				if err := ctx.Err(); err != nil {
					return err
				}
				if dayLo, dayHi, err = slice.load(ctx, r, accounts[i], dayLo, dayHi); err != nil {
					return err
				}
				n := len(slice.rows)
				for k := range n {
					p := &slice.rows[k]
					if q.Reverse {
						p = &slice.rows[n-1-k]
					}
					if !q.matches(p) {
						continue
					}
					more, err := visit(i, p)
					if err != nil {
						return err
					}
					if done[i] = !more; !more {
						break
					}
				}
			}
		}
		if q.Reverse {
			to = lo
		} else {
			from = hi
		}
	}
	return nil
}
