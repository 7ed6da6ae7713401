package sim

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The logical clock moves in steps; everything periodic is a whole number of them.
const (
	stepMicros     = 10_000
	bookSteps      = 5   // book frames are batched for 50 ms, the markets spread over the steps in between
	marketSteps    = 100 // index, mark and statistics of a market: once a second
	heightSteps    = 50
	candleSteps    = 50
	minuteSteps    = 6000
	hourMicros     = int64(time.Hour / time.Microsecond)
	maxCatchUp     = time.Second // a host that stalls longer loses the time instead of bursting
	firstEpochSecs = 1_785_000_000
)

// Exchange is a simulated venue: a price-time matching engine per market, accounts with positions and collateral,
// margin calls, liquidations and hourly funding. It is deterministic: the same Options and the same number of steps
// give the same frames byte for byte. All state is guarded by the hub's mutex.
type Exchange struct {
	hub   *hub
	opts  Options
	log   *slog.Logger
	rng   *rand.Rand
	clock int64 // logical time, us
	steps int64
	began int64 // us

	markets  []*market
	byID     map[int64]*market
	weights  []float64 // cumulative share of the flow
	accounts []*account
	byIndex  map[int64]*account
	byL1     map[string][]*account
	pool     *account // the liquidity pool (LLP)
	fund     *account // the insurance fund
	treasury num.USD  // fees paid by traders
	funded   num.USD  // everything ever deposited
	paused   bool     // the wall clock does not move it
	touched  []*account

	nonce    int64
	lastID   int64     // of trades
	changes  int64     // level changes, those that a batch hides among them
	budget   float64   // level changes that clients have yet to see
	history  []tapeRow // the exchange's last trades, a ring
	histHead int
	counts   Counts
	buf      []byte
}

// Counts are totals since the start.
type Counts struct {
	Steps, Actions, LevelChanges, BookFrames, TradeFrames, Trades     int64
	Liquidations, PoolTakeovers, Deleverages, FundingRounds, Rejected int64
}

// market is one perp.
type market struct {
	listing
	slot                                     int
	minSize                                  num.Size
	initial, smallest, maintenance, closeOut int64 // 1e-4
	feeFree                                  bool  // pre-launch style: no liquidation fee
	inactive                                 bool  // listed, but without a book (recordings)
	asks, bids                               side
	askSeq, bidSeq                           int64
	holders                                  []*position
	makers                                   []*account

	index, mark, last num.Price
	flow              flow
	premium           premium
	dirty             []dirtyLevel
	noted             int64 // changes of the open batch, repeats counted
	offset            int64
	sentNonce         int64 // of the last book frame
	changedAt         int64 // us: last change of the book
	nonce             int64 // of the last change
	pendingNormal     []tapeRow
	pendingForced     []tapeRow
	recent, forced    tape
	candles           [len(resolutionList)]candleRing
	marks             markRing
	day               dayStats
	funding           fundingState
	topBid, topAsk    model.Level // as the last ticker frame showed them
	stats             statsRow
}

func (m *market) priceDecimals() uint8 { return quoteDecimals - m.sizeDecimals }

// New builds an exchange with seeded accounts, positions and books, standing still at Options.Start.
func New(o Options) *Exchange {
	o = o.withDefaults()
	x := &Exchange{hub: newHub(), opts: o, log: o.Logger, rng: rand.New(rand.NewPCG(uint64(o.Seed), 0x5ea15eed)),
		byID: make(map[int64]*market), byIndex: make(map[int64]*account), byL1: make(map[string][]*account)}
	x.clock = o.Start.UnixMicro() / stepMicros * stepMicros
	x.began = x.clock
	since := max(0, x.clock/1_000_000-firstEpochSecs)
	x.nonce = 18_000_000_000 + since*100_000
	x.lastID = 26_000_000_000 + since*2_000
	x.history = make([]tapeRow, 0, historyRows)
	for i, l := range pickListings(o.Markets) {
		m := newMarket(l, i, since)
		x.markets = append(x.markets, m)
		x.byID[l.id] = m
	}
	x.weigh()
	x.seedAccounts()
	for _, m := range x.markets {
		x.seedMarket(m)
	}
	x.seedPositions()
	for _, m := range x.markets {
		x.refreshStats(m)
	}
	x.touched = x.touched[:0]
	return x
}

func newMarket(l listing, slot int, since int64) *market {
	m := &market{listing: l, slot: slot, asks: side{is: model.Ask}, bids: side{is: model.Bid}}
	m.initial, m.smallest, m.maintenance, m.closeOut = l.margins()
	price, err1 := num.Parse([]byte(l.price), m.priceDecimals())
	size, err2 := num.Parse([]byte(l.minBase), l.sizeDecimals)
	if err1 != nil || err2 != nil {
		panic("sim: market table: " + l.symbol)
	}
	m.index, m.mark, m.last, m.minSize = num.Price(price), num.Price(price), num.Price(price), num.Size(size)
	m.askSeq, m.bidSeq = since*1000, since*1000
	m.offset = 400_000 + int64(slot)*1000
	m.flow = newFlow(m)
	return m
}

