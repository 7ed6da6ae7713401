package model

import (
	"strings"
	"testing"
)

// Checklist 89: the closed account is the taker, whichever side it was on.
func TestLiquidationJSON(t *testing.T) {
	m := &Market{ID: 1<<24 | 3, Native: 3, Symbol: "ETH", PriceScale: 2, SizeScale: 4, Scales: []Scale{{Price: 2, Size: 4}}}
	tr := Trade{ID: 12345, Time: 1706700000123, Kind: KindLiquidation, Price: 257000, Size: 25000, USD: 6425000000, AskAccount: 42, BidAccount: 99, MakerAsk: true}
	const head, tail = `{"liquidation_id":"3-12345","trade_id":12345,"market_id":3,"symbol":"ETH","type":`,
		`,"price":"2570.00","size":"2.5000","usd_amount":"6425.000000","counterparty_account_index":`
	for _, tt := range []struct {
		kind     TradeKind
		makerAsk bool
		kindText string
		party    string
		other    string
	}{
		{KindLiquidation, true, `"liquidation"`, `,"account_index":99,"side":"short"`, "42"}, // the taker bought back
		{KindLiquidation, false, `"liquidation"`, `,"account_index":42,"side":"long"`, "99"}, // the taker sold
		{KindDeleverage, false, `"deleverage"`, `,"account_index":42,"side":"long"`, "99"},
	} {
		tr.Kind, tr.MakerAsk = tt.kind, tt.makerAsk
		want := head + tt.kindText + tt.party + tail + tt.other + `,"timestamp":1706700000123,"recv_ts":null}`
		if got := string(tr.AppendLiquidation(nil, m)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if !tr.Forced() {
			t.Errorf("%s is forced", tt.kindText)
		}
	}
	tr.Recv = 1706700000123456
	if got := string(tr.AppendLiquidation(nil, m)); !strings.HasSuffix(got, `,"recv_ts":1706700000123456}`) {
		t.Errorf("got %s", got)
	}
	for _, kind := range []TradeKind{KindTrade, KindSettlement, KindOther} {
		if (&Trade{Kind: kind}).Forced() {
			t.Errorf("%s is not forced", kind)
		}
	}
}
