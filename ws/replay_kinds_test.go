package ws

import (
	"fmt"
	"strings"
	"testing"

	"hyperlight/engine/model"
)

// Funding and statistics come in each format at their place, gaps of statistics too, and the totals count them.
func TestReplayOfEveryKind(t *testing.T) {
	native := Native{
		Book: func(dst []byte, _ *model.Market, _ uint8, _ *model.BookUpdate, _ model.Millis) []byte {
			return append(dst, "{}"...)
		},
		Trades: func(dst []byte, _ *model.Market, _ *model.TradeBatch) []byte { return append(dst, "{}"...) },
		Stats: func(dst []byte, m *model.Market, s *model.Stats, at model.Millis, first bool) []byte {
			return fmt.Appendf(dst, `{"type":"update/market_stats","channel":"market_stats:%d","mark":"%s","at":%d,"first":%v}`, m.Native, s.Mark, at, first)
		},
	}
	h := serveTape(t, Options{Native: native})
	c := h.local("/ws/replay")
	all := `"include":["trade","liquidation","funding","market_stats","order_book","orderbook_snapshot"]`
	for format, want := range map[string]struct {
		total  bool
		counts map[string]int // by event type and type
		frames []string       // the first frame of each is this, up to its wall clock
	}{
		"event": {true, map[string]int{"funding": 2, "market_stats": 4, "liquidation": 16, "trade": 160, "gap": 3}, []string{
			`{"type":"replay_event","event_type":"funding","data":{"market_id":0,"symbol":"M0","timestamp":1700000005000,"rate":"0.000012","value":"0.0384","direction":"long"},"ts":1700000005000,`,
			`{"type":"replay_event","event_type":"funding","data":{"market_id":0,"symbol":"M0","timestamp":1700000015000,"rate":"-0.000005","value":"0.0016","direction":"short"},"ts":1700000015000,`,
			`{"type":"replay_event","event_type":"market_stats","data":{"market_id":0,"symbol":"M0","mark_price":"3200.50","funding_rate":"0.000012","funding_timestamp":1700003600000,"recv_ts":1700000000007000},"ts":1700000000007,`,
			`{"type":"replay_event","event_type":"gap","data":{"market_id":0,"kind":"market_stats","from":1700000019900,"to":1700000080000,"reason":"upstream_disconnect"},"ts":1700000019900,`,
		}},
		"live": {false, map[string]int{"funding_update": 2, "market_stats_update": 4, "trade_update": 160, "gap": 3}, []string{
			`{"type":"funding_update","channel":"funding/0","funding":{"market_id":0,"symbol":"M0","timestamp":1700000005000,"rate":"0.000012","value":"0.0384","direction":"long"},"seq":1,"timestamp":1700000005000,"ts":1700000005000,`,
			`{"type":"market_stats_update","channel":"market_stats/0","market_stats":{"market_id":0,"symbol":"M0","mark_price":"3200.50","funding_rate":"0.000012","funding_timestamp":1700003600000,"recv_ts":1700000000007000},"seq":1,"timestamp":1700000000007,`,
			`{"type":"gap","channel":"market_stats/0","from":1700000019900,"to":1700000080000,"reason":"upstream_disconnect","seq":3,`,
		}},
		"native": {false, map[string]int{"update/market_stats": 4, "gap": 3}, []string{
			`{"type":"update/market_stats","channel":"market_stats:0","mark":"3200.50","at":1700000000007,"first":false}`,
			`{"type":"gap","channel":"market_stats:0","from":`,
		}},
	} {
		c.startAll(fmt.Sprintf(`,"format":%q,%s`, format, all))
		started, events, end := c.replayed()
		if end.Type != "replay_complete" || end.Sent != uint64(len(events)) {
			t.Fatalf("%s: ended with %s after %d", format, end.raw, len(events))
		}
		if want.total != (started.Total != nil) || want.total && *started.Total != end.Sent {
			t.Errorf("%s: started with %s, %d events came", format, started.raw, end.Sent)
		}
		counts := map[string]int{}
		for _, e := range events {
			if e.EventType != "" {
				counts[e.EventType]++
			} else {
				counts[e.Type]++
			}
		}
		for name, n := range want.counts {
			if counts[name] != n {
				t.Errorf("%s: %d of %s, want %d", format, counts[name], name, n)
			}
		}
		for _, text := range want.frames {
			found := false
			for _, e := range events {
				found = found || strings.HasPrefix(e.raw, text)
			}
			if !found {
				t.Errorf("%s: no frame begins with\n%s", format, text)
			}
		}
	}
	// The venue's stream tells funding inside the statistics.
	c.startAll(`,"format":"native","include":["funding"]`)
	if _, events, _ := c.replayed(); len(events) != 5 || events[0].Type != "update/market_stats" {
		t.Errorf("%d events", len(events))
	}
	// One kind alone, and its total.
	for kind, n := range map[string]uint64{"funding": 2, "market_stats": 5, "liquidation": 17} {
		c.startAll(fmt.Sprintf(`,"include":[%q]`, kind))
		if started, events, end := c.replayed(); end.Sent != n || uint64(len(events)) != n || started.Total == nil || *started.Total != n {
			t.Errorf("%s alone: %s ... %s", kind, started.raw, end.raw)
		}
	}
}
