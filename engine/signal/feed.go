package signal

import (
	"slices"
	"sync"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// statsEvery is how often the record keeps a statistics row: the first of each span of this length.
	statsEvery = model.Millis(10_000)
	// maxHeatmaps bounds the heatmaps that wait for a tick.
	maxHeatmaps = 16
)

// Feed makes the events of one market out of what its shard tells a listener, in the order of the package comment. Except for
// Heatmap it belongs to the shard's goroutine. Events are valid until the function that receives them returns.
type Feed struct {
	ev     Event
	stored model.Millis // start of the span of the last statistics row that was kept
	rates  []pending    // oldest first; more than one waits only while ticks are missed

	bids, asks []model.Level

	mu       sync.Mutex
	heatmaps []HeatmapRow // oldest first
}

// pending is a funding rate that waits for its second.
type pending struct {
	second model.Millis
	rate   num.Rate
}

// NewFeed returns a feed. lastStats is the time of the newest statistics row that the record holds, 0 where there is none:
// the record keeps no second one of the same ten seconds.
func NewFeed(lastStats model.Millis) *Feed {
	return &Feed{stored: lastStats - lastStats%statsEvery}
}

// Trades gives the events of a batch, which m has scales for. Rows that fill older holes give none.
func (f *Feed) Trades(m *model.Market, b *model.TradeBatch, each func(*Event)) {
	if b.History && !b.Recovered {
		return
	}
	for i := range b.Rows {
		f.ev.Trade(&b.Rows[i], m)
		each(&f.ev)
	}
}

// Stats takes a row of statistics. Where the record keeps it, its event comes with the next tick.
func (f *Feed) Stats(received model.Micros, s *model.Stats) {
	at := received.Millis()
	span := at - at%statsEvery
	if span <= f.stored {
		return
	}
	f.stored = span
	if s.Has&model.HasCurrentFundingRate != 0 {
		f.rates = append(f.rates, pending{second: fundingSecond(at), rate: s.CurrentFundingRate})
	}
}

// Heatmap takes the sums of a heatmap; their event comes with a tick to come. It may be called from any goroutine. Where no
// tick comes for long, the oldest are forgotten.
func (f *Feed) Heatmap(computed model.Millis, long, short num.Decimal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.heatmaps) == maxHeatmaps {
		f.heatmaps = slices.Delete(f.heatmaps, 0, 1)
	}
	f.heatmaps = append(f.heatmaps, HeatmapRow{Time: computed, Long: long, Short: short})
}

// Tick gives the events of a full second; v is nil while the book is out of sync.
func (f *Feed) Tick(second model.Micros, m *model.Market, v *book.View, each func(*Event)) {
	now := second.Millis()
	for len(f.rates) > 0 && f.rates[0].second <= now {
		f.ev.Funding(f.rates[0].second, f.rates[0].rate)
		f.rates = slices.Delete(f.rates, 0, 1)
		each(&f.ev)
	}
	for {
		row, ok := f.takeHeatmap(now)
		if !ok {
			break
		}
		f.ev.Heatmap(heatmapSecond(row.Time), row.Long, row.Short)
		each(&f.ev)
	}
	if v != nil {
		each(f.Book(now, m, v))
	}
}

// Book returns the event of a book at a time; Tick gives those of full seconds.
func (f *Feed) Book(at model.Millis, m *model.Market, v *book.View) *Event {
	f.bids, f.asks = v.Append(f.bids[:0], model.Bid, Depth), v.Append(f.asks[:0], model.Ask, Depth)
	ps, ss := m.ScaleAt(v.Epoch)
	f.ev.Book(at, f.bids, f.asks, ps, ss)
	return &f.ev
}

// SetBack tells before each tick that repeats a second, because the clock was set back, which one it is: what was received or
// computed before does not wait until the clock comes there again, and is no reason to leave out a row of statistics.
func (f *Feed) SetBack(second model.Millis) {
	if f.stored > second {
		f.stored = second - statsEvery
	}
	for i := range f.rates {
		f.rates[i].second = min(f.rates[i].second, second)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.heatmaps {
		if h := &f.heatmaps[i]; h.Time >= second+1000 { // computed after the second that is full now
			h.Time = second - 2000
		}
	}
}

// takeHeatmap returns the oldest heatmap whose second has come.
func (f *Feed) takeHeatmap(now model.Millis) (HeatmapRow, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.heatmaps) == 0 || heatmapSecond(f.heatmaps[0].Time) > now {
		return HeatmapRow{}, false
	}
	row := f.heatmaps[0]
	f.heatmaps = slices.Delete(f.heatmaps, 0, 1)
	return row, true
}
