package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
)

var (
	commits       = metrics.NewCounter("hyperlight_history_commits_total")
	commitSeconds = metrics.NewSummary("hyperlight_history_commit_seconds")
	rowsWritten   = metrics.NewCounter("hyperlight_history_rows_total")
	rowsLost      = metrics.NewCounter("hyperlight_history_rows_lost_total")
	rowsRefused   = metrics.NewCounter("hyperlight_history_rows_refused_total")
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
	Pin       bool // the days written are kept for ever: for imports
	Retention Retention
	OnCommit  func(rows int, took time.Duration) // on the writer goroutine
	// OnTrade is told every trade that the store did not have, once, on the writer goroutine, when it is put into a batch.
	// It must not block and must not keep the trade.
	OnTrade func(m model.MarketID, t *model.Trade)
}

// Writer is the one writer of market history. OnEvent and OnTick only queue; one goroutine, Run, owns everything else.
type Writer struct {
	o       WriterOptions
	store   *kv.Store
	log     *slog.Logger
	queue   *queue
	reader  *Reader
	jobs    sync.Mutex // one sealing, thinning or retention job at a time; guards swept
	swept   bool       // hours from before this start are noted in unsealed
	running atomic.Bool
	ended   chan struct{}
	stored  storedCounts

	// Everything below belongs to the writer goroutine.
	batch   *kv.Batch
	markets map[model.MarketID]*marketState
	index   map[indexKey]*indexState
	candles map[candleKey]*candleState
	marks   map[uint32]candleMark     // by market
	touched map[uint32]touchedCandles // by market
	keep    keepState
	pinned  uint32 // the day that was pinned last
	// unsealed counts the writes to each market-hour that is not sealed yet; a sealing job compares it.
	unsealed  map[hourKey]uint64
	heartbeat model.Micros
	newest    model.Micros // the newest tick
	ticked    bool

	dirtyBooks   []*marketState
	dirtyTrades  []*tradeBlock
	dirtyIndex   []*indexState
	dirtyCandles []*candleState
	pendingRows  int
	pendingBytes int
	postings     []record.Posting // of the group's new trades
	unposted     unposted
	fresh        map[string]bool // keys of funding rows in the batch
	losing       bool            // the store is read-only and rows are being dropped
	keyBuf       []byte
	valBuf       []byte
}

var _ market.Listener = (*Writer)(nil)

// NewWriter returns a writer that has read from the store where it has to go on. Nothing is written before Run, and a
// live writer refuses a store whose last stop was not recovered.
func NewWriter(o WriterOptions) (*Writer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Markets == nil {
		o.Markets = func(model.MarketID) (*model.Market, bool) { return nil, false }
	}
	setDefault(&o.Interval, 100*time.Millisecond)
	setDefault(&o.MaxRows, 4096)
	setDefault(&o.MaxBytes, 1<<20)
	setDefault(&o.QueueRows, 65536)
	setDefault(&o.QueueBytes, 32<<20)
	w := &Writer{
		o: o, store: o.Store, log: o.Logger.With("component", "history"),
		queue:   newQueue(o.QueueRows, o.QueueBytes, o.Now),
		reader:  NewReader(o.Store, o.Markets),
		ended:   make(chan struct{}),
		batch:   o.Store.NewBatch(),
		markets: map[model.MarketID]*marketState{}, index: map[indexKey]*indexState{},
		candles: map[candleKey]*candleState{}, marks: map[uint32]candleMark{}, touched: map[uint32]touchedCandles{}, unsealed: map[hourKey]uint64{}, fresh: map[string]bool{},
	}
	if err := w.load(context.Background()); err != nil {
		return nil, fmt.Errorf("load history state: %w", err)
	}
	return w, nil
}

func setDefault[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// OnEvent queues an event and the market's book after it. It blocks while the queue is full.
func (w *Writer) OnEvent(e *model.Event, v *book.View) {
	it := item{event: e, view: v, rows: 1, bytes: 96}
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		it.bytes += 16 * (len(p.Bids) + len(p.Asks))
	case *model.TradeBatch:
		it.rows = max(1, len(p.Rows))
		it.bytes += 512 * len(p.Rows)
	case *model.Height:
		return
	}
	w.queue.put(it)
}

