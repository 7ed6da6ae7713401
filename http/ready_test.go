package http

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// plainHistory hides that a reader has rows as text.
type plainHistory struct{ History }

// TestReadyAnswers asks two servers over one sealed record the same random questions: one makes answers of rows that are
// kept ready, in little memory, the other decodes and encodes every row. Their answers must be equal, pages and totals too.
func TestReadyAnswers(t *testing.T) {
	store := kvtest.Open(t)
	eth := newMarket(0, "ETH", 2, 4)
	markets := func(id model.MarketID) (*model.Market, bool) { return eth, id == eth.ID }
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: markets, Import: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- w.Run(ctx) }()
	const first, end = testNow - 20*3_600_000, testNow - 3_600_000
	rnd := rand.New(rand.NewPCG(1, 2))
	at := model.Millis(first)
	for id := uint64(1); at < end; id++ {
		tr := trade(id, at, "3200.00", "0.5", rnd.IntN(2) == 0)
		tr.Price += num.Price(rnd.IntN(100))
		tr.Size = num.Size(1 + rnd.IntN(1_000_000))
		tr.USD = num.USD(int64(tr.Price) * int64(tr.Size)) // some are whales
		w.OnEvent(&model.Event{Time: at, Recv: at.Micros() + 9_000, Payload: &model.TradeBatch{Rows: []model.Trade{tr}}}, nil)
		if at += model.Millis(rnd.IntN(20_000)); rnd.IntN(200) == 0 {
			at += model.Millis(rnd.IntN(1_800_000))
		}
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.SealNow(ctx, time.UnixMilli(int64(end-2*3_600_000))); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	reader := history.NewReader(store, markets)
	reader.KeepReady(1 << 20)
	var servers [2]*fixture
	for i, h := range []History{reader, plainHistory{history.NewReader(store, markets)}} {
		servers[i] = newFixture(t, testOptions{edit: func(o *Options) { o.History = h }})
		servers[i].engine.markets = []*model.Market{eth}
	}
	for range 150 {
		from := int64(first) + rnd.Int64N(int64(end-first))
		to := from + 1 + rnd.Int64N(1<<uint(12+rnd.IntN(15)))
		path := fmt.Sprintf("/api/v1/trades/by-time?market_id=0&start=%d&end=%d", from, to)
		if rnd.IntN(3) == 0 {
			path = fmt.Sprintf("/api/v1/candles?market_id=0&resolution=1m&start=%d&end=%d", from, to)
		}
		path += fmt.Sprintf("&limit=%d&order=%s", 1+rnd.IntN(1<<uint(rnd.IntN(10))), []string{"asc", "desc"}[rnd.IntN(2)])
		cursor := [2]string{}
		for page := range 3 {
			offset := ""
			if page == 0 {
				offset = fmt.Sprintf("&offset=%d", rnd.IntN(1<<uint(rnd.IntN(9))))
			}
			var got [2]envelope
			for i, f := range servers {
				ask := path + offset
				if page > 0 {
					ask = path + "&cursor=" + cursor[i]
				}
				var status int
				if status, got[i] = f.get(t, ask); status != 200 {
					t.Fatalf("%s: %d", ask, status)
				}
				cursor[i] = got[i].Meta.NextCursor
			}
			if !reflect.DeepEqual(got[0].Data, got[1].Data) || got[0].Meta.Total.String() != got[1].Meta.Total.String() || (cursor[0] == "") != (cursor[1] == "") {
				t.Fatalf("page %d of %s, %s and %s:\n%.900v\n%.900v", page, path, got[0].Meta.Total, got[1].Meta.Total, got[0], got[1])
			}
			if cursor[0] == "" {
				break
			}
		}
	}
	if s := reader.Ready(); s.Hits == 0 || s.Bytes > 1<<20 {
		t.Errorf("ready rows: %+v", s)
	}
}
