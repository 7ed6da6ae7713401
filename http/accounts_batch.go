package http

import (
	"context"
	"slices"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// Parts of an account's element.
const (
	includePositions = 1 << iota
	includeOrders
	includeFills
)

// batch is a call about many accounts with the memory that it needs. It is pooled.
type batch struct {
	wanted
	include    uint8
	fills      int // per account
	activeOnly bool
	market     *model.Market

	row       model.Account
	assessed  risk.Assessment
	parts     markedParts
	list      []model.AccountID // the accounts of the answer, those of addresses too
	unknown   []model.AccountID // of list: not known when they were looked up
	stale     []model.AccountID
	missing   []model.AccountID      // their fills are not in memory
	read      []history.AccountFills // of list, where no fills are kept in memory
	notFound  []model.AccountID
	nobody    []model.Address // addresses without an account
	unreached []model.Address // addresses of which nobody could say
	failed    map[model.AccountID]*model.Error
	failures  []model.AccountID
	answered  int
	summaries []summary
}

var (
	errInclude  = model.BadRequest("include", "include must be a list of positions, orders and fills, with at least one of them")
	errNoRoom   = &model.Error{Code: model.CodeServiceUnavailable, Message: "the fills of so many accounts do not fit into memory now, ask for fewer"}
	errAllFails = &model.Error{Code: model.CodeUpstream, Message: "none of the accounts could be refreshed in time, try again"}
)

// openBatch reads what all batch calls have: the accounts, within the plan's limit. The batch must be closed.
func (c *call) openBatch() (*batch, object, error) {
	d := c.server.accounts
	if d.Accounts == nil {
		return nil, object{}, errNoAccountsHere
	}
	b := d.batches.Get().(*batch)
	o := c.batch(&b.wanted, c.principal.Plan.BatchAccounts)
	return b, o, nil
}

func (b *batch) close(d *accountDesk) {
	b.market, b.failed, b.read = nil, nil, nil
	d.batches.Put(b)
}

func answerBatch(c *call, dst []byte) ([]byte, meta, error) {
	b, o, err := c.openBatch()
	if err != nil {
		return dst, meta{}, err
	}
	defer b.close(c.server.accounts)
	b.activeOnly = o.flagOr("active_only", true)
	b.fills = o.integer("fills_limit", 20, 1, 100)
	b.include = o.parts()
	if o.err != nil {
		return dst, meta{}, o.err
	}
	if dst, err = b.answer(c, append(dst, `{"accounts":[`...), b.appendElements); err != nil {
		return dst, meta{}, err
	}
	return append(b.appendMissing(append(dst, ']')), '}'), meta{}, nil
}

// parts reads include.
func (o *object) parts() uint8 {
	names, given := o.texts("include")
	if !given {
		return includePositions | includeOrders | includeFills
	}
	var parts uint8
	for _, name := range names {
		switch name {
		case "positions":
			parts |= includePositions
		case "orders":
			parts |= includeOrders
		case "fills":
			parts |= includeFills
		default:
			parts = 0
		}
		if parts == 0 {
			break
		}
	}
	if parts == 0 && o.err == nil {
		o.err = errInclude
	}
	return parts
}

// flagOr reads a boolean that has a default.
func (o *object) flagOr(name string, byDefault bool) bool {
	if v, given := o.flag(name); given {
		return v
	}
	return byDefault
}

// answer appends the elements of all accounts. Where some were not known it has them looked up and begins again: that
// most accounts of most calls are known saves the common call a pass.
func (b *batch) answer(c *call, dst []byte, elements func(*call, []byte) ([]byte, error)) ([]byte, error) {
	d := c.server.accounts
	b.resolve(c)
	from := len(dst)
	dst, err := elements(c, dst)
	if err != nil {
		return dst, err
	}
	if len(b.unknown) > 0 && d.Refresh != nil {
		b.failed = d.refresh(c, slices.Concat(b.unknown, b.stale), nil)
		if dst, err = elements(c, dst[:from]); err != nil {
			return dst, err
		}
	} else {
		d.refresh(c, b.stale, nil)
	}
	for _, id := range b.unknown {
		if b.failed[id] != nil {
			b.failures = append(b.failures, id)
		} else {
			b.notFound = append(b.notFound, id)
		}
	}
	if b.answered == 0 && b.allFailed() {
		return dst, errAllFails
	}
	return dst, nil
}

// allFailed tells whether the venue could be asked about nothing that is not known.
func (b *batch) allFailed() bool {
	return len(b.failures)+len(b.unreached) > 0 && len(b.notFound)+len(b.nobody) == 0
}

// resolve makes the list of accounts: those asked for, or all that the addresses own.
func (b *batch) resolve(c *call) {
	b.list, b.nobody, b.unreached, b.notFound, b.failures, b.failed = b.list[:0], b.nobody[:0], b.unreached[:0], b.notFound[:0], b.failures[:0], nil
	if !b.byAddress {
		b.list = append(b.list, b.ids...)
		return
	}
	d := c.server.accounts
	d.refresh(c, nil, b.addresses)
	for _, a := range b.addresses {
		owned := d.Accounts.Owned(a)
		switch {
		case len(owned) > 0:
			b.list = append(b.list, owned...)
		case d.unreached(a):
			b.unreached = append(b.unreached, a)
		default:
			b.nobody = append(b.nobody, a)
		}
	}
}

// begin forgets what an earlier pass over the list found.
func (b *batch) begin() {
	b.unknown, b.stale, b.answered = b.unknown[:0], b.stale[:0], 0
}

// appendElements appends the elements of 2.1.1.
func (b *batch) appendElements(c *call, dst []byte) ([]byte, error) {
	d, now := c.server.accounts, c.nowMillis()
	b.begin()
	if b.include&includeFills != 0 {
		if err := b.loadFills(c); err != nil {
			return dst, err
		}
	}
	dst = slices.Grow(dst, min(len(b.list)*(rowRoom+positionRoom), 1<<20))
	m := d.current(c)
	orders := b.include&includeOrders != 0
	for i, id := range b.list {
		next := dst
		if b.answered > 0 {
			next = append(next, ',')
		}
		next, stood, ok := b.appendRow(d, next, id, m)
		if !ok {
			b.unknown = append(b.unknown, id)
			continue
		}
		b.answered++
		dst = next
		if orders {
			dst = c.appendOrders(append(dst, `,"orders":[`...), id, m)
			dst = append(dst, ']')
		}
		if b.include&includeFills != 0 {
			var err error
			if dst, err = b.appendRecent(c, append(dst, `,"fills":[`...), i, m); err != nil {
				return dst, err
			}
			dst = append(dst, ']')
		}
		stale := d.isStale(stood.polled, now)
		if stale {
			b.stale = append(b.stale, id)
		}
		dst = appendStanding(dst, stood.updated, stood.source, stale)
	}
	return dst, nil
}

// appendRow appends an account's object up to the end of its positions: a ready body where one stands, else from the row.
func (b *batch) appendRow(d *accountDesk, dst []byte, id model.AccountID, m *marks) ([]byte, readyStanding, bool) {
	k := readyKeyOf(id, b.activeOnly)
	version := d.Accounts.Version(id) // before the row: what changes in between makes the body fall
	headOnly := b.include&includePositions == 0
	dst, stood, found, keep := d.ready.append(dst, k, version, m, headOnly, &b.assessed)
	if found {
		return dst, stood, true
	}
	if !d.Accounts.Get(id, &b.row) {
		return dst, stood, false
	}
	a := &b.row
	stood = readyStanding{updated: a.AsOf, polled: a.Polled, source: a.Source}
	from := len(dst)
	dst = appendAccountHead(dst, a)
	head := len(dst) - from
	if headOnly {
		return dst, stood, true
	}
	b.assessed.Assess(a, m.lookup)
	dst = append(dst, `,"positions":`...)
	if !keep {
		return appendPositions(dst, a, &b.assessed, m, nil, b.activeOnly, nil), stood, true
	}
	b.parts.list = b.parts.list[:0]
	dst = appendPositions(dst, a, &b.assessed, m, nil, b.activeOnly, &b.parts)
	d.ready.put(k, version, m.number, dst, from, head, stood, a, b.parts.list)
	return dst, stood, true
}

// appendOrders appends an account's resting orders, to those who may see whose an order is.
func (c *call) appendOrders(dst []byte, id model.AccountID, m *marks) []byte {
	d := c.server.accounts
	if d.Orders == nil || !c.attribution() {
		return dst
	}
	first := true
	orders := d.Orders.Orders(id)
	for i := range orders {
		o := &orders[i]
		k := m.of(o.Market)
		if k == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		ps, ss := k.Info.ScaleAt(o.Epoch)
		value, err := num.MulUSD(o.Price, ps, o.Size, ss)
		dst = o.AppendJSON(dst, k.Info, err != nil || value >= c.server.whaleThreshold(o.Market))
	}
	return dst
}

// appendMissing appends not_found and errors.
func (b *batch) appendMissing(dst []byte) []byte {
	dst = b.appendNotFound(dst)
	dst = append(dst, `,"errors":[`...)
	for i, id := range b.failures {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = num.AppendUint(append(dst, `{"account":`...), uint64(id))
		dst = appendFailure(dst, publicError(b.failed[id]))
	}
	for i := range b.unreached {
		if i+len(b.failures) > 0 {
			dst = append(dst, ',')
		}
		dst = appendAddress(append(dst, `{"account":`...), &b.unreached[i])
		dst = appendFailure(dst, errNotReached)
	}
	return append(dst, ']')
}

// appendFailure ends the row of an account that the venue could not be asked about.
func appendFailure(dst []byte, e *model.Error) []byte {
	dst = append(append(dst, `,"code":"`...), e.Code...)
	return append(model.AppendString(append(dst, `","message":`...), e.Message), '}')
}

// appendNotFound appends the accounts that the venue does not know: indices, or addresses in lower case.
func (b *batch) appendNotFound(dst []byte) []byte {
	dst = append(dst, `,"not_found":[`...)
	for i, id := range b.notFound {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = num.AppendUint(dst, uint64(id))
	}
	for i := range b.nobody {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendAddress(dst, &b.nobody[i])
	}
	return append(dst, ']')
}

// within runs a read of the record behind its gate.
func (c *call) within(read func(ctx context.Context) error) error {
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return err
	}
	defer leave()
	return read(ctx)
}

// spanOf is a range as the record takes it.
func spanOf(s span) history.Span { return history.Span{From: s.From, To: s.To} }
