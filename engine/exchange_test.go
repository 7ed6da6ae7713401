package engine_test

import (
	"testing"
	"time"

	"hyperlight/engine/exchange"
)

// In front of a simulated venue whose day is not held whole, the day is the venue's own, count of trades included, and
// what only the venue knows comes through its relay.
func TestExchangeOfTheVenue(t *testing.T) {
	g := startNative(t, 3, 20, time.Hour)
	deadline := time.Now().Add(time.Minute)
	for {
		rows, err := g.engine.ExchangeStats(nil)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		for _, r := range rows {
			if r.Source == exchange.Venue && r.HasTrades && r.DailyQuote.Known && r.Mark.Known && r.OpenInterest.Known && r.FundingRate.Known {
				told++
			}
			if r.Source == exchange.Own {
				t.Fatalf("a day of minutes counts as whole: %+v", r)
			}
		}
		if len(rows) == 3 && told == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 3 markets are told: %+v", told, rows)
		}
		time.Sleep(50 * time.Millisecond)
	}
	rows, err := g.engine.ExchangeMetrics(t.Context(), exchange.MetricsQuery{Kind: "volume", Period: "h"})
	if err != nil || len(rows) == 0 || rows[0].Source != exchange.Venue || rows[0].Time%3_600_000 != 0 || rows[0].Value.Mant <= 0 {
		t.Errorf("hours of the venue: %+v %v", rows, err)
	}
	m := g.engine.Markets()[0]
	one, err := g.engine.ExchangeMetrics(t.Context(), exchange.MetricsQuery{Kind: "volume", Period: "h", Market: m})
	if err != nil || len(one) == 0 || one[0].Value.Cmp(rows[0].Value) >= 0 {
		t.Errorf("hours of one market: %+v %v", one, err)
	}
	if rows, err := g.engine.ExchangeMetrics(t.Context(), exchange.MetricsQuery{Kind: "buyback", Period: "y"}); err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("an empty series: %+v %v", rows, err)
	}
}
