// Package backfill fetches what the venue still serves of ranges that the record does not hold: what a client asked for
// first, then the newest hole backwards, down to the configured depth. It owns the plan, the walks through the venue's pages
// and the memory of how far the venue reaches. The coverage of the record is its only state of what is done, so a restart
// goes on where the last page was stored. It must not follow the live record or close its open gaps, and it never spends
// more of the venue's budget than its share.
package backfill

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Venue is what backfill asks of a venue; *lighter.REST is one. Calls take their turn in the venue's budget.
type Venue interface {
	// Trades returns a page of past trades, ascending by id: the newest for an empty cursor, else those before the page that
	// gave it. next is empty where there is nothing older.
	Trades(ctx context.Context, m *model.Market, cursor string, p feed.Priority) (page model.TradeBatch, next string, err error)
	// Candles returns the candles that open in [from, to), at most 500, oldest first.
	Candles(ctx context.Context, m *model.Market, resolution time.Duration, from, to model.Millis, p feed.Priority) ([]model.Candle, error)
	// FundingRows returns the settled rows of [from, to), at most 100 hours, oldest first.
	FundingRows(ctx context.Context, m *model.Market, from, to model.Millis, p feed.Priority) ([]model.Funding, error)
}

// Writer stores what was fetched; *history.Writer is one.
type Writer interface {
	AddTrades(ctx context.Context, m model.MarketID, rows []*model.Trade, held history.Span) error
	AddCandlesOf(ctx context.Context, m model.MarketID, resolution time.Duration, rows []model.Candle, held history.Span) error
	AddFundings(ctx context.Context, m model.MarketID, rows []model.Funding, held history.Span) error
}

// Depths says how far back each record is fetched without being asked for; 0 fetches nothing by itself.
type Depths struct{ Trades, Candles, Funding time.Duration }

// Options configures a Service. Store, Reader, Writer, Venue and Markets are required.
type Options struct {
	Store   *kv.Store // for the memory alone
	Reader  *history.Reader
	Writer  Writer
	Venue   Venue
	Markets func() []*model.Market // those that are followed, active or not
	Depths  Depths
	// PerMinute is the venue's budget. By itself the service spends a third of it at most, asked for half of it.
	PerMinute int
	Now       func() time.Time // nil: the wall clock; it must agree with the runtime's timers
	Logger    *slog.Logger     // nil: discard
}

const (
	// askBudget is how long a call that asks for a range waits.
	askBudget = 5 * time.Second
	// maxAsked bounds the ranges that are asked for and not filled yet; more are refused, and coverage tells.
	maxAsked = 256
	// askWorkers is how many of them are fetched at once.
	askWorkers = 8
)

// Service fills holes. New makes it; Fill works while Run runs.
type Service struct {
	o     Options
	log   *slog.Logger
	asked chan *job
	own   *pace // of what nobody asked for
	pulls *pace // of what was asked for

	mu     sync.Mutex
	jobs   map[jobKey]*job          // asked for and not done
	busy   map[recordKey]*sync.Cond // records that a walk is in
	wanted map[recordKey]int        // jobs that wait for a record: a walk of our own steps aside
	memory map[recordKey]*memory
	tried  map[recordKey]tried

	running  atomic.Bool
	progress atomic.Pointer[[]Progress]
}

// recordKey names a record: one kind of one market.
type recordKey struct {
	kind   model.Kind
	market model.MarketID
}

type jobKey struct {
	recordKey
	hole history.Span
}

// job is a range that somebody asked for; equal ones in flight are one.
type job struct {
	jobKey
	m    *model.Market
	ends time.Time
	done chan struct{}
}

// New returns a service that remembers what earlier ones learned of the venue.
func New(o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		o: o, log: o.Logger.With("component", "backfill"), asked: make(chan *job, maxAsked),
		own: newPace(max(o.PerMinute/3, heaviest), o.Now), pulls: newPace(max(o.PerMinute/2, heaviest), o.Now),
		jobs: map[jobKey]*job{}, busy: map[recordKey]*sync.Cond{}, wanted: map[recordKey]int{}, tried: map[recordKey]tried{},
	}
	var err error
	s.memory, err = loadMemory(o.Store)
	return s, err
}

// Run fills holes until ctx ends. A venue that fails and a store that is full are waited for; no error of theirs ends it.
func (s *Service) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("run backfill: it runs already")
	}
	remove := s.gauges()
	defer remove()
	var group sync.WaitGroup
	for range askWorkers {
		group.Go(func() { s.work(ctx) })
	}
	group.Go(func() { s.fillOwn(ctx) })
	<-ctx.Done()
	s.running.Store(false)
	group.Wait()
	s.abandon()
	return nil
}

