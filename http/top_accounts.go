package http

import (
	"hyperlight/engine/exposure"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// mostTopAccounts is the cap of a plan without one.
const mostTopAccounts = 1000

var errNoTop = &model.Error{Code: model.CodeForbidden, Message: "lists of top accounts are not part of the plan"}

// window is the part of a ranking that is asked for, within the plan's cap.
type window struct{ limit, offset, most int }

// ranking reads limit and offset. Both together never reach past the plan's cap.
func (p *params) ranking() window {
	most := p.c.principal.Plan.TopAccounts
	if most < 0 {
		most = mostTopAccounts
	}
	if most == 0 {
		if p.err == nil {
			p.err = errNoTop
		}
		return window{}
	}
	return window{limit: p.integer("limit", most, 1, most), offset: p.integer("offset", 0, 0, maxOffset), most: most}
}

// cut returns the rows of the window and what the answer's meta says of it.
func cutRanking[T any](w window, rows []T) ([]T, meta) {
	rows = rows[:min(len(rows), w.most)]
	m := meta{Paged: true, Total: int64(len(rows)), Limit: w.limit, Offset: w.offset}
	from := min(w.offset, len(rows))
	return rows[from:min(from+w.limit, len(rows))], m
}

// holdersQuery is what /markets/{market_id}/top-accounts was asked.
type holdersQuery struct {
	market *model.Market
	list   exposure.HolderList
	window window
}

func parseHolders(c *call) (holdersQuery, error) {
	m, err := c.pathMarket()
	if err != nil {
		return holdersQuery{}, err
	}
	p := c.params()
	q := holdersQuery{market: m, list: exposure.HoldersAll}
	switch p.word("side", "all", "long", "short") {
	case "long":
		q.list = exposure.HoldersLong
	case "short":
		q.list = exposure.HoldersShort
	}
	q.window = p.ranking()
	return q, p.err
}

func answerHolders(c *call, dst []byte, q holdersQuery) ([]byte, meta, error) {
	e, err := c.exposed(q.market)
	if err != nil {
		return dst, meta{}, err
	}
	rows, m := cutRanking(q.window, e.Holders(q.list))
	dst = append(appendMarket(dst, q.market), `,"accounts":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendHolder(dst, q.window.offset+i+1, &rows[i], e)
	}
	dst = e.AppendCoverage(append(dst, `],"coverage":`...))
	dst = appendMillisOrNull(append(dst, `,"updated_at":`...), e.At)
	return append(dst, '}'), m, nil
}

// appendRank opens a row of a ranking.
func appendRank(dst []byte, rank int, index int64, address *model.Address) []byte {
	dst = num.AppendUint(append(dst, `{"rank":`...), uint64(rank))
	dst = num.AppendUint(append(dst, `,"account_index":`...), uint64(index))
	return appendAddress(append(dst, `,"l1_address":`...), address)
}

func appendHolder(dst []byte, rank int, h *exposure.Holder, e *exposure.Market) []byte {
	dst = appendRank(dst, rank, h.Index, &h.Address)
	side := `,"side":"long","position":"`
	if h.Size < 0 {
		side = `,"side":"short","position":"`
	}
	p := model.Position{Size: h.Size, Entry: h.Entry}
	dst = num.Append(append(dst, side...), int64(max(h.Size, -h.Size)), e.Info.SizeScale)
	dst = appendComputed(append(dst, `","position_value":`...), h.Value)
	dst = num.Append(append(dst, `,"avg_entry_price":"`...), averageEntry(&p, e.Info.PriceScale, e.Info.SizeScale), e.Info.PriceScale)
	dst = append(dst, `","liquidation_price":`...)
	if h.HasPrice {
		dst = append(num.AppendTrim(append(dst, '"'), h.Price.Mant, h.Price.Scale), '"')
	} else {
		dst = append(dst, "null"...)
	}
	dst = appendMoney(append(dst, `,"unrealized_pnl":`...), h.Profit, true)
	share, known := e.Share(h.Size)
	dst = appendQuotient(append(dst, `,"share_of_open_interest":`...), share, known)
	return append(dst, '}')
}

// totalsQuery is what /exchange/top-accounts was asked.
type totalsQuery struct {
	by     exposure.Sort
	window window
}

func parseTotals(c *call) (totalsQuery, error) {
	p := c.params()
	q := totalsQuery{by: exposure.ByNotional}
	switch p.word("sort", "total_notional", "unrealized_pnl", "collateral") {
	case "unrealized_pnl":
		q.by = exposure.ByProfit
	case "collateral":
		q.by = exposure.ByCollateral
	}
	q.window = p.ranking()
	return q, p.err
}

func answerTotals(c *call, dst []byte, q totalsQuery) ([]byte, meta, error) {
	d := c.server.accounts
	if d.Exposure == nil {
		return dst, meta{}, errNoAccountsHere
	}
	s, marks := d.Exposure.Latest(), d.current(c)
	rows, m := cutRanking(q.window, s.Ranking(q.by))
	dst = append(dst, `{"accounts":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTotal(dst, q.window.offset+i+1, &rows[i], marks)
	}
	dst = num.AppendUint(append(dst, `],"tracked_accounts":`...), uint64(s.Accounts))
	dst = appendMillisOrNull(append(dst, `,"updated_at":`...), s.At)
	return append(dst, '}'), m, nil
}

func appendTotal(dst []byte, rank int, t *exposure.Total, marks *marks) []byte {
	dst = appendRank(dst, rank, t.Index, &t.Address)
	dst = appendComputed(append(dst, `,"total_notional":`...), t.Notional())
	dst = appendComputed(append(dst, `,"long_notional":`...), t.Long)
	dst = appendComputed(append(dst, `,"short_notional":`...), t.Short)
	dst = appendComputed(append(dst, `,"net_notional":`...), t.Long-t.Short)
	dst = appendMoney(append(dst, `,"unrealized_pnl":`...), t.Profit, true)
	dst = appendMoney(append(dst, `,"collateral":`...), t.Collateral, t.Polled)
	leverage, known := int64(0), false
	if t.Polled && t.Collateral > 0 {
		var n num.Acc
		n.AddProduct(int64(t.Notional()), 1)
		v, err := n.DivRound(int64(t.Collateral), 0, quotientScale)
		leverage, known = v, err == nil
	}
	dst = appendQuotient(append(dst, `,"leverage":`...), leverage, known)
	dst = num.AppendUint(append(dst, `,"position_count":`...), uint64(t.Positions))
	dst = append(dst, `,"largest_market_id":`...)
	if k := marks.of(t.Largest); k != nil && t.Positions > 0 {
		return append(appendJSONInt(dst, k.Info.Native), '}')
	}
	return append(dst, "null}"...)
}
