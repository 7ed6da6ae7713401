package history

import (
	"context"
	"log/slog"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// WriterOptions says how a writer works. Zero values mean the defaults.
type WriterOptions struct {
	Store   *kv.Store
	Now     func() time.Time
	Logger  *slog.Logger
	Markets func(model.MarketID) (*model.Market, bool) // the scales of a market, for candles across scale epochs

	Interval   time.Duration // between group commits, default 100 ms
	MaxRows    int           // rows of a group, default 4,096
	MaxBytes   int           // bytes of a group, default 1 MiB
	QueueRows  int           // default 65,536
	QueueBytes int           // default 32 MiB

	Import    bool // rows come from a recording: see import.go
	Retention Retention
	OnCommit  func(rows int, took time.Duration) // on the writer goroutine
}

// Retention says how long each dataset is kept; 0 means for ever.
type Retention struct {
	Books, Ticks, Stats, Trades, Candles, Funding, Gaps time.Duration
}

// Writer is the one writer of market history.
type Writer struct{}

var _ market.Listener = (*Writer)(nil)

// NewWriter returns a writer; nothing is written before Run.
func NewWriter(o WriterOptions) (*Writer, error) { panic("not written") }

// OnEvent queues an event.
func (w *Writer) OnEvent(e *model.Event, v *book.View) { panic("not written") }

// OnTick queues a tick.
func (w *Writer) OnTick(second model.Micros, markets []market.Held) { panic("not written") }

// SaveMarket queues a market's metadata; rows queued later are committed with or after it.
func (w *Writer) SaveMarket(m *model.Market) { panic("not written") }

// Run commits what is queued until ctx ends, then commits the rest and returns.
func (w *Writer) Run(ctx context.Context) error { panic("not written") }

// Flush returns when everything queued before the call is committed.
func (w *Writer) Flush(ctx context.Context) error { panic("not written") }

// SealNow seals every finished market-hour that ended before the given time.
func (w *Writer) SealNow(ctx context.Context, before time.Time) error { panic("not written") }

// Recovered is what the store says about the time before this start.
type Recovered struct {
	Heartbeat model.Micros // the last committed tick; 0 for a new store
	Markets   []*model.Market
	Starts    map[model.MarketID]market.Start
}

// Recover closes what a stop or a crash left open. It must run before the writer does.
func Recover(ctx context.Context, store *kv.Store) (Recovered, error) { panic("not written") }

// Finding is a fault that Check met.
type Finding struct {
	Key     []byte
	Problem string
}

// Check walks the store.
func Check(ctx context.Context, store *kv.Store, deep bool) ([]Finding, error) { panic("not written") }
