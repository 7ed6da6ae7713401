package lighter

import (
	"slices"
	"testing"

	"hyperlight/engine/model"
)

// The recorded answer: every row with its owner, best first, and the queue of a price in the venue's order.
func TestParseOrderRowsRecording(t *testing.T) {
	m := newMarket(1, "BTC", 1, 5)
	body := fixture(t, "orderBookOrders-testnet-BTC-102-orders-2026-07-28.json")
	sides, listed, err := ParseOrderRows(body, m)
	if err != nil || listed[model.Bid]+listed[model.Ask] != 102 || len(sides[model.Bid])+len(sides[model.Ask]) != 102 {
		t.Fatalf("%v rows, %v", listed, err)
	}
	queues := 0
	for s, rows := range sides {
		for i, r := range rows {
			if r.Account == 0 || r.ID == 0 || r.Size <= 0 || r.Initial < r.Size || r.Expiry == 0 {
				t.Errorf("row %+v", r)
			}
			if i > 0 && rows[i-1].Price == r.Price {
				queues++
			} else if i > 0 && (rows[i-1].Price < r.Price) != (model.Side(s) == model.Ask) {
				t.Errorf("%v after %v", r.Price, rows[i-1].Price)
			}
		}
	}
	if queues == 0 {
		t.Error("no price has two orders")
	}
	// At 63840.0 the older index stands behind the newer one: the venue's order is kept.
	i := slices.IndexFunc(sides[model.Ask], func(r model.RestingOrder) bool { return r.Price == 638400 })
	side := model.Ask
	if i < 0 {
		side = model.Bid
		i = slices.IndexFunc(sides[side], func(r model.RestingOrder) bool { return r.Price == 638400 })
	}
	rows := sides[side][i:]
	if rows[1].Price != 638400 || (rows[0].ID < rows[1].ID) == (side == model.Ask) {
		t.Errorf("the queue of 63840.0 is %+v", rows[:2])
	}
}

func TestParseOrderRowsRefuses(t *testing.T) {
	m := newMarket(1, "BTC", 1, 5)
	for _, bad := range []string{
		`{"asks":[{"order_index":1,"price":"1.25","remaining_base_amount":"1"}]}`, // more decimals than the market has
		`{"asks":[{"order_index":1,"price":"x","remaining_base_amount":"1"}]}`,
		`{"asks":[{"order_index":-1,"price":"1.2","remaining_base_amount":"1"}]}`,
		`{"asks":[{"order_index":1,"price":"1.2","remaining_base_amount":"-1"}]}`,
		`{"bids":[{"order_index":1,"price":"1.2","remaining_base_amount":"90000000000000"},{"order_index":2,"price":"1.2","remaining_base_amount":"90000000000000"}]}`,
		`{"asks":1}`, `[]`, ``,
	} {
		if _, _, err := ParseOrderRows([]byte(bad), m); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	sides, listed, err := ParseOrderRows([]byte(`{"asks":[{"order_index":1,"price":"1.2","remaining_base_amount":"0"}],"bids":null}`), m)
	if err != nil || len(sides[model.Ask]) != 0 || listed[model.Ask] != 1 {
		t.Errorf("an empty row: %v, %v, %v", sides, listed, err)
	}
}

// FuzzParseOrderRows checks that nothing panics, and that what is accepted is sorted, positive and within 64 bits.
func FuzzParseOrderRows(f *testing.F) {
	f.Add([]byte(`{"code":200,"total_asks":1,"asks":[{"order_index":281476929689581,"order_id":"281476929689581","owner_account_index":281474976641952,"initial_base_amount":"0.03170","remaining_base_amount":"0.0317","price":"2361.3","order_expiry":1780364303894,"transaction_time":0}],"total_bids":0,"bids":null}`))
	f.Add([]byte(`{"bids":[{"price":"1","remaining_base_amount":"1e3"},{"price":"2","remaining_base_amount":"1"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m := newMarket(1, "BTC", 1, 5)
		sides, _, err := ParseOrderRows(body, m)
		levels, levels2, err2 := ParseOrders(body, m)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("rows: %v, levels: %v", err, err2)
		}
		if err != nil {
			return
		}
		for s, rows := range sides {
			n := 0
			for i, r := range rows {
				if r.Size <= 0 || r.Price < 0 || i > 0 && rows[i-1].Price != r.Price && (rows[i-1].Price < r.Price) != (model.Side(s) == model.Ask) {
					t.Fatalf("row %+v", r)
				}
				if i == 0 || rows[i-1].Price != r.Price {
					n++
				}
			}
			if got := [][]model.Level{levels, levels2}[s]; len(got) != n {
				t.Fatalf("%d levels of %d prices", len(got), n)
			}
			for _, l := range [][]model.Level{levels, levels2}[s] {
				if l.Size <= 0 {
					t.Fatalf("level %+v", l)
				}
			}
		}
	})
}
