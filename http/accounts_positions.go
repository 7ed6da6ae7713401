package http

import (
	"cmp"
	"math"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// summary is what the accounts of a batch hold in one market together.
type summary struct {
	k                         *mark
	accounts                  int
	long, short               num.Size // unsigned, at the market's current scale
	longNotional, shortNotion num.USD
	valued                    bool // every position has a value
}

func answerBatchPositions(c *call, dst []byte) ([]byte, meta, error) {
	b, o, err := c.openBatch()
	if err != nil {
		return dst, meta{}, err
	}
	defer b.close(c.server.accounts)
	b.activeOnly = o.flagOr("active_only", true)
	b.market = o.market(c)
	if o.err != nil {
		return dst, meta{}, o.err
	}
	if dst, err = b.answer(c, append(dst, `{"accounts":[`...), b.appendHoldings); err != nil {
		return dst, meta{}, err
	}
	dst = b.appendSummaries(append(dst, `],"summary":[`...))
	return append(b.appendMissing(append(dst, ']')), '}'), meta{}, nil
}

// appendHoldings appends the elements of 2.1.3 and sums them up.
func (b *batch) appendHoldings(c *call, dst []byte) ([]byte, error) {
	d, now := c.server.accounts, c.nowMillis()
	b.begin()
	b.summaries = b.summaries[:0]
	dst = slices.Grow(dst, min(len(b.list)*positionRoom, 1<<20))
	m := d.current(c)
	for ids := range slices.Chunk(b.list, lookAhead) {
		rows := b.ahead.lookRows(d, ids)
		for i, id := range ids {
			a := &rows[i]
			if a.Index < 0 {
				b.unknown = append(b.unknown, id)
				continue
			}
			if b.answered > 0 {
				dst = append(dst, ',')
			}
			b.answered++
			b.assessed.Assess(a, m.lookup)
			b.sum(a, m)
			dst = appendMoney(append(appendIdentity(dst, a), `,"collateral":`...), a.Collateral, a.Polled != 0)
			dst = appendPositions(append(dst, `,"positions":`...), a, &b.assessed, m, b.market, b.activeOnly, nil)
			stale := d.isStale(a.Polled, now)
			if stale {
				b.stale = append(b.stale, id)
			}
			dst = appendStanding(dst, a.AsOf, a.Source, stale)
		}
	}
	return dst, nil
}

// sum adds an account, which was assessed, to the sums of its markets.
func (b *batch) sum(a *model.Account, m *marks) {
	exposures := b.assessed.Exposures
	for i := range a.Positions {
		p := &a.Positions[i]
		var value num.USD
		valued := false
		if len(exposures) > 0 && exposures[0].Position == p {
			value, valued = exposures[0].Notional, true
			exposures = exposures[1:]
		}
		k := m.of(p.Market)
		if p.Size == 0 || k == nil || b.market != nil && b.market.ID != p.Market {
			continue
		}
		_, from := k.Info.ScaleAt(p.Epoch)
		size, err := num.Rescale(int64(max(p.Size, -p.Size)), from, k.Info.SizeScale)
		s := b.summary(k)
		if err != nil || size > math.MaxInt64/8-int64(s.long+s.short) || value > math.MaxInt64/8-s.longNotional-s.shortNotion {
			s.valued = false
			continue
		}
		s.accounts++
		s.valued = s.valued && valued
		if p.Size > 0 {
			s.long += num.Size(size)
			s.longNotional += value
		} else {
			s.short += num.Size(size)
			s.shortNotion += value
		}
	}
}

// summary returns the sums of a market, in the order of the markets' ids.
func (b *batch) summary(k *mark) *summary {
	i, ok := slices.BinarySearchFunc(b.summaries, k.Info.ID, func(s summary, id model.MarketID) int { return cmp.Compare(s.k.Info.ID, id) })
	if !ok {
		b.summaries = slices.Insert(b.summaries, i, summary{k: k, valued: true})
	}
	return &b.summaries[i]
}

func (b *batch) appendSummaries(dst []byte) []byte {
	for i := range b.summaries {
		if i > 0 {
			dst = append(dst, ',')
		}
		s := &b.summaries[i]
		scale := s.k.Info.SizeScale
		dst = appendMarket(dst, s.k.Info)
		dst = num.AppendUint(append(dst, `,"accounts":`...), uint64(s.accounts))
		dst = num.Append(append(dst, `,"long_size":"`...), int64(s.long), scale)
		dst = num.Append(append(dst, `","short_size":"`...), int64(s.short), scale)
		dst = num.Append(append(dst, `","net_size":"`...), int64(s.long-s.short), scale)
		dst = append(dst, '"')
		for _, v := range [...]struct {
			name  string
			value num.USD
		}{
			{`,"long_notional":`, s.longNotional},
			{`,"short_notional":`, s.shortNotion},
			{`,"gross_notional":`, s.longNotional + s.shortNotion},
			{`,"net_notional":`, s.longNotional - s.shortNotion},
		} {
			dst = append(dst, v.name...)
			if s.valued {
				dst = appendComputed(dst, v.value)
			} else {
				dst = append(dst, "null"...)
			}
		}
		dst = append(dst, '}')
	}
	return dst
}

// positionsQuery is what /accounts/{id}/positions was asked beside the account.
type positionsQuery struct {
	market     *model.Market // nil: all
	activeOnly bool
}

func parsePositions(c *call) (positionsQuery, error) {
	p := c.params()
	q := positionsQuery{market: p.market("market_id"), activeOnly: true}
	if _, given := p.get("active_only"); given {
		q.activeOnly = p.boolean("active_only")
	}
	return q, p.err
}

func answerPositions(c *call, dst []byte, q positionsQuery) ([]byte, meta, error) {
	d := c.server.accounts
	var b batch
	a := &b.row
	if err := c.account(a); err != nil {
		return dst, meta{}, err
	}
	m := d.current(c)
	b.assessed.Assess(a, m.lookup)
	known := a.Polled != 0
	dst = appendMoney(append(appendIdentity(dst, a), `,"collateral":`...), a.Collateral, known)
	dst = appendMoney(append(dst, `,"available_balance":`...), a.Available, known)
	dst = appendMoney(append(dst, `,"total_asset_value":`...), a.TotalValue, known)
	dst = appendPositions(append(dst, `,"positions":`...), a, &b.assessed, m, q.market, q.activeOnly, nil)
	return appendStanding(dst, a.AsOf, a.Source, d.isStale(a.Polled, c.nowMillis())), meta{}, nil
}
