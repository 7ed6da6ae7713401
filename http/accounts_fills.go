package http

import (
	"bytes"
	"context"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// fillsFilter narrows fills, which are trades seen from one of their accounts.
type fillsFilter struct {
	market           *model.Market // nil: all
	kind, side, role string
}

// kindWords are what type takes beside "all".
var kindWords = []string{"all", model.KindTrade.String(), model.KindLiquidation.String(), model.KindDeleverage.String(), model.KindSettlement.String()}

func (f *fillsFilter) query(descending bool) history.FillQuery {
	q := history.FillQuery{Reverse: descending}
	if f.market != nil {
		q.Market = &f.market.ID
	}
	if f.kind != "all" {
		q.Kinds = history.Kinds(model.ParseTradeKind(f.kind))
	}
	switch f.side {
	case "buy":
		q.Side = history.FillBuys
	case "sell":
		q.Side = history.FillSells
	}
	switch f.role {
	case "maker":
		q.Role = history.FillMaker
	case "taker":
		q.Role = history.FillTaker
	}
	return q
}

// rangeQuery is what a batch call about a range of the record asks beside its accounts.
type rangeQuery struct {
	filter     fillsFilter
	span       span
	limit      int // per account
	descending bool
}

// ranged reads the members that both batch calls about the record have.
func (o *object) ranged(c *call) rangeQuery {
	q := rangeQuery{span: o.span(c), limit: o.integer("limit", 50, 1, 500), descending: o.word("order", "desc", "asc") == "desc"}
	q.filter.market = o.market(c)
	return q
}

// span reads start and end as params.history does.
func (o *object) span(c *call) span {
	var s span
	p := params{c: c}
	s.From, s.GivenFrom = o.moment("start")
	s.To, s.GivenTo = o.moment("end")
	s.GivenFrom, s.GivenTo = s.GivenFrom && s.From > 0, s.GivenTo && s.To > 0
	s = p.bounded(p.completed(s, c.clock()))
	if o.err == nil {
		o.err = p.err
	}
	return s
}

func answerBatchFills(c *call, dst []byte) ([]byte, meta, error) {
	b, o, err := c.openBatch()
	if err != nil {
		return dst, meta{}, err
	}
	defer b.close(c.server.accounts)
	q := o.ranged(c)
	q.filter.kind, q.filter.side, q.filter.role = o.word("type", kindWords...), o.word("side", "all", "buy", "sell"), o.word("role", "all", "maker", "taker")
	if o.err != nil {
		return dst, meta{}, o.err
	}
	return b.answerRange(c, dst, q, `,"fills":[`, func(dst []byte, _ model.AccountID, rows []model.Fill, m *marks) []byte {
		return appendFills(dst, rows, m)
	})
}

func answerBatchLiquidations(c *call, dst []byte) ([]byte, meta, error) {
	b, o, err := c.openBatch()
	if err != nil {
		return dst, meta{}, err
	}
	defer b.close(c.server.accounts)
	q := o.ranged(c)
	q.filter.kind = o.word("type", "all", model.KindLiquidation.String(), model.KindDeleverage.String())
	if o.err != nil {
		return dst, meta{}, o.err
	}
	q.filter.role = "taker" // the closed account is the taker
	return b.answerRange(c, dst, q, `,"liquidations":[`, appendForced)
}

func appendForced(dst []byte, id model.AccountID, rows []model.Fill, m *marks) []byte {
	first := true
	for i := range rows {
		k := m.of(rows[i].Market)
		if k == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = rows[i].AppendLiquidation(dst, id, k.Info)
	}
	return dst
}

// answerRange answers a batch call about a range of the record: one element per known account with its rows and how many
// there are.
func (b *batch) answerRange(c *call, dst []byte, q rangeQuery, name string,
	rows func(dst []byte, id model.AccountID, rows []model.Fill, m *marks) []byte) ([]byte, meta, error) {
	d := c.server.accounts
	if d.History == nil {
		return dst, meta{}, errNoAccountsHere
	}
	b.resolve(c)
	known := b.known(c)
	if len(known) == 0 && b.allFailed() {
		return dst, meta{}, errAllFails
	}
	_, ids, err := c.marketsOf(q.filter.market)
	if err != nil {
		return dst, meta{}, err
	}
	if q.filter.market != nil {
		c.fill(model.KindTrades, ids, q.span)
	}
	read := q.filter.query(q.descending)
	if name != `,"fills":[` && q.filter.kind == "all" {
		read.Kinds = history.ForcedKinds
	}
	err = c.within(func(ctx context.Context) error {
		found, err := d.History.FillsOf(ctx, known, spanOf(q.span), read, q.limit)
		if err != nil {
			return err
		}
		m := d.current(c)
		dst = append(dst, `{"accounts":[`...)
		for i := range found {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = num.AppendUint(append(dst, `{"account_index":`...), indexOf(found[i].Account))
			dst = rows(append(dst, name...), found[i].Account, found[i].Fills, m)
			dst = num.AppendUint(append(dst, `],"total":`...), found[i].Total)
			dst = append(dst, '}')
		}
		dst = b.appendMissing(append(dst, ']'))
		dst, err = c.appendFillsCoverage(ctx, append(dst, `,"coverage":`...), ids, q.span)
		return err
	})
	return append(dst, '}'), meta{}, err
}

// known returns the accounts of the list that are known, having the others looked up, and sorts the rest into those that
// the venue does not know and those that it could not be asked about.
func (b *batch) known(c *call) []model.AccountID {
	d := c.server.accounts
	b.begin()
	for _, id := range b.list {
		if !d.Accounts.Get(id, &b.row) {
			b.unknown = append(b.unknown, id)
		}
	}
	if len(b.unknown) == 0 {
		return b.list
	}
	b.failed = d.refresh(c, b.unknown, nil)
	known := b.list[:0]
	for _, id := range b.list {
		switch {
		case d.Accounts.Get(id, &b.row):
			known = append(known, id)
		case b.failed[id] != nil:
			b.failures = append(b.failures, id)
		default:
			b.notFound = append(b.notFound, id)
		}
	}
	return known
}

// indexOf returns the venue's own index of an account.
func indexOf(id model.AccountID) uint64 { return uint64(id) & maxIndex }

// appendFillsCoverage writes how much of a range is held of trades; not complete while the fills in it cannot all be found.
func (c *call) appendFillsCoverage(ctx context.Context, dst []byte, ids []model.MarketID, s span) ([]byte, error) {
	dst, err := c.appendCoverage(ctx, dst, model.KindTrades, ids, spanOf(s))
	if err != nil {
		return dst, err
	}
	whole, err := c.server.accounts.History.FillsWhole(spanOf(s))
	if err != nil || whole {
		return dst, err
	}
	if cut, ok := bytes.CutSuffix(dst, []byte("true}")); ok {
		dst = append(cut, "false}"...)
	}
	return dst, nil
}

// fillsQuery is what /accounts/{id}/fills was asked.
type fillsQuery struct {
	account model.AccountID
	filter  fillsFilter
	span    span
	page    page
}

func parseFills(c *call) (fillsQuery, error) {
	var q fillsQuery
	p := c.params()
	q.filter = fillsFilter{market: p.market("market_id"), kind: p.word("type", kindWords...),
		side: p.word("side", "all", "buy", "sell"), role: p.word("role", "all", "maker", "taker")}
	q.span = p.history(c.clock())
	q.page = p.page(50, 1000, "desc")
	if p.err != nil {
		return q, p.err
	}
	var err error
	if q.account, err = c.knownAccount(); err != nil {
		return q, err
	}
	market := int64(-1)
	if q.filter.market != nil {
		market = int64(q.filter.market.ID)
	}
	f := newFilterHasher("fills").addInt(int64(q.account)).addInt(market).add(q.filter.kind).add(q.filter.side).add(q.filter.role)
	q.page.bind(&p, f.span(q.span), &q.span)
	return q, p.err
}

// knownAccount returns the index of the account that the path names; it waits for the venue only where it was never seen.
func (c *call) knownAccount() (model.AccountID, error) {
	id, err := c.pathAccount()
	if err != nil {
		return 0, err
	}
	d := c.server.accounts
	var row model.Account
	if d.Accounts.Get(id, &row) {
		return id, nil
	}
	failed := d.refresh(c, []model.AccountID{id}, nil)
	switch {
	case d.Accounts.Get(id, &row):
		return id, nil
	case failed[id] != nil:
		return 0, failed[id]
	}
	return 0, errNoAccount
}

// fillPosition is a fill's place in its series. A trade of an account with itself is two fills: the role is in the id.
func fillPosition(f *model.Fill) position {
	id := f.ID << 1
	if f.Maker {
		id |= 1
	}
	return position{Time: int64(f.Time), Market: f.Market, ID: id}
}

func answerFills(c *call, dst []byte, q fillsQuery) ([]byte, meta, error) {
	d := c.server.accounts
	if d.History == nil {
		return dst, meta{}, errNoAccountsHere
	}
	_, ids, err := c.marketsOf(q.filter.market)
	if err != nil {
		return dst, meta{}, err
	}
	if q.filter.market != nil {
		c.fill(model.KindTrades, ids, q.span)
	}
	m := meta{Paged: true, Limit: q.page.Limit, Offset: q.page.Offset}
	read := q.filter.query(q.page.Descending)
	read.Rows = q.page.Offset + q.page.Limit + 1 // the last one tells that there are more
	if after := q.page.After; q.page.Continued {
		read.After = &history.FillPosition{Position: history.Position{Time: model.Millis(after.Time), Market: after.Market, ID: after.ID >> 1},
			Maker: after.ID&1 == 1}
	}
	marks := d.current(c)
	err = c.within(func(ctx context.Context) error {
		dst = num.AppendUint(append(dst, `{"account_index":`...), indexOf(q.account))
		dst = append(dst, `,"fills":[`...)
		skip, sent := q.page.Offset, 0
		var last position
		for f, err := range d.History.Fills(ctx, q.account, spanOf(q.span), read) {
			if err != nil {
				return err
			}
			k := marks.of(f.Market)
			if k == nil {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if sent == q.page.Limit {
				m.NextCursor = q.page.next(c, last)
				break
			}
			if sent > 0 {
				dst = append(dst, ',')
			}
			sent++
			dst = f.AppendFill(dst, k.Info)
			last = fillPosition(f)
		}
		n, exact, err := d.History.CountFills(ctx, q.account, spanOf(q.span), read, uint64(c.server.countLimit))
		if err != nil {
			return err
		}
		if m.Total = int64(n); !exact {
			m.Total = unknownTotal
		}
		dst, err = c.appendFillsCoverage(ctx, append(dst, `],"coverage":`...), ids, q.span)
		return err
	})
	return append(dst, '}'), m, err
}
