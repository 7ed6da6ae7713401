package exchange

import (
	"context"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

var (
	tradesCounted = metrics.NewCounter("hyperlight_exchange_trades_total")
	tradesRefused = metrics.NewCounter("hyperlight_exchange_trades_refused_total")
)

const (
	// loadBack is how much of the past Load counts: a window, and what a clock that is set back a little needs.
	loadBack = 25 * hourMillis
	// lookBack is how far before that the price is looked for that a change is told from.
	lookBack = 64 * 24 * hourMillis
	// coverageEvery is how often the store is asked from when on trades are held: repairs and backfill change it.
	coverageEvery = 10 * time.Second
	// settle is how long after a hole has ended the store may not tell of it yet.
	settle = model.Micros(60_000_000)
)

// Load counts what the store holds. It must be called before the first trade is told, while nobody writes: a trade is
// either in the store then, or told by AddTrade later.
func (s *Statistics) Load(ctx context.Context) error {
	now := s.now()
	from := now - now%hourMillis - loadBack
	all := history.Span{From: max(from, 0), To: now + 7*24*hourMillis} // the clock may have been set back
	for _, m := range s.o.Markets.All() {
		if err := s.load(ctx, m, all); err != nil {
			return fmt.Errorf("load the day of market %d: %w", m.ID, err)
		}
	}
	for t, err := range s.o.Record.Liquidations(ctx, all, false) {
		if err != nil {
			return fmt.Errorf("load the liquidations of a day: %w", err)
		}
		if r := s.of(t.Market); r != nil {
			r.mu.Lock()
			if b := r.hours[(t.Time/hourMillis)%ringHours]; b != nil && b.start == t.Time-t.Time%hourMillis {
				b.addForced(t.Trade)
			}
			r.mu.Unlock()
		}
	}
	return s.refresh(ctx)
}

func (s *Statistics) load(ctx context.Context, m *model.Market, sp history.Span) error {
	r, end := s.open(m.ID), ringEnd(s.now())
	r.mu.Lock()
	r.lost = sp.From
	r.mu.Unlock()
	for c, err := range s.o.Record.OwnMinutes(ctx, m.ID, sp) {
		if err != nil {
			return err
		}
		r.mu.Lock()
		if c.Time < end {
			_, err = r.addMinute(m, c.Time, &c)
		} else { // the clock was set back: it is not counted, but once its day is over it is the last one
			r.lose(c.Time)
			r.before.take(c.Time, &c)
		}
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
	older := history.Span{From: max(0, sp.From-lookBack), To: sp.From}
	for c, err := range s.o.Record.Candles(ctx, m.ID, time.Minute, older, true) {
		if err != nil {
			return err
		}
		c.Trades = max(c.Trades, 1) // one of the venue's may not tell
		r.mu.Lock()
		r.before.take(c.Time, &c)
		r.version++
		r.mu.Unlock()
		break
	}
	return nil
}

func (s *Statistics) now() model.Millis { return model.Millis(s.o.Now().UnixMilli()) }

// open returns a market's statistics, made where it has none.
func (s *Statistics) open(id model.MarketID) *rolling {
	if r := s.of(id); r != nil {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.markets[id]
	if r == nil {
		r = &rolling{}
		s.markets[id] = r
	}
	return r
}

// AddTrade counts a trade that the store did not have; it is the writer's history.WriterOptions.OnTrade.
func (s *Statistics) AddTrade(id model.MarketID, t *model.Trade) {
	m, ok := s.o.Markets.Get(id)
	if !ok || t.Time < 0 {
		return
	}
	r := s.open(id)
	if t.Time >= ringEnd(s.now()) {
		r.mu.Lock()
		r.lose(t.Time)
		r.mu.Unlock()
		tradesRefused.Inc()
		return
	}
	if err := r.add(m, t); err != nil {
		tradesRefused.Inc()
		s.log.Warn("trade not counted", "market", m.Symbol, "trade", t.ID, "error", err)
		return
	}
	tradesCounted.Inc()
}

var _ market.Listener = (*Statistics)(nil)

// OnTick does nothing.
func (s *Statistics) OnTick(model.Micros, []market.Held) {}

// OnEvent takes note of holes in the trades that nobody filled, before the store tells of them.
func (s *Statistics) OnEvent(e *model.Event, _ *book.View) {
	g, ok := e.Payload.(*model.Gap)
	if !ok || g.Kind != model.KindTrades || g.To == 0 || g.Filled {
		return
	}
	r := s.open(e.Market)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held.floor, r.held.at = max(r.held.floor, g.To), e.Recv
}

// heldSince says from when on a market's trades are held without a hole.
type heldSince struct {
	since model.Micros // as the store told; 0: not held
	floor model.Micros // the end of a hole that the store may not have told yet
	at    model.Micros // the receive time of that news
}

// Run keeps up with the coverage until ctx ends. A store that cannot be read leaves what was known.
func (s *Statistics) Run(ctx context.Context) error {
	t := time.NewTicker(coverageEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("coverage of the day not read", "error", err)
		}
	}
}

// refresh asks the store from when on the trades of each market are held.
func (s *Statistics) refresh(ctx context.Context) error {
	now := s.now()
	sp := history.Span{From: max(0, now-now%hourMillis-loadBack), To: now + hourMillis}
	for _, m := range s.o.Markets.All() {
		ivs, err := s.o.Record.Coverage(ctx, model.KindTrades, m.ID, sp)
		if err != nil {
			return fmt.Errorf("read coverage of market %d: %w", m.ID, err)
		}
		r := s.open(m.ID)
		r.mu.Lock()
		r.held.since = 0
		if n := len(ivs); n > 0 {
			r.held.since = max(ivs[n-1].From, 1)
		}
		if r.held.floor != 0 && now.Micros() > r.held.at+settle {
			r.held.floor = 0 // told by the store by now, or filled since
		}
		r.mu.Unlock()
	}
	return nil
}

// Day returns a market's last 24 hours as its stored trades tell them, and whether every trade of them is held.
func (s *Statistics) Day(m *model.Market, now model.Millis) (d *Day, whole bool, err error) {
	r := s.of(m.ID)
	if r == nil {
		return &Day{From: WindowStart(now)}, false, nil
	}
	if d, err = r.day(m, now); err != nil {
		return nil, false, err
	}
	state, ok := s.o.Markets.State(m.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	from := d.From.Micros()
	whole = ok && state.TradesHeld && r.held.since != 0 && r.held.since <= from && r.held.floor <= from && r.lost <= d.From
	return d, whole, nil
}
