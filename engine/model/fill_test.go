package model

import (
	"encoding/json"
	"testing"
)

// Contract 2.0: a fill is the trade as its account sees it.
func TestFill(t *testing.T) {
	m := &Market{ID: 0, Native: 0, Symbol: "ETH", PriceScale: 2, SizeScale: 4, Scales: []Scale{{Price: 2, Size: 4}}}
	trade := &Trade{
		ID: 12345, Time: 1706700000123, MakerAsk: true, Price: 320050, Size: 25000, USD: 8_001_250_000, AskOrder: 281476000000001,
		BidOrder: 281476000000002, AskAccount: 42, BidAccount: 99, Block: 2204468, TxHash: "18906", TakerFee: 280, MakerFee: -20,
	}
	tests := []struct {
		maker bool
		want  string
	}{
		{true, `{"trade_id":12345,"market_id":0,"symbol":"ETH","type":"trade","side":"sell","role":"maker","price":"3200.50","size":"2.5000",` +
			`"usd_amount":"8001.250000","fee":"-0.160025","order_id":"281476000000001","counterparty_account_index":99,"tx_hash":"18906",` +
			`"block_height":2204468,"timestamp":1706700000123,"recv_ts":null}`},
		{false, `{"trade_id":12345,"market_id":0,"symbol":"ETH","type":"trade","side":"buy","role":"taker","price":"3200.50","size":"2.5000",` +
			`"usd_amount":"8001.250000","fee":"2.24035","order_id":"281476000000002","counterparty_account_index":42,"tx_hash":"18906",` +
			`"block_height":2204468,"timestamp":1706700000123,"recv_ts":null}`},
	}
	for _, c := range tests {
		f := trade.Fill(m.ID, c.maker)
		if got := string(f.AppendFill(nil, m)); got != c.want || !json.Valid([]byte(got)) {
			t.Errorf("maker %v:\n got %s\nwant %s", c.maker, got, c.want)
		}
	}
	for usd, want := range map[Fill]string{
		{USD: 0, FeeRate: 280}: "0", {USD: 1, FeeRate: 1}: "0.000000000001", {USD: 9_000_000_000_000_000_000, FeeRate: 1_000_000}: "9000000000000",
		{USD: 5_000_000, FeeRate: 0}: "0", {USD: 1_000_000, FeeRate: 1_000_000}: "1",
	} {
		if got := string(usd.AppendFee(nil)); got != want {
			t.Errorf("fee of %d at %d is %s, want %s", usd.USD, usd.FeeRate, got, want)
		}
	}
	// Of a forced trade the closed account is the taker, whichever side it was on.
	for _, makerAsk := range []bool{false, true} {
		forced := *trade
		forced.Kind, forced.MakerAsk = KindLiquidation, makerAsk
		closed, _, _ := forced.Closed()
		f := forced.Fill(m.ID, false)
		if got, want := string(f.AppendLiquidation(nil, closed, m)), string(forced.AppendLiquidation(nil, m)); got != want {
			t.Errorf("liquidation\n got %s\nwant %s", got, want)
		}
	}
}
