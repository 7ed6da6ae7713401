package http

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/engine/relay"
)

// fakeEngine serves fixed views.
type fakeEngine struct {
	markets []*model.Market
	mu      sync.Mutex
	views   map[model.MarketID]*book.View
	busy    bool
}

func (e *fakeEngine) Markets() []*model.Market { return e.markets }

func (e *fakeEngine) Market(native int64) (*model.Market, bool) {
	for _, m := range e.markets {
		if m.Native == native {
			return m, true
		}
	}
	return nil, false
}

var errUnsynced = &model.Error{Code: model.CodeUpstream, Message: "the venue has no book for this market now"}

func (e *fakeEngine) Book(_ context.Context, m *model.Market) (*book.View, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v := e.views[m.ID]; v != nil {
		return v, nil
	}
	return nil, errUnsynced
}

func (e *fakeEngine) set(m model.MarketID, v *book.View) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.views[m] = v
}

func (e *fakeEngine) Enter(context.Context) (func(), error) {
	if e.busy {
		return nil, &model.Error{Code: model.CodeServiceUnavailable, Message: "too many reads of history at once, try again"}
	}
	return func() {}, nil
}

// fakeHistory is the record as plain slices: what the real reader must agree with.
type fakeHistory struct {
	mu     sync.Mutex
	trades []history.MarketTrade // by time, market, id
	books  map[model.MarketID][]history.Snapshot
	rows   map[model.MarketID][]record.BookRow
	stats  []history.StatsRow
	held   map[model.MarketID][]history.Interval
	gaps   []history.GapRow
	err    error

	forced   []history.MarketTrade // by time, market, id; not among the trades
	fundings map[model.MarketID][]model.Funding

	snapshots []model.AccountSnapshot // by time
	building  bool                    // fills cannot all be found yet
}

func (h *fakeHistory) add(m model.MarketID, rows ...model.Trade) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range rows {
		h.trades = append(h.trades, history.MarketTrade{Market: m, Trade: &rows[i]})
	}
	slices.SortFunc(h.trades, compareTrades)
}

func compareTrades(a, b history.MarketTrade) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Market, b.Market), cmp.Compare(a.ID, b.ID))
}