// Advance moves the logical clock up to t, step by step.
func (x *Exchange) Advance(t time.Time) {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	for until := t.UnixMicro(); x.clock+stepMicros <= until; {
		x.step()
	}
}

// AdvanceBy moves the logical clock by d.
func (x *Exchange) AdvanceBy(d time.Duration) { x.Advance(x.now().Add(d)) }

// Pause holds a served exchange still, and Resume lets it go on: the time in between is left out except for a second.
// What a client asks meanwhile, over REST or by a subscribe, gets the same answer again and again.
func (x *Exchange) Pause() { x.setPaused(true) }

// Resume ends a Pause.
func (x *Exchange) Resume() { x.setPaused(false) }

func (x *Exchange) setPaused(paused bool) {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	x.paused = paused
}

func (x *Exchange) isPaused() bool {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	return x.paused
}

// Tap shows every frame to fn, in order, from now on: updates only, not the answers to a subscribe. fn must copy what
// it keeps and must not call back. nil ends it.
func (x *Exchange) Tap(fn func(channel string, frame []byte)) {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	x.hub.tap = fn
}

// Totals returns the counters.
func (x *Exchange) Totals() Counts {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	return x.counts
}

func (x *Exchange) stream() *hub { return x.hub }

func (x *Exchange) now() time.Time {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	return time.UnixMicro(x.clock)
}

// run drives the clock by the wall clock. A delay is caught up step by step; of a longer one than maxCatchUp the rest is
// left out, so that neither a slow host nor a long preparation lets the venue's times fall behind.
func (x *Exchange) run(ctx context.Context) error {
	tick := time.NewTicker(stepMicros * time.Microsecond)
	defer tick.Stop()
	shift := x.opts.Now().Sub(x.now()) // a start that was asked for stays as far away as it was
	if abs(shift) < time.Minute {
		shift = 0
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if x.isPaused() {
			continue
		}
		target := x.opts.Now().Add(-shift)
		x.skipTo(target.Add(-maxCatchUp))
		x.Advance(target)
	}
}

// skipTo moves the clock without any flow where it is behind t; funding of a full hour on the way is settled.
func (x *Exchange) skipTo(t time.Time) {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	us := t.UnixMicro() / stepMicros * stepMicros
	if us <= x.clock {
		return
	}
	before := x.clock
	x.clock = us
	if us/hourMicros != before/hourMicros {
		x.settleFunding()
	}
}

// step runs one step of the logical clock: flow, then what falls due.
func (x *Exchange) step() {
	start := x.clock
	x.steps++
	x.counts.Steps++
	perStep := x.opts.Rate * stepMicros / 1e6
	x.budget = min(x.budget+perStep, 4*perStep+4)
	first, n := x.changes, int64(x.budget)
	for tries := 2*n + 4; x.changes-first < n && tries > 0; tries-- {
		x.clock = max(x.clock, start+(x.changes-first)*stepMicros/n)
		m := x.pick()
		x.event(m)
		x.checkTop(m)
	}
	x.budget -= float64(x.changes - first) // what a sweep took too much is missing later
	x.clock = start + stepMicros
	for _, m := range x.markets {
		due := x.steps + int64(m.slot)
		if due%marketSteps == 0 {
			x.second(m)
		}
		if due%bookSteps == 0 {
			x.flushBook(m)
		}
	}
	x.liquidateDue()
	if x.steps%heightSteps == 0 {
		x.publishHeight()
	}
	if x.steps%candleSteps == 0 {
		x.publishCandles()
	}
	if x.steps%minuteSteps == 0 {
		x.samplePremiums()
	}
	if x.clock/hourMicros != start/hourMicros {
		x.settleFunding()
	}
	x.flushAccounts()
}

// act counts an action of the matching engine; other transactions of the venue pass in between.
func (x *Exchange) act() {
	x.nonce += 1 + int64(x.rng.Uint32N(3))
	x.counts.Actions++
}

// dirtyLevel is a price whose level changed in the current batch, with the size that clients still hold.
type dirtyLevel struct {
	side  model.Side
	price num.Price
	held  num.Size
}

// note remembers a level that is about to change.
func (x *Exchange) note(m *market, s model.Side, p num.Price) {
	x.changes++
	m.noted++
	m.changedAt, m.nonce = x.clock, x.nonce
	for i := len(m.dirty) - 1; i >= 0; i-- {
		if d := &m.dirty[i]; d.price == p && d.side == s {
			return
		}
	}
	m.dirty = append(m.dirty, dirtyLevel{side: s, price: p, held: m.side(s).size(p)})
}

// height is the block height that belongs to the logical clock: two a second.
func (x *Exchange) height() int64 {
	return 301_813_997 + (x.clock/1000-firstEpochSecs*1000)/500
}
