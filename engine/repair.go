package engine

import (
	"context"
	"sync"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

const (
	// repairTries is how often the trades of a market are asked for before its gap is left open to stand.
	repairTries = 5
	// recentTrades is the most that the venue gives in one call.
	recentTrades = 100
	// bookFresh is how long a book fetched over REST is served again.
	bookFresh = time.Second
	// bookWait bounds the call behind a request for a book that is not in sync.
	bookWait = 10 * time.Second
)

// tradeRepair fetches the newest trades of markets whose trade record has a hole that the frame after a subscribe did
// not close. Each request ends in one REST batch for the market's shard, an empty one where the venue gave nothing.
type tradeRepair struct {
	v *lighterVenue

	mu      sync.Mutex
	waiting map[model.MarketID]bool // bounded by the number of markets
	order   []model.MarketID
	wake    chan struct{}
}

func newTradeRepair(v *lighterVenue) *tradeRepair {
	return &tradeRepair{v: v, waiting: map[model.MarketID]bool{}, wake: make(chan struct{}, 1)}
}

// ask queues a market. It does not block: shards call it.
func (r *tradeRepair) ask(id model.MarketID) {
	r.mu.Lock()
	if !r.waiting[id] {
		r.waiting[id] = true
		r.order = append(r.order, id)
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *tradeRepair) next() (model.MarketID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.order) == 0 {
		return 0, false
	}
	id := r.order[0]
	r.order = r.order[1:]
	delete(r.waiting, id)
	return id, true
}

func (r *tradeRepair) run(ctx context.Context) {
	for {
		id, ok := r.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-r.wake:
				continue
			}
		}
		if m, known := r.v.registry.Get(id); known {
			r.repair(ctx, m)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (r *tradeRepair) repair(ctx context.Context, m *model.Market) {
	batch := model.TradeBatch{History: true, REST: true}
	pause := time.Second
	for try := 1; ; try++ {
		b, err := r.v.rest.RecentTrades(ctx, m, recentTrades)
		if err == nil {
			batch = b
			batch.History, batch.REST = true, true
			break
		}
		if ctx.Err() != nil {
			return
		}
		r.v.log.Warn("recent trades failed", "market", m.Symbol, "try", try, "error", err)
		if try == repairTries {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			pause *= 2
		}
	}
	now := r.v.e.now()
	e := model.Event{
		Market: m.ID, Epoch: m.Epoch, Time: model.Millis(now.UnixMilli()), Recv: model.Micros(now.UnixMicro()), Payload: &batch,
	}
	if len(batch.Rows) > 0 {
		e.Epoch = batch.Rows[0].Epoch
	}
	// Deliver fails only when everything stops.
	_ = r.v.registry.Deliver(ctx, e)
}

// bookFetches are the books fetched over REST for markets out of sync: one call at a time per market, its result
// shared for a second.
type bookFetches struct {
	ctx  context.Context // ends with close, so that no call outlives the engine
	end  context.CancelFunc
	busy sync.WaitGroup

	mu      sync.Mutex
	running map[model.MarketID]*bookFetch
	closed  bool
}

func (b *bookFetches) open() {
	b.ctx, b.end = context.WithCancel(context.Background())
	b.running = map[model.MarketID]*bookFetch{}
}

// close ends the calls that run and waits for them; later ones fail.
func (b *bookFetches) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.end()
	b.busy.Wait()
}

type bookFetch struct {
	done chan struct{}
	at   time.Time // of the end; written before done is closed
	view *book.View
	err  error
}

// fetchBook returns the best levels of a market that is not in sync.
func (v *lighterVenue) fetchBook(ctx context.Context, m *model.Market) (*book.View, error) {
	v.books.mu.Lock()
	f := v.books.running[m.ID]
	if f != nil {
		select {
		case <-f.done:
			if v.e.now().Sub(f.at) >= bookFresh {
				f = nil
			}
		default:
		}
	}
	if f == nil && v.books.closed {
		v.books.mu.Unlock()
		return nil, &model.Error{Code: model.CodeServiceUnavailable, Message: "the server is stopping"}
	}
	if f == nil {
		f = &bookFetch{done: make(chan struct{})}
		v.books.running[m.ID] = f
		v.books.busy.Go(func() { v.fetchBookNow(m, f) })
	}
	v.books.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.err != nil {
		return nil, &model.Error{Code: model.CodeUpstream, Message: "the order book is not in sync and the venue did not answer", Err: f.err}
	}
	return f.view, nil
}

// fetchBookNow runs apart from the request that asked first: others wait for it too.
func (v *lighterVenue) fetchBookNow(m *model.Market, f *bookFetch) {
	defer close(f.done)
	ctx, cancel := context.WithTimeout(v.books.ctx, bookWait)
	defer cancel()
	bids, asks, err := v.rest.OrderBook(ctx, m)
	f.at = v.e.now()
	if err != nil {
		f.err = err
		return
	}
	f.view = book.NewView(book.Meta{
		Time: model.Millis(f.at.UnixMilli()), Recv: model.Micros(f.at.UnixMicro()), Epoch: m.Epoch,
	}, bids, asks)
}