// abandon lets go whoever asked for what is not fetched any more.
func (s *Service) abandon() {
	for {
		select {
		case j := <-s.asked:
			s.finish(j)
		default:
			return
		}
	}
}

// Fill asks for a range. It returns at once where all that can be had of it is held, else when it is filled, when it turns
// out that it cannot be, or after five seconds; what was stored by then stays. Coverage tells how it went. It may be called
// from any goroutine.
func (s *Service) Fill(ctx context.Context, kind model.Kind, markets []model.MarketID, sp history.Span) {
	if !s.running.Load() || len(markets) == 0 {
		return
	}
	ends := s.o.Now().Add(askBudget)
	var waits []*job
	for _, m := range s.o.Markets() {
		if !has(markets, m.ID) {
			continue
		}
		holes, err := s.missing(ctx, kind, m, sp)
		if err != nil {
			s.log.Warn("coverage cannot be read", "market", m.Symbol, "error", err)
			return
		}
		if len(holes) == 0 {
			continue
		}
		// All holes of the range are one job: pages of trades come newest first anyway.
		hole := history.Span{From: holes[0].From, To: holes[len(holes)-1].To}
		if len(holes) == 1 && s.rests(recordKey{kind, m.ID}, hole) {
			continue
		}
		if j := s.ask(recordKey{kind, m.ID}, m, hole, ends); j != nil {
			waits = append(waits, j)
		}
	}
	if len(waits) == 0 {
		return
	}
	timer := time.NewTimer(askBudget)
	defer timer.Stop()
	for _, j := range waits {
		select {
		case <-j.done:
		case <-timer.C:
			expired.Inc()
			return
		case <-ctx.Done():
			return
		}
	}
}

func has(ids []model.MarketID, id model.MarketID) bool {
	for _, v := range ids {
		if v == id {
			return true
		}
	}
	return false
}

// ask queues a job or joins an equal one; nil where too many wait.
func (s *Service) ask(at recordKey, m *model.Market, hole history.Span, ends time.Time) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := jobKey{at, hole}
	if j := s.jobs[k]; j != nil {
		joined.Inc()
		return j
	}
	j := &job{jobKey: k, m: m, ends: ends, done: make(chan struct{})}
	select {
	case s.asked <- j:
	default:
		refusedJobs.Inc()
		return nil
	}
	requests.Inc()
	s.jobs[k] = j
	s.wanted[at]++
	return j
}

func (s *Service) finish(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, j.jobKey)
	if s.wanted[j.recordKey]--; s.wanted[j.recordKey] == 0 {
		delete(s.wanted, j.recordKey)
	}
	close(j.done)
}

// work fetches what was asked for.
func (s *Service) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-s.asked:
			s.serve(ctx, j)
			s.finish(j)
		}
	}
}

func (s *Service) serve(ctx context.Context, j *job) {
	left := j.ends.Sub(s.o.Now())
	if left <= 0 {
		return // nobody waits any more
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if !s.enter(ctx, j.recordKey) {
		return
	}
	defer s.leave(j.recordKey)
	// Another job may have filled some of it meanwhile.
	holes, err := s.missing(ctx, j.kind, j.m, j.hole)
	for i := len(holes) - 1; err == nil && i >= 0; i-- {
		err = s.fill(ctx, walk{m: j.m, kind: j.kind, hole: holes[i], priority: feed.Refresh, pace: s.pulls})
	}
	if err != nil && ctx.Err() == nil {
		failures.Inc()
		s.log.Warn("a range that was asked for cannot be fetched", "market", j.m.Symbol, "kind", j.kind, "error", err)
	}
}

// enter waits until no other walk is in a record; false where ctx ended first.
func (s *Service) enter(ctx context.Context, at recordKey) bool {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c := s.busy[at]; c != nil {
			c.Broadcast()
		}
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy[at] != nil && ctx.Err() == nil {
		s.busy[at].Wait()
	}
	if ctx.Err() != nil {
		return false
	}
	s.busy[at] = sync.NewCond(&s.mu)
	return true
}

func (s *Service) leave(at recordKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.busy[at]
	delete(s.busy, at)
	c.Broadcast()
}

// steppedAside tells whether a walk of our own should make room for what was asked for.
func (s *Service) steppedAside(at recordKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted[at] > 0
}