// OnTick queues the tick of a shard: everything of its markets received before the second was queued before it.
func (w *Writer) OnTick(second model.Micros, markets []market.Held) {
	w.queue.put(item{second: second, held: append([]market.Held(nil), markets...), rows: 1, bytes: 64 * len(markets)})
}

// Run commits what is queued until ctx ends, then commits the rest and returns. A live writer also seals, thins and
// drops by retention each hour meanwhile. An error of the store other than a full disk ends it.
func (w *Writer) Run(ctx context.Context) error {
	if !w.running.CompareAndSwap(false, true) {
		return errors.New("run history writer: it runs already")
	}
	jobs := make(chan struct{})
	jobCtx, stop := context.WithCancel(ctx)
	go func() {
		defer close(jobs)
		if !w.o.Import {
			w.runJobs(jobCtx)
		}
	}()
	err := w.loop(ctx)
	w.queue.close() // whoever waits for a call learns of the end by the closed channel
	close(w.ended)
	stop()
	<-jobs
	return err
}

func (w *Writer) loop(ctx context.Context) error {
	var (
		spare   []item
		timer   = time.NewTimer(w.o.Interval)
		started bool // the timer runs for a group
		done    = ctx.Done()
		ending  bool
	)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-w.queue.ready:
		case <-timer.C:
			started = false
			if err := w.commit(); err != nil {
				return err
			}
		case <-done:
			ending, done = true, nil
		}
		items := w.queue.take(spare)
		if err := w.applyAll(items); err != nil {
			return err
		}
		clear(items)
		spare = items
		if ending {
			// The jobs' calls come from goroutines that wait for us; ctx has ended, so producers have too.
			if err := w.applyAll(w.queue.close()); err != nil {
				return err
			}
			if err := w.commit(); err != nil || !w.o.Import {
				return err
			}
			return w.closeImported()
		}
		switch {
		case w.pendingRows > 0 && !started:
			timer.Reset(w.o.Interval)
			started = true
		case w.pendingRows == 0 && started:
			timer.Stop()
			started = false
		}
	}
}

// applyAll works items off and commits whenever a group is full.
func (w *Writer) applyAll(items []item) error {
	rows, bytes := 0, 0
	defer func() { w.queue.release(rows, bytes) }()
	for i := range items {
		it := &items[i]
		if err := w.apply(it); err != nil {
			return err
		}
		rows += it.rows
		bytes += it.bytes
		w.pendingRows += it.rows
		w.pendingBytes += it.bytes / 4 // encoded rows are about a quarter of their size in memory
		if w.pendingRows >= w.o.MaxRows || w.pendingBytes >= w.o.MaxBytes {
			if err := w.commit(); err != nil {
				return err
			}
		}
		if i%256 == 255 {
			w.queue.release(rows, bytes)
			rows, bytes = 0, 0
		}
	}
	return nil
}

func (w *Writer) apply(it *item) error {
	switch {
	case it.call != nil:
		it.call()
		return nil
	case w.losing:
		return nil
	case it.event == nil:
		return w.applyTick(it.second, it.held)
	}
	e := it.event
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		return w.applyBook(e, p, it.view)
	case *model.TradeBatch:
		return w.applyTrades(e, p)
	case *model.Gap:
		return w.applyGap(e, p)
	case *model.Stats:
		return w.applyStats(e, p)
	case *model.Funding:
		return w.applyFunding(e, p)
	}
	return nil
}

// Flush returns when everything queued before the call is committed, kv.ErrReadOnly while rows are being dropped.
func (w *Writer) Flush(ctx context.Context) error {
	return w.do(ctx, func() error { return nil })
}

// do commits what is pending and then runs fn on the writer goroutine, so that fn sees a store without open ends. While
// the store is read-only it returns that instead.
func (w *Writer) do(ctx context.Context, fn func() error) error {
	return w.doAlways(ctx, func() error {
		if w.losing {
			return fmt.Errorf("history rows are being dropped: %w", kv.ErrReadOnly)
		}
		return fn()
	})
}

// doAlways is do for what must also work while the store is read-only.
func (w *Writer) doAlways(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	call := func() {
		err := w.commit()
		if err == nil {
			err = fn()
		}
		done <- err
	}
	if !w.queue.put(item{call: call}) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the history writer: %w", ctx.Err())
	case <-w.ended:
		select {
		case err := <-done:
			return err
		default:
			return ErrClosed
		}
	}
}
