package sim_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/sim"
)

// known resolves the simulator's own markets and refuses everything else.
type known map[int64]*model.Market

func (k known) Market(native int64) (*model.Market, bool) { m, ok := k[native]; return m, ok }

func (k known) Observe(int64, string, uint8, uint8) (*model.Market, bool) { return nil, false }

// TestFollowerReadsEveryFrame gives each frame of the simulator to the decoder that follows the real venue, and writes
// book and trade frames back with its encoder: two writers of one format must agree byte for byte.
func TestFollowerReadsEveryFrame(t *testing.T) {
	x := sim.New(sim.Options{Seed: 6, Markets: 6, Accounts: 300, Rate: 2000, Volatility: 20,
		Start: time.Date(2026, 11, 1, 11, 59, 55, 0, time.UTC)})
	markets := known{}
	all := x.Markets()
	for i := range all {
		all[i].Scales = []model.Scale{{Price: all[i].PriceScale, Size: all[i].SizeScale}}
		markets[all[i].Native] = &all[i]
	}
	d := lighter.NewDecoder(markets)
	kinds := map[string]int{}
	x.Tap(func(channel string, frame []byte) {
		family, _, _ := strings.Cut(channel, ":")
		err := d.Decode(frame, 1, func(e *model.Event) error {
			var back []byte
			switch p := e.Payload.(type) {
			case *model.BookUpdate:
				back = lighter.AppendBookFrame(nil, markets[int64(e.Market)], e.Epoch, p, e.Time)
			case *model.TradeBatch:
				back = lighter.AppendTradeFrame(nil, markets[int64(e.Market)], p)
			}
			if back != nil && string(back) != string(frame) {
				return fmt.Errorf("written back as %.1500s", back)
			}
			kinds[family]++
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v\n%.1500s", channel, err, frame)
		}
	})
	x.AdvanceBy(10 * time.Second)
	for _, family := range []string{"order_book", "trade", "market_stats", "height"} {
		if kinds[family] == 0 {
			t.Errorf("no event of %s: %v", family, kinds)
		}
	}
}

// TestFollowerReadsREST parses the simulator's answers with the follower's own parsers.
func TestFollowerReadsREST(t *testing.T) {
	x := sim.New(sim.Options{Seed: 6, Markets: 3, Accounts: 100, Rate: 3000})
	x.AdvanceBy(3 * time.Second)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := sim.Serve(ctx, ln, x, sim.ServeOptions{}); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) []byte {
		r, err := client.Get("http://" + ln.Addr().String() + "/api/v1/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", path, r.StatusCode, err)
		}
		return b
	}
	want := x.Markets()
	for _, route := range []string{"orderBookDetails", "orderBooks"} {
		got, err := lighter.ParseMarkets(get(route))
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d markets, %v", route, len(got), err)
		}
		for i, m := range got {
			if w := want[i]; m.Native != w.Native || m.Symbol != w.Symbol || m.PriceScale != w.PriceScale || m.SizeScale != w.SizeScale || !m.Active ||
				route == "orderBookDetails" && (m.MaintenanceMargin != w.MaintenanceMargin || m.CloseOutMargin != w.CloseOutMargin) {
				t.Errorf("%s: %+v, want %+v", route, m, w)
			}
		}
	}
	m := want[1]
	m.Scales = []model.Scale{{Price: m.PriceScale, Size: m.SizeScale}}
	trades, err := lighter.ParseTrades(get("recentTrades?market_id=1&limit=100"), &m)
	if err != nil || len(trades.Rows) < 10 {
		t.Errorf("recentTrades: %d rows, %v", len(trades.Rows), err)
	}
	bids, asks, err := lighter.ParseOrders(get("orderBookOrders?market_id=1&limit=250"), &m)
	if err != nil || len(bids) < 50 || len(asks) < 50 {
		t.Errorf("orderBookOrders: %d bids, %d asks, %v", len(bids), len(asks), err)
	}
	if _, err := lighter.ParseFundingRates(get("funding-rates")); err != nil {
		t.Errorf("funding-rates: %v", err)
	}
	span := fmt.Sprintf("fundings?market_id=1&resolution=1h&count_back=5&start_timestamp=%d&end_timestamp=%d", time.Now().Unix()-7200, time.Now().Unix()+60)
	if rows, err := lighter.ParseFundings(get(span)); err != nil || len(rows) == 0 {
		t.Errorf("fundings: %d rows, %v", len(rows), err)
	}
}
