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
	ahead     ahead
	assessed  risk.Assessment
	marked    markedParts
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
	b.ahead.forget()
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
	if len(b.list) >= largeBatch {
		dst = roomy(dst)
	}
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
	parts := b.parts(c)
	for from := 0; from < len(b.list); from += lookAhead {
		ids := b.list[from:min(from+lookAhead, len(b.list))]
		b.look(d, ids, m, &parts)
		for i, id := range ids {
			next := dst
			if b.answered > 0 {
				next = append(next, ',')
			}
			next, stood, whole, ok := b.appendKnown(d, next, i, id, m, &parts)
			if !ok {
				b.unknown = append(b.unknown, id)
				continue
			}
			b.answered++
			dst = next
			if b.include&includeFills != 0 {
				var err error
				if dst, err = b.appendRecent(c, append(dst, `,"fills":[`...), from+i, m); err != nil {
					return dst, err
				}
				dst = append(dst, ']')
			}
			if !whole {
				dst = appendStood(dst, &stood)
			}
			stale := d.isStale(stood.polled, now)
			if stale {
				b.stale = append(b.stale, id)
			}
			dst = appendStale(dst, stale)
		}
	}
	return dst, nil
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
