package record

import (
	"slices"

	"hyperlight/engine/model"
)

func pricesOf(rows []model.Trade) []PriceRow {
	var out []PriceRow
	for i := range rows {
		t := &rows[i]
		out = append(out, PriceRow{ID: t.ID, Time: t.Time, Price: t.Price, Size: t.Size, USD: t.USD, Epoch: t.Epoch, TakerBuy: t.TakerBuys()})
	}
	return out
}

// checkPrices holds the short rows against the whole ones.
func checkPrices(t fataler, b []byte, rows []model.Trade) {
	t.Helper()
	kept := []PriceRow{{ID: 42}}
	got, err := DecodePrices(kept[:1:1], b)
	if err != nil || len(got) != 1+len(rows) || got[0] != kept[0] {
		t.Fatalf("%d rows came back of %d: %v", len(got)-1, len(rows), err)
	}
	for i, want := range pricesOf(rows) {
		if want.Epoch = got[i+1].Epoch; got[i+1] != want {
			t.Fatalf("row %d:\n got %+v\nwant %+v", i, got[i+1], want)
		}
	}
	if len(rows) > 0 && slices.ContainsFunc(got[1:], func(r PriceRow) bool { return r.Epoch != got[1].Epoch }) {
		t.Fatalf("one value has one epoch")
	}
}
