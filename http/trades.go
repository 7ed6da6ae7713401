package http

import (
	"context"
	"errors"
	"iter"
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// tradeFilter says which trades of a range are asked for.
type tradeFilter struct {
	kind        string // "all" or the venue's word
	side        string // "all", "buy" or "sell": the taker's
	account     model.AccountID
	hasAccount  bool
	minSize     num.Decimal
	minNotional num.Decimal
	whaleOnly   bool
	active      bool // any of the above narrows the range
}

// tradesQuery is what /trades/by-time was asked.
type tradesQuery struct {
	markets map[model.MarketID]*model.Market
	ids     []model.MarketID
	span    span
	filter  tradeFilter
	page    page
}

func parseTrades(c *call) (tradesQuery, error) {
	var q tradesQuery
	p := c.params()
	m := p.market("market_id")
	q.span = p.history(c.clock())
	f := newFilterHasher("trades")
	if m != nil {
		q.markets = map[model.MarketID]*model.Market{m.ID: m}
		q.ids = []model.MarketID{m.ID}
		f.addInt(int64(m.ID))
	} else if p.err == nil {
		all, err := c.markets()
		if err != nil {
			return q, err
		}
		q.markets = make(map[model.MarketID]*model.Market, len(all))
		for _, m := range all {
			q.markets[m.ID] = m
			q.ids = append(q.ids, m.ID)
		}
		f.addInt(-1)
	}
	q.filter = p.tradeFilter()
	q.page = p.page(50, 1000, "asc")
	q.page.bind(&p, q.filter.hash(f).span(q.span), &q.span)
	return q, p.err
}

func (p *params) tradeFilter() tradeFilter {
	f := tradeFilter{
		kind: p.word("type", "all", model.KindTrade.String(), model.KindLiquidation.String(),
			model.KindDeleverage.String(), model.KindSettlement.String()),
		side:      p.word("side", "all", "buy", "sell"),
		whaleOnly: p.boolean("whale_only"),
	}
	if v, given := p.get("account_index"); given {
		n, ok := parseInt(v)
		if !ok || n < 0 {
			p.fault("account_index", "account_index must be an integer that is not negative")
		}
		f.account, f.hasAccount = model.AccountID(n), true
	}
	f.minSize, _ = p.amount("min_size")
	f.minNotional, _ = p.amount("min_notional")
	f.active = f.kind != "all" || f.side != "all" || f.whaleOnly || f.hasAccount || f.minSize.Mant > 0 || f.minNotional.Mant > 0
	return f
}

func (f *tradeFilter) hash(h *filterHasher) *filterHasher {
	account := int64(-1)
	if f.hasAccount {
		account = int64(f.account)
	}
	whale := int64(0)
	if f.whaleOnly {
		whale = 1
	}
	return h.add(f.kind).add(f.side).addInt(account).add(f.minSize.String()).add(f.minNotional.String()).addInt(whale)
}

// match tells whether a trade passes.
func (f *tradeFilter) match(t *model.Trade, m *model.Market, whale bool) bool {
	if !f.active {
		return true
	}
	if f.kind != "all" && f.kind != t.Kind.String() || f.whaleOnly && !whale {
		return false
	}
	if f.side != "all" && (f.side == "buy") != t.TakerBuys() {
		return false
	}
	if f.hasAccount && t.AskAccount != f.account && t.BidAccount != f.account {
		return false
	}
	_, ss := m.ScaleAt(t.Epoch)
	return (num.Decimal{Mant: int64(t.Size), Scale: ss}).Cmp(f.minSize) >= 0 &&
		(num.Decimal{Mant: int64(t.USD), Scale: num.USDScale}).Cmp(f.minNotional) >= 0
}

func answerTrades(c *call, dst []byte, q tradesQuery) ([]byte, meta, error) {
	c.fill(model.KindTrades, q.ids, q.span)
	ctx, leave, err := c.enterHistory()
	if err != nil {
		return dst, meta{}, err
	}
	defer leave()
	sp := history.Span{From: q.span.From, To: q.span.To}
	m := meta{Paged: true, Limit: q.page.Limit, Offset: q.page.Offset}
	read := history.TradeQuery{Columns: record.Core | record.Hash, Reverse: q.page.Descending}
	if !q.filter.active {
		read.Rows = q.page.Offset + q.page.Limit + 1 // the last one tells that there are more
	}
	if q.page.Continued {
		after := q.page.After
		read.After = &history.Position{Time: model.Millis(after.Time), Market: after.Market, ID: after.ID}
	}
	dst = append(dst, `{"trades":[`...)
	if h, ok := c.history().(tradeTexts); ok && len(q.ids) == 1 && !q.filter.active {
		dst, err = c.appendTradeTexts(ctx, dst, h, &q, sp, read, &m)
	} else {
		dst, err = c.appendTrades(ctx, dst, &q, sp, read, &m)
	}
	if err != nil {
		return dst, meta{}, err
	}
	dst = append(dst, `],"coverage":`...)
	if dst, err = c.appendCoverage(ctx, dst, model.KindTrades, q.ids, sp); err != nil {
		return dst, meta{}, err
	}
	if m.Total, err = c.countTrades(ctx, q, sp); err != nil {
		return dst, meta{}, err
	}
	return append(dst, '}'), m, nil
}

// tradeTexts is a record that has trades of one market ready as text; one that is seen from a past moment has not.
type tradeTexts interface {
	TradeTexts(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery, texts history.Texts[model.Trade]) iter.Seq2[*history.TradeRun, error]
}

// tradeForm is what the text of a trade depends on beside the trade. A market is replaced when it changes, never written to.
type tradeForm struct {
	market *model.Market
	whale  num.USD
}

// appendTradeTexts writes the page of one market without a filter.
func (c *call) appendTradeTexts(ctx context.Context, dst []byte, h tradeTexts, q *tradesQuery, sp history.Span, read history.TradeQuery, m *meta) ([]byte, error) {
	id := q.ids[0]
	form := tradeForm{market: q.markets[id], whale: c.server.whaleThreshold(id)}
	texts := history.Texts[model.Trade]{Form: form, Append: func(dst []byte, t *model.Trade) []byte {
		return t.AppendJSON(dst, form.market, t.USD >= form.whale)
	}}
	skip, sent := q.page.Offset, 0
	var last position
	for run, err := range h.TradeTexts(ctx, id, sp, read, texts) {
		if err != nil {
			return dst, err
		}
		from := min(skip, run.Len())
		skip -= from
		to := min(run.Len(), from+q.page.Limit-sent)
		if from < to {
			if sent > 0 {
				dst = append(dst, ',')
			}
			dst = run.Append(dst, from, to)
			p := run.Position(to - 1)
			last = position{Time: int64(p.Time), Market: id, ID: p.ID}
			sent += to - from
		}
		if to < run.Len() {
			m.NextCursor = q.page.next(c, last)
			break
		}
	}
	return dst, nil
}

// appendTrades writes the page of any other question.
func (c *call) appendTrades(ctx context.Context, dst []byte, q *tradesQuery, sp history.Span, read history.TradeQuery, m *meta) ([]byte, error) {
	skip, sent := q.page.Offset, 0
	var last position
	for t, err := range c.trades(ctx, q.ids, sp, read) {
		if err != nil {
			return dst, err
		}
		market := q.markets[t.Market]
		whale := t.USD >= c.server.whaleThreshold(t.Market)
		if !q.filter.match(t.Trade, market, whale) {
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
		dst = t.AppendJSON(dst, market, whale)
		last = position{Time: int64(t.Time), Market: t.Market, ID: t.ID}
	}
	return dst, nil
}

// trades reads one market or merges several.
func (c *call) trades(ctx context.Context, ids []model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[history.MarketTrade, error] {
	h := c.history()
	if len(ids) != 1 {
		return h.TradesOf(ctx, ids, sp, q)
	}
	return func(yield func(history.MarketTrade, error) bool) {
		for t, err := range h.Trades(ctx, ids[0], sp, q) {
			if !yield(history.MarketTrade{Market: ids[0], Trade: t}, err) {
				return
			}
		}
	}
}

// countTrades returns how many trades of the whole range match, or unknownTotal where that would take decoding more rows
// than the limit, or longer than the deadline.
func (c *call) countTrades(ctx context.Context, q tradesQuery, sp history.Span) (int64, error) {
	var total int64
	if !q.filter.active {
		for _, id := range q.ids {
			n, exact, err := c.history().CountTrades(ctx, id, sp)
			if errors.Is(err, context.DeadlineExceeded) || err == nil && !exact {
				return unknownTotal, nil
			}
			if err != nil {
				return 0, err
			}
			total += int64(n)
		}
		return total, nil
	}
	rows := 0
	for t, err := range c.trades(ctx, q.ids, sp, history.TradeQuery{Columns: record.Core}) {
		if errors.Is(err, context.DeadlineExceeded) {
			return unknownTotal, nil
		}
		if err != nil {
			return 0, err
		}
		if rows++; rows > c.server.countLimit {
			return unknownTotal, nil
		}
		if q.filter.match(t.Trade, q.markets[t.Market], t.USD >= c.server.whaleThreshold(t.Market)) {
			total++
		}
	}
	return total, nil
}

// appendMillisOrNull writes a time; null where it is 0.
func appendMillisOrNull(dst []byte, t model.Millis) []byte {
	if t == 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, int64(t), 10)
}
