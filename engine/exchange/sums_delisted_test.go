package exchange

import (
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// A market that is taken down in the middle of a day has traded until then: an hour or a day of the exchange that leaves
// that out is not told as whole.
func TestSumsOfTheDayOfAnEnd(t *testing.T) {
	start := model.Millis(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).UnixMilli())
	end := start + 24*hourMillis
	for name, down := range map[string]model.Millis{"within an hour": start + 12*hourMillis + 30*minuteMillis, "at a full hour": start + 12*hourMillis} {
		g := &sumsRig{now: end + 3*minuteMillis, trades: map[model.MarketID][]model.Trade{}, stats: map[model.MarketID][]history.StatsRow{},
			held: map[model.MarketID][]history.Interval{}, reads: map[string]int{}}
		for i, until := range []model.Millis{end, down} {
			id := model.MarketID(i)
			g.markets = append(g.markets, &model.Market{ID: id, Native: int64(i), Active: i == 0})
			g.held[id] = []history.Interval{{From: start.Micros(), To: until.Micros()}}
			for at := start; at < until; at += 10 * minuteMillis {
				g.trades[id] = append(g.trades[id], model.Trade{ID: uint64(at), Time: at, USD: 1_000_000})
			}
		}
		s := NewSums(SumsOptions{Store: kvtest.Open(t), Record: g, Markets: func() []*model.Market { return g.markets },
			Now: func() time.Time { return time.UnixMilli(int64(g.now)) }})
		for range 3 {
			if _, err := s.Update(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for period, length := range map[string]model.Millis{"h": hourMillis, "d": 24 * hourMillis} {
			rows, _, err := s.Series(t.Context(), MetricsQuery{Kind: "volume", Period: period})
			if err != nil {
				t.Fatal(err)
			}
			if period == "h" && len(rows) < 23 {
				t.Errorf("%s: %d hours", name, len(rows))
			}
			for _, r := range rows {
				var want num.USD
				for _, trades := range g.trades {
					for _, tr := range trades {
						if tr.Time >= r.Time && tr.Time < r.Time+length {
							want += tr.USD
						}
					}
				}
				if r.Value.Mant != int64(want) {
					t.Errorf("%s: %s from hour %d is told as %d, and is %d", name, period, (r.Time-start)/hourMillis, r.Value.Mant, want)
				}
			}
		}
	}
}