func (h *fakeHistory) TradesOf(_ context.Context, ids []model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[history.MarketTrade, error] {
	h.mu.Lock()
	rows := slices.Clone(h.trades)
	h.mu.Unlock()
	if q.Reverse {
		slices.Reverse(rows)
	}
	return func(yield func(history.MarketTrade, error) bool) {
		if h.err != nil {
			yield(history.MarketTrade{}, h.err)
			return
		}
		for _, t := range rows {
			if !slices.Contains(ids, t.Market) || t.Time < sp.From || t.Time >= sp.To {
				continue
			}
			if q.After != nil {
				order := compareTrades(t, history.MarketTrade{Market: q.After.Market, Trade: &model.Trade{Time: q.After.Time, ID: q.After.ID}})
				if order == 0 || (order < 0) != q.Reverse {
					continue
				}
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return func(yield func(*model.Trade, error) bool) {
		for t, err := range h.TradesOf(ctx, []model.MarketID{m}, sp, q) {
			if !yield(t.Trade, err) {
				return
			}
		}
	}
}

func (h *fakeHistory) CountTrades(ctx context.Context, m model.MarketID, sp history.Span) (uint64, bool, error) {
	var n uint64
	for _, err := range h.Trades(ctx, m, sp, history.TradeQuery{}) {
		if err != nil {
			return 0, false, err
		}
		n++
	}
	return n, true, nil
}

func (h *fakeHistory) BookAt(_ context.Context, m model.MarketID, t model.Micros) (*book.View, error) {
	for _, s := range h.books[m] {
		if s.At.Micros() == t {
			return s.View, nil
		}
	}
	return nil, history.ErrNoData
}

func (h *fakeHistory) Books(_ context.Context, m model.MarketID, sp history.Span, every time.Duration) iter.Seq2[history.Snapshot, error] {
	return func(yield func(history.Snapshot, error) bool) {
		rows := h.books[m]
		for i, s := range rows {
			if s.At < sp.From || s.At >= sp.To {
				continue
			}
			bucket := int64(s.At) / every.Milliseconds()
			if i+1 < len(rows) && rows[i+1].At < sp.To && int64(rows[i+1].At)/every.Milliseconds() == bucket {
				continue
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) BookTimes(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, error] {
	return func(yield func(model.Millis, error) bool) {
		if h.err != nil {
			yield(0, h.err)
			return
		}
		var times []model.Millis
		for s := range h.Books(ctx, m, sp, every) {
			times = append(times, s.At)
		}
		if reverse {
			slices.Reverse(times)
		}
		for _, t := range times {
			if !yield(t, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) Updates(_ context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	return func(yield func(*record.BookRow, error) bool) {
		for i := range h.rows[m] {
			if r := &h.rows[m][i]; r.Recv >= from && r.Recv < to && !yield(r, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp history.Span, reverse bool) iter.Seq2[record.Candle, error] {
	length := model.Millis(resolution.Milliseconds())
	var candles []record.Candle
	for t := range h.Trades(ctx, m, history.Span{To: 1 << 60}, history.TradeQuery{}) {
		open := naiveBucket(t.Time, length)
		if open < sp.From || open >= sp.To {
			continue
		}
		if n := len(candles); n == 0 || candles[n-1].Time != open {
			candles = append(candles, record.Candle{Time: open, Epoch: t.Epoch, Open: t.Price, High: t.Price, Low: t.Price, FirstID: t.ID})
		}
		k := &candles[len(candles)-1]
		k.High, k.Low, k.Close, k.LastID = max(k.High, t.Price), min(k.Low, t.Price), t.Price, t.ID
		k.Volume += t.Size
		k.QuoteVolume += t.USD
		k.Trades++
	}
	if reverse {
		slices.Reverse(candles)
	}
	return func(yield func(record.Candle, error) bool) {
		for _, k := range candles {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// naiveBucket finds a bucket by the calendar instead of by arithmetic on weeks.
func naiveBucket(t, length model.Millis) model.Millis {
	at := time.UnixMilli(int64(t)).UTC()
	if length == model.Millis(7*24*time.Hour/time.Millisecond) {
		at = at.Truncate(24 * time.Hour)
		for at.Weekday() != time.Monday {
			at = at.AddDate(0, 0, -1)
		}
		return model.Millis(at.UnixMilli())
	}
	return model.Millis(at.Truncate(time.Duration(length) * time.Millisecond).UnixMilli())
}

func (h *fakeHistory) Stats(_ context.Context, _ model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error] {
	return func(yield func(*history.StatsRow, error) bool) {
		for i := range h.stats {
			if r := &h.stats[i]; r.Time >= sp.From && r.Time < sp.To && !yield(r, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) Coverage(_ context.Context, _ model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error) {
	var out []history.Interval
	for _, v := range h.held[m] {
		v.From, v.To = max(v.From, sp.From.Micros()), min(v.To, sp.To.Micros())
		if v.From < v.To {
			out = append(out, v)
		}
	}
	return out, nil
}

func (h *fakeHistory) Covered(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) (model.Millis, model.Millis, bool, bool, error) {
	held, err := h.Coverage(ctx, kind, m, sp)
	if err != nil || len(held) == 0 {
		return 0, 0, false, false, err
	}
	from, to := held[0].From.Millis(), held[len(held)-1].To.Millis()
	return from, to, len(held) == 1 && from <= sp.From && to >= sp.To, true, nil
}

func (h *fakeHistory) Gaps(_ context.Context, kinds []model.Kind, ids []model.MarketID, sp history.Span) ([]history.GapRow, error) {
	var out []history.GapRow
	for _, g := range h.gaps {
		if (kinds == nil || slices.Contains(kinds, g.Kind)) && (ids == nil || slices.Contains(ids, g.Market)) &&
			g.From < sp.To.Micros() && (g.To == 0 || g.To >= sp.From.Micros()) {
			out = append(out, g)
		}
	}
	return out, nil
}

// fakeRelay remembers what it was asked.
type fakeRelay struct {
	mu    sync.Mutex
	paths []string
}

func (r *fakeRelay) Do(_ context.Context, q *relay.Request) (*relay.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, string(q.Path))
	return &relay.Response{Status: 299, ContentType: []byte("text/plain"), Body: []byte("the venue's own")}, nil
}
