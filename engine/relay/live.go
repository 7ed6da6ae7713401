package relay

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

const (
	recentMost = 100 // the most trades that recentTrades answers with
	// heightAge is how old the last block height may be that is answered; blocks come several times a second.
	heightAge = model.Micros(5_000_000)
)

// Live keeps what the stream told last: statistics and the newest trades of each market, and the block height. It is a
// market.Listener. Everything it gives away is immutable.
type Live struct {
	markets  sync.Map      // model.MarketID -> *liveMarket
	changes  atomic.Uint64 // of any statistics
	height   atomic.Uint64
	heightAt atomic.Int64
}

// liveMarket is written by its market's shard only.
type liveMarket struct {
	stats atomic.Pointer[liveStats]

	mu sync.Mutex // a leaf lock
	// rows are the newest trades, ascending by id and without a hole. Readers keep the slice: places below its length are
	// never written again.
	rows []model.Trade
	// hole is the last one that nobody could fill, on the venue's clock; a reader of the record may learn of it later.
	hole model.Gap
}

type liveStats struct {
	model.Stats
	recv model.Micros
}

// NewLive returns a listener that knows nothing yet.
func NewLive() *Live { return &Live{} }

var _ market.Listener = (*Live)(nil)

// OnTick does nothing.
func (l *Live) OnTick(model.Micros, []market.Held) {}

// OnEvent takes what an event tells.
func (l *Live) OnEvent(e *model.Event, _ *book.View) {
	switch p := e.Payload.(type) {
	case *model.Stats:
		l.market(e.Market).stats.Store(&liveStats{Stats: *p, recv: e.Recv})
		l.changes.Add(1)
	case *model.TradeBatch:
		l.market(e.Market).add(p)
	case *model.Height:
		l.height.Store(p.Height)
		l.heightAt.Store(int64(e.Recv))
	case *model.Gap:
		switch m := l.market(e.Market); {
		case p.Kind == model.KindTrades && p.To != 0 && !p.Filled:
			m.cut(p)
		case p.Kind == model.KindStats && p.To == 0:
			m.stats.Store(nil)
			l.changes.Add(1)
		}
	}
}

func (l *Live) market(id model.MarketID) *liveMarket {
	if m, ok := l.markets.Load(id); ok {
		return m.(*liveMarket)
	}
	m, _ := l.markets.LoadOrStore(id, &liveMarket{})
	return m.(*liveMarket)
}

// add takes a batch's rows. The past that comes before the first live row is left to the store, which knows from where on
// it is whole; rows that fill a gap stand behind rows that are here.
func (m *liveMarket) add(b *model.TradeBatch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := b.Rows
	past := b.History && !b.Recovered
	if past {
		if len(m.rows) == 0 {
			return
		}
		i, _ := slices.BinarySearchFunc(rows, m.rows[0].ID, func(t model.Trade, id uint64) int { return cmp.Compare(t.ID, id) })
		rows = rows[i:]
	}
	if len(rows) == 0 {
		return
	}
	if n := len(m.rows); n > 0 && rows[0].ID <= m.rows[n-1].ID {
		all := slices.Concat(m.rows, rows)
		slices.SortStableFunc(all, func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) })
		m.rows = slices.CompactFunc(all, func(a, b model.Trade) bool { return a.ID == b.ID })
		m.shorten(recentMost)
		return
	}
	if len(m.rows)+len(rows) > 2*recentMost {
		m.shorten(recentMost)
	}
	if m.rows == nil {
		m.rows = make([]model.Trade, 0, 16)
	}
	m.rows = append(m.rows, rows...)
}

// shorten keeps the newest n rows, in memory of their own.
func (m *liveMarket) shorten(n int) {
	n = min(n, len(m.rows))
	m.rows = append(make([]model.Trade, 0, 2*recentMost), m.rows[len(m.rows)-n:]...)
}

// cut drops the rows before the end of a gap that nobody could fill.
func (m *liveMarket) cut(g *model.Gap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := 0
	for i < len(m.rows) && m.rows[i].Time.Micros() < g.To {
		i++
	}
	m.rows = slices.Clone(m.rows[i:])
	m.hole = *g
}

// recent returns the newest trades that were told live, ascending by id, and the last hole before them.
func (l *Live) recent(id model.MarketID) (rows []model.Trade, hole model.Gap) {
	m := l.market(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows, m.hole
}

// Stats returns a market's last statistics and when they were received; nil where there are none or the stream has
// stopped since.
func (l *Live) Stats(id model.MarketID) (*model.Stats, model.Micros) {
	m, ok := l.markets.Load(id)
	if !ok {
		return nil, 0
	}
	s := m.(*liveMarket).stats.Load()
	if s == nil {
		return nil, 0
	}
	return &s.Stats, s.recv
}

// Height returns the block height, false where the last one is too old.
func (l *Live) Height(now time.Time) (uint64, bool) {
	h, at := l.height.Load(), model.Micros(l.heightAt.Load())
	return h, h != 0 && model.Micros(now.UnixMicro())-at <= heightAge
}
