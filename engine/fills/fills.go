// Package fills owns the most recent fills of the accounts that were asked for: in memory, so that a batch over a
// thousand accounts touches no disk, read from the store once and then kept current from the trades that the store gets;
// and of the accounts that are asked for again and again the text of their fills.
//
// It must not write anything, and does not know HTTP or sockets. Fills of any other range are engine/history's.
package fills

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

var (
	loads     = metrics.NewCounter("hyperlight_fills_loaded_accounts_total")
	evictions = metrics.NewCounter("hyperlight_fills_evicted_accounts_total")
)

const (
	// MaxRecent is the most fills of an account that are kept.
	MaxRecent = 100

	defaultBudget   = 256 << 20
	defaultLookback = 30 * 24 * time.Hour
	// accountBytes is about what an account takes beside its fills.
	accountBytes = 160
	shards       = 64
	// samples is how many accounts are looked at to find one that was not asked for lately.
	samples = 8
)

// Reader is what is needed of history.Reader.
type Reader interface {
	FillsOf(ctx context.Context, accounts []model.AccountID, sp history.Span, q history.FillQuery, perAccount int) ([]history.AccountFills, error)
}

// Options configures the recent fills.
type Options struct {
	Reader Reader
	// Flush returns when every trade that was told to Add before the call can be read: history.Writer.Flush. nil: they can
	// be read at once.
	Flush func(ctx context.Context) error
	// Budget is how many bytes the fills may take; 0: 256 MiB. The accounts asked for longest ago go first.
	Budget int
	// Lookback is how far back fills are looked for, of an account that has too few; 0: 30 days.
	Lookback time.Duration
	// NoTexts has nothing kept of what Append wrote.
	NoTexts bool
	Now     func() time.Time
}

// Fills is the recent fills of accounts. Its methods may be called from any goroutine.
type Fills struct {
	o      Options
	bytes  atomic.Int64
	clock  atomic.Uint64 // counts calls of Recent
	hand   atomic.Uint64 // the shard that an eviction looked into last
	shards [shards]shard
}

// shard is a part of the accounts.
type shard struct {
	mu       sync.Mutex
	accounts map[model.AccountID]*account
}

// account is the newest fills of one account. Until ready is closed only those that came since it was made are there.
type account struct {
	recent
	ready  chan struct{}
	loaded bool
	used   uint64 // the clock when it was asked for last
}

// New returns recent fills of which nothing is in memory yet.
func New(o Options) *Fills {
	if o.Budget <= 0 {
		o.Budget = defaultBudget
	}
	if o.Lookback <= 0 {
		o.Lookback = defaultLookback
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Fills{o: o}
	for i := range f.shards {
		f.shards[i].accounts = map[model.AccountID]*account{}
	}
	return f
}

func (f *Fills) shard(id model.AccountID) *shard {
	return &f.shards[uint64(id)*0x9e3779b97f4a7c15>>(64-6)]
}

// Add takes a trade that the store did not have: it is history.WriterOptions.OnTrade. It keeps nothing of the trade.
func (f *Fills) Add(m model.MarketID, t *model.Trade) {
	takerBuys := t.TakerBuys()
	f.add(t.AskAccount, m, t, takerBuys)
	f.add(t.BidAccount, m, t, !takerBuys)
}

func (f *Fills) add(id model.AccountID, m model.MarketID, t *model.Trade, maker bool) {
	s := f.shard(id)
	s.mu.Lock()
	a := s.accounts[id]
	if a != nil {
		fill := t.Fill(m, maker)
		before := a.size()
		a.insert(&fill)
		f.bytes.Add(int64(a.size() - before))
	}
	s.mu.Unlock()
	if a != nil {
		f.evict()
	}
}

// Recent appends the newest fills of an account, at most n (and at most MaxRecent), newest first, to dst; false where the
// account is not in memory and Load must be called first.
func (f *Fills) Recent(id model.AccountID, n int, dst []model.Fill) ([]model.Fill, bool) {
	s := f.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[id]
	if a == nil || !a.loaded {
		return dst, false
	}
	a.used = f.clock.Add(1)
	return a.newest(n, dst), true
}

// Append appends the newest fills of an account as the API writes them, with commas between, at most n, newest first; false
// where the account is not in memory and Load must be called first. Fills of a market that is not known are left out. What
// is asked for again before another fill came is kept as text: a fill's text never changes.
func (f *Fills) Append(dst []byte, id model.AccountID, n int, market func(model.MarketID) *model.Market) ([]byte, bool) {
	s := f.shard(id)
	s.mu.Lock()
	a := s.accounts[id]
	if a == nil || !a.loaded {
		s.mu.Unlock()
		return dst, false
	}
	a.used = f.clock.Add(1)
	if n > 0 && a.textOf == n {
		dst = append(dst, a.text...)
		s.mu.Unlock()
		return dst, true
	}
	from := len(dst)
	dst, all := a.appendNewest(dst, n, market)
	keep := all && n > 0 && a.asked == n && !f.o.NoTexts
	a.asked = n
	if keep {
		before := a.size()
		a.text, a.textOf = append(a.text[:0], dst[from:]...), n
		f.bytes.Add(int64(a.size() - before))
	}
	s.mu.Unlock()
	if keep {
		f.evict()
	}
	return dst, true
}

// evict drops accounts until the rest fits: of a few, each of another shard, the one that was not asked for longest.
func (f *Fills) evict() {
	for tries := 0; f.bytes.Load() > int64(f.o.Budget) && tries < shards; tries++ {
		var oldest model.AccountID
		least := uint64(math.MaxUint64)
		for n := range samples * shards {
			if least != math.MaxUint64 && n >= samples {
				break
			}
			s := &f.shards[f.hand.Add(1)%shards]
			s.mu.Lock()
			for id, a := range s.accounts {
				if a.loaded { // a map begins anywhere
					if a.used < least {
						oldest, least = id, a.used
					}
					break
				}
			}
			s.mu.Unlock()
		}
		s := f.shard(oldest)
		s.mu.Lock()
		if a := s.accounts[oldest]; a != nil && a.loaded {
			delete(s.accounts, oldest)
			f.bytes.Add(-int64(a.size()) - accountBytes)
			evictions.Inc()
		}
		s.mu.Unlock()
	}
}

// Bytes returns about how much memory the fills take, and how many accounts they are of.
func (f *Fills) Bytes() (bytes int64, accounts int) {
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		accounts += len(s.accounts)
		s.mu.Unlock()
	}
	return f.bytes.Load(), accounts
}
