package http

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// walkRig is a store that is being written to, late rows and sealing included, behind a server.
type walkRig struct {
	*fixture
	writer  *history.Writer
	mu      sync.Mutex
	stored  map[string][]string // by series: the keys of rows that are committed
	lastID  uint64
	added   atomic.Int64
	funding model.Millis // the next hour to settle
}

const walkEnd, walkHours = testNow + 3_600_000, 6

// add stores trades all over the range, most of them late, and a settled hour.
func (g *walkRig) add(ctx context.Context, r *rand.Rand, rows int) error {
	keys := map[string][]string{}
	for m := range model.MarketID(3) {
		var batch []model.Trade
		for range rows {
			g.lastID++
			at := walkEnd - 1 - model.Millis(r.Int64N(walkHours*3_600_000/40))*40 // times are often shared
			row := trade(g.lastID, at, "3200.00", "0.5", r.IntN(2) == 0)
			row.Kind = model.TradeKind(r.IntN(3))
			batch = append(batch, row)
			id := fmt.Sprint(m, " ", row.ID)
			keys["all"] = append(keys["all"], id)
			keys[fmt.Sprint("market ", m)] = append(keys[fmt.Sprint("market ", m)], id)
			if row.Forced() {
				keys["forced"] = append(keys["forced"], id)
			}
			if m == 0 {
				keys["candles"] = append(keys["candles"], fmt.Sprint(at-at%60_000))
			}
		}
		g.writer.OnEvent(&model.Event{Market: m, Time: walkEnd - 1, Recv: (walkEnd - 1).Micros(), Payload: &model.TradeBatch{Rows: batch, History: true, REST: true}}, nil)
	}
	at := g.funding
	g.funding -= 3_600_000 // the newest first, as backfill does
	f := []model.Funding{{Time: at, Rate: 12, Value: num.Decimal{Mant: 384, Scale: 4}, LongPays: true}}
	if err := g.writer.AddFundings(ctx, 0, f, history.Span{From: at, To: at + 3_600_000}); err != nil {
		return err
	}
	keys["funding"] = append(keys["funding"], fmt.Sprint(at))
	if err := g.writer.Flush(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, rows := range keys {
		g.stored[name] = append(g.stored[name], rows...)
	}
	g.added.Add(int64(3 * rows))
	return nil
}

// walk follows cursors from the first page to the last and returns the keys of the rows, which must be in order.
func (g *walkRig) walk(t *testing.T, r *rand.Rand, path, list string, descending bool) []string {
	var keys []string
	var last [3]int64
	cursor := ""
	for {
		_, e := g.get(t, path+"&limit="+strconv.Itoa(100+r.IntN(900))+cursor)
		for _, row := range e.list(list) {
			number := func(name string) int64 {
				n, _ := strconv.ParseInt(fmt.Sprint(row[name]), 10, 64)
				return n
			}
			at := [3]int64{number("timestamp")}
			key := fmt.Sprint(row["timestamp"])
			if row["trade_id"] != nil {
				at[1], at[2] = number("market_id"), number("trade_id")
				key = fmt.Sprint(row["market_id"], " ", row["trade_id"])
			}
			if order := compareKeys(at, last); len(keys) > 0 && (order == 0 || (order < 0) != descending) {
				t.Errorf("%s: %v follows %v", path, at, last)
			}
			last = at
			keys = append(keys, key)
		}
		if e.Meta.NextCursor == "" {
			return keys
		}
		cursor = "&cursor=" + e.Meta.NextCursor
	}
}

func compareKeys(a, b [3]int64) int {
	for i := range a {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// Checklist 34, over a real store: while rows are added everywhere in the range and hours are sealed under the walk, a walk
// shows every row that was stored when it began, each once and in order.
func TestWalksWhileRowsAreAdded(t *testing.T) {
	store := kvtest.Open(t)
	all := []*model.Market{newMarket(0, "ETH", 2, 4), newMarket(1, "BTC", 2, 4), newMarket(2, "SOL", 2, 4)}
	markets := func(id model.MarketID) (*model.Market, bool) {
		if int(id) < len(all) {
			return all[id], true
		}
		return nil, false
	}
	clock := func() time.Time { return time.UnixMilli(int64(walkEnd)) }
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: markets, Now: clock, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- w.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()
	g := &walkRig{writer: w, stored: map[string][]string{}, funding: walkEnd - walkEnd%3_600_000,
		fixture: newFixture(t, testOptions{edit: func(o *Options) { o.History = history.NewReader(store, markets) }})}
	g.engine.markets, g.clock = all, clock
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	source := rand.New(rand.NewPCG(seed, 0))
	if err := g.add(ctx, source, 800); err != nil {
		t.Fatal(err)
	}

	var walking, working sync.WaitGroup
	done := make(chan struct{})
	working.Go(func() {
		for range 60 {
			select {
			case <-done:
				return
			default:
			}
			if err := g.add(ctx, source, 1+source.IntN(40)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	working.Go(func() {
		for {
			// Late rows make an hour unsealed again; one that is written to meanwhile is left for the next time.
			if err := w.SealNow(ctx, clock()); err != nil && !errors.Is(err, history.ErrClosed) {
				t.Log(err)
			}
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	span := fmt.Sprintf("start=%d&end=%d", walkEnd-model.Millis(200)*3_600_000, walkEnd+1)
	for i, series := range []struct{ name, path, list string }{
		{"market 0", "/api/v1/trades/by-time?market_id=0&" + span, "trades"},
		{"market 1", "/api/v1/trades/by-time?market_id=1&account_index=42&" + span, "trades"},
		{"all", "/api/v1/trades/by-time?" + span, "trades"},
		{"forced", "/api/v1/liquidations/by-time?" + span, "liquidations"},
		{"candles", "/api/v1/candles?market_id=0&resolution=1m&" + span, "candles"},
		{"funding", "/api/v1/funding-rates/history?market_id=0&" + span, "rates"},
	} {
		walking.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i+1)))
			for n := range 2 {
				g.mu.Lock()
				before := g.stored[series.name]
				g.mu.Unlock()
				order := [...]string{"asc", "desc"}[n%2]
				seen := map[string]bool{}
				for _, key := range g.walk(t, r, series.path+"&order="+order, series.list, order == "desc") {
					if seen[key] {
						t.Errorf("%s %s: %s came twice", series.name, order, key)
					}
					seen[key] = true
				}
				for _, key := range before {
					if !seen[key] {
						t.Errorf("%s %s: %s is missing of %d rows", series.name, order, key, len(before))
						break
					}
				}
			}
		})
	}
	walking.Wait()
	close(done)
	working.Wait()
	if g.added.Load() < 3*800+3 {
		t.Error("nothing was added while the walks went on")
	}
}
