package lighter

import "testing"

// FuzzDecode checks that no input panics, that nothing but JSON is accepted, and that whatever is JSON decodes to what
// the reference says.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		smallBookFrame, oldBookFrame, tradeFrame, statsFrame,
		`{"type":"ping"}`, `{"error":{"code":30009,"message":"Too Many Websocket Messages!"}}`,
		`{"channel":"height","height":301813997,"timestamp":1785252531621,"type":"update/height"}`,
		`{"channel":"market_stats:all","market_stats":{"0":{"mark_price":"1.5","daily_price_low":1e-7},"36":null},"type":"update/market_stats"}`,
		`{"channel":"trade:0","liquidation_trades":[{"trade_id_str":"7","price":1,"size":"2","type":"x","is_maker_ask":1,"new":[]}],"trades":null,"type":"subscribed/trade"}`,
		`{"channel":"ticker:1","ticker":{"s":"BTC","a":{"price":"","size":""}},"type":"update/ticker"}`,
	} {
		f.Add([]byte(s))
	}
	known := newMarkets()
	d := NewDecoder(known)
	learning := newMarkets()
	learning.learn = true
	l := NewDecoder(learning)
	f.Fuzz(func(t *testing.T, frame []byte) {
		compare(t, d, frame, known)
		_, _ = decodeAll(l, frame, 1)
	})
}
