package http

import (
	"fmt"
	"slices"
	"testing"

	"hyperlight/engine/model"
)

// Checklist 61: each position shows the maintenance margin that it takes itself, not what its pool takes, and the nearest
// market is that of the forced close the fewest percent away, wherever it stands in the list and however much money that is.
func TestNearestMarket(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	v.setMark(0, "3000")
	v.setMark(1, "43000")
	for i, c := range []struct {
		eth, btc, ethEntry, btcEntry string
		nearest                      string
		margins                      []string
	}{
		{"20", "-0.1", "60000", "4300", "0", []string{"1800", "129"}}, // the first one
		{"-2", "1", "6000", "43000", "1", []string{"180", "1290"}},    // the last one, though its close is more money away
		{"2", "1", "6000", "43000", "1", []string{"180", "1290"}},     // the other one cannot be closed
		{"20", "0.1", "60000", "4300", "0", []string{"1800", "129"}},  // nor here
	} {
		id := model.AccountID(700 + i)
		v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: testNow - 500, Collateral: usd("10000"),
			Positions: []model.Position{openPosition(0, c.eth, c.ethEntry, 1000), openPosition(1, c.btc, c.btcEntry, 1000)}})
		status, e := f.get(t, fmt.Sprintf("/api/v1/accounts/%d/liquidation-risk", id))
		if got := e.column("positions", "maintenance_margin"); status != 200 || !slices.Equal(got, c.margins) || fmt.Sprint(e.Data["nearest_market_id"]) != c.nearest {
			t.Errorf("%s ETH, %s BTC: %d, margins %v, nearest %v: %v", c.eth, c.btc, status, got, e.Data["nearest_market_id"], e.column("positions", "distance_pct"))
		}
	}
}
