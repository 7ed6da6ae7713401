package exposure

import (
	"testing"

	"hyperlight/engine/model"
)

// Positions that trades tell are tracked and ranked at once; where a cross position would be closed is not known before
// the account's collateral is, that of an isolated one is, for its trades tell its margin.
func TestCollateralIsNotGuessed(t *testing.T) {
	w := newWorld(t, 10)
	flat := model.PositionBefore{Known: true, InitialMargin: 500}
	w.tracker.Trade(0, &model.Trade{ID: 1, Time: 5, Price: 3000_00, Size: 2_0000, MakerAsk: true, BidAccount: 1, AskAccount: 2,
		TakerBefore: flat, MakerBefore: flat, Extra: `"maker_allocated_margin_usdc_after":300000000`}, false)
	m := w.desk.Step().Market(0)
	if long, short := m.Map.Total(); m.Tracked != 2_0000 || long.Count != 0 || short.Count != 1 {
		t.Errorf("tracked %d, %d longs and %d shorts in the map", m.Tracked, long.Count, short.Count)
	}
	for _, h := range m.Holders(HoldersAll) {
		if h.HasPrice != (h.Account == 2) {
			t.Errorf("%+v", h)
		}
	}
	w.tracker.Polled(&model.Account{ID: 1, Polled: 4, Collateral: 500e6})
	m = w.desk.Step().Market(0)
	if long, _ := m.Map.Total(); long.Count != 1 || !m.Holders(HoldersLong)[0].HasPrice {
		t.Errorf("after the poll: %d longs in the map", long.Count)
	}
}
