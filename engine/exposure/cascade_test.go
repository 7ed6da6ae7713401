package exposure

import (
	"strings"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// A book may be of a scale that came after the snapshot: its sizes are not read by the digits of before.
func TestCascadeIntoBookOfLaterScale(t *testing.T) {
	w := newWorld(t, 0)
	w.tracker.Polled(&model.Account{ID: 7, Index: 7, Polled: 5, Collateral: 1000e6, Positions: []model.Position{{Market: 0, Size: 2_0000, Entry: 6000e6}}})
	m := w.desk.Step().Market(0)
	now := *m.Info
	now.Epoch, now.PriceScale, now.SizeScale = 1, 3, 5
	now.Scales = append(now.Scales[:1:1], model.Scale{Price: 3, Size: 5})
	bids := []model.Level{{Price: 2400_000, Size: 1_00000}, {Price: 2300_000, Size: 100_00000}} // of two, one meets the better bid
	trigger, err := m.Trigger(num.Decimal{Mant: -19})
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.AppendCascade(nil, book.NewView(book.Meta{Epoch: 1}, bids, nil), &now, []int64{trigger}, 50)
	if err != nil || !strings.Contains(string(text), `"final_price":"2300"`) || !strings.Contains(string(text), `"book_exhausted":false`) {
		t.Errorf("%s, %v", text, err)
	}
}
