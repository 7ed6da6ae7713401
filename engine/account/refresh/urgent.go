package refresh

import (
	"cmp"
	"slices"

	"hyperlight/engine/exposure"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// perMarket bounds the positions of a market that are looked at, the largest ones.
const perMarket = 128

// maxUrgent bounds the accounts that Urgent names.
const maxUrgent = 256

// basisPoints is a whole in the unit that distances to the forced close are measured in.
const basisPoints = 10_000

// Urgent lists the accounts of a snapshot whose largest positions are nearest to their forced close: by value over
// distance. Positions without a forced close count as if it were the whole mark price away.
func Urgent(s *exposure.Snapshot, markets []*model.Market) []model.AccountID {
	scores := map[model.AccountID]num.USD{}
	for _, m := range markets {
		if of := s.Market(m.ID); of != nil {
			largest := of.Holders(exposure.HoldersAll)
			for _, h := range largest[:min(len(largest), perMarket)] {
				score := h.Value / num.USD(distance(&h, of.Mark))
				scores[h.Account] = max(scores[h.Account], score)
			}
		}
	}
	ids := make([]model.AccountID, 0, len(scores))
	for id := range scores {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b model.AccountID) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	return ids[:min(len(ids), maxUrgent)]
}

// distance returns how far the mark is from the forced close, in basis points of it, between 1 and the whole.
func distance(h *exposure.Holder, mark num.Decimal) int64 {
	at, err := num.Rescale(mark.Mant, mark.Scale, risk.PriceScale)
	if !h.HasPrice || err != nil || at <= 0 {
		return basisPoints
	}
	closed, err := num.Rescale(h.Price.Mant, h.Price.Scale, risk.PriceScale)
	if err != nil {
		return basisPoints
	}
	var a num.Acc
	a.AddProduct(max(closed-at, at-closed), basisPoints)
	d, err := a.DivRound(at, 0, 0)
	if err != nil {
		return basisPoints
	}
	return min(max(d, 1), basisPoints)
}
