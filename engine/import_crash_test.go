package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// wildRecording returns the lines of a recording of two markets in which frames are lost, streams begin anew and nothing is said
// for a while.
func wildRecording(rnd *rand.Rand, steps int) (lines []string) {
	at := int64(clockStart)
	nonce, trade, begun := [2]int{100, 100}, [2]int{1000, 1000}, [2]bool{}
	line := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf(`{"recv_us":%d,"msg":%s}`, at*1000+int64(rnd.IntN(1000)), fmt.Sprintf(format, args...)))
	}
	kindOf := func(first bool) string {
		if first {
			return "subscribed"
		}
		return "update"
	}
	for i := range steps {
		m := rnd.IntN(2)
		if i < 2 {
			m = i
		}
		switch p := rnd.IntN(100); {
		case p < 2:
			at += int64(rnd.IntN(200_000))
		case p < 3:
			at += 11*60_000 + int64(rnd.IntN(60_000))
		default:
			at += int64(rnd.IntN(400))
		}
		switch p := rnd.IntN(100); {
		case p < 50 || i < 2: // the first lines tell the decimals
			before, first := nonce[m], !begun[m] || rnd.IntN(25) == 0
			if begun[m] = true; !first && rnd.IntN(25) == 0 {
				before += 3 // frames are lost
			}
			nonce[m] = before + 1 + rnd.IntN(3)
			line(`{"channel":"order_book:%d","offset":%d,"order_book":{"code":0,"asks":[{"price":"10.%d","size":"%d.0"}],"bids":[{"price":"9.%d","size":"%d.5"}],"offset":%[2]d,"nonce":%[2]d,"begin_nonce":%[7]d},"timestamp":%[8]d,"type":"%[9]s/order_book"}`,
				m, nonce[m], 10+rnd.IntN(9), rnd.IntN(3), 10+rnd.IntN(9), rnd.IntN(3), before, at-20, kindOf(first))
		case p < 85:
			trade[m] += 1 + rnd.IntN(4)
			line(`{"channel":"trade:%d","liquidation_trades":null,"trades":[{"trade_id":%d,"type":"trade","market_id":%[1]d,"size":"1.0","price":"10.%[3]d","is_maker_ask":true,"timestamp":%[4]d}],"type":"%[5]s/trade"}`,
				m, trade[m], 10+rnd.IntN(50), at, kindOf(rnd.IntN(30) == 0))
		default:
			line(`{"channel":"market_stats:%d","market_stats":{"market_id":%[1]d,"symbol":"M%[1]d","index_price":"10.0","mark_price":"10.0","open_interest":"1.0","last_trade_price":"10.0","current_funding_rate":"0.0012","funding_rate":"0.0012","funding_timestamp":%d},"timestamp":%[2]d,"type":"update/market_stats"}`, m, at)
		}
	}
	return lines
}

// storeLines says what a store holds, as readers see it.
func storeLines(t *testing.T, o kv.Options) (out []string) {
	t.Helper()
	store, err := kv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	known, err := history.Markets(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	r := history.NewReader(store, func(id model.MarketID) (*model.Market, bool) {
		i := slices.IndexFunc(known, func(m *model.Market) bool { return m.ID == id })
		return known[max(i, 0)], i >= 0
	})
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, m := range known {
		say("market %+v", *m)
		for kind := model.Kind(0); kind <= model.KindDayCandles; kind++ {
			held, err := r.Coverage(t.Context(), kind, m.ID, everything)
			say("%d held %s %v %v", m.ID, kind, held, err)
		}
		for row, err := range r.Updates(t.Context(), m.ID, 0, 1<<60) {
			say("%d update %+v %v", m.ID, *row, err)
		}
		for row, err := range r.Trades(t.Context(), m.ID, everything, history.TradeQuery{Columns: record.All}) {
			say("%d trade %+v %v", m.ID, *row, err)
		}
		for s, err := range r.Books(t.Context(), m.ID, everything, 1e9) {
			say("%d book %d %d %v %v %v", m.ID, s.At, s.View.Seq, s.View.Append(nil, model.Bid, 0), s.View.Append(nil, model.Ask, 0), err)
		}
	}
	gaps, err := r.Gaps(t.Context(), nil, nil, everything)
	for _, g := range gaps {
		say("gap %+v %v", g, err)
	}
	for _, f := range []key.Family{key.Candles, key.Funding, key.Liquidations, key.Stats, key.Index} {
		for row, err := range store.Scan(t.Context(), key.All(f)) {
			say("row %x %x %v", row.Key, row.Value, err)
		}
	}
	findings, err := history.Check(t.Context(), store, true)
	say("check %v %v", findings, err)
	return out
}

// An import that is killed at any moment and run again leaves the store of one run: in an empty store, and in one that has a
// part of the recording and a hole where the rest was.
func TestImportKilledAndRunAgain(t *testing.T) {
	rounds, kills := 1, 3
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		rounds, kills = 20, 20
	}
	for range rounds {
		seed := rand.Uint64()
		rnd := rand.New(rand.NewPCG(seed, 7))
		all := wildRecording(rnd, 900)
		part, whole := writeRecording(t, slices.Concat(all[:300], all[600:])...), writeRecording(t, all...)
		run := func(d *kvtest.Disk, file string) {
			t.Helper()
			_, err := engine.Import(context.Background(), engine.ImportOptions{Store: d.Options(kv.Options{}), Files: []string{file},
				Now: func() time.Time { return time.UnixMilli(clockStart + 30*86_400_000) }})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, before := range []string{"", part} {
			t.Run(fmt.Sprintf("seed %#x, before %v", seed, before != ""), func(t *testing.T) {
				start := kvtest.NewDisk()
				if before != "" {
					run(start, before)
				}
				var writes atomic.Int64
				once := start.Crash(t, 100, 0)
				once.OnWrite(func(string) error { writes.Add(1); return nil })
				run(once, whole)
				total := writes.Load()
				once.OnWrite(nil)
				want := storeLines(t, once.Options(kv.Options{}))
				for range kills {
					at := 1 + rnd.Int64N(total)
					writes.Store(0)
					var killed atomic.Pointer[kvtest.Disk]
					disk := start.Crash(t, 100, 0)
					disk.OnWrite(func(string) error {
						if writes.Add(1) == at {
							killed.Store(disk.Crash(t, 100, seed))
						}
						return nil
					})
					run(disk, whole)
					if killed.Load() == nil {
						continue // commits are cut by time: this run took fewer writes
					}
					run(killed.Load(), whole)
					got := storeLines(t, killed.Load().Options(kv.Options{}))
					for i := range max(len(got), len(want)) {
						if i >= len(got) || i >= len(want) || got[i] != want[i] {
							t.Fatalf("killed at write %d of %d, line %d of %d is %q, want %q of %d",
								at, total, i, len(got), got[min(i, len(got)-1)], want[min(i, len(want)-1)], len(want))
						}
					}
				}
			})
		}
	}
}
