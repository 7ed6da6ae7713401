package ws

import (
	"cmp"
	"fmt"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hyperlight/config"
	"hyperlight/engine/model"
	"hyperlight/engine/replay"
)

// expected is a frame that a window must give, without its wall clock, and its place.
type expected struct {
	ts    model.Millis
	class replay.Kind
	text  string
}

// expectedEvents writes the frames of a window of the tape by hand: the rows in order, each member spelled out.
func expectedEvents(h *taped, from, to model.Millis, include []string) []string {
	var all []expected
	add := func(ts model.Millis, k replay.Kind, text string, args ...any) {
		frame := fmt.Sprintf(`{"type":"replay_event",`+text, args...)
		all = append(all, expected{ts, k, fmt.Sprintf(`%s,"ts":%d,`, frame, ts)})
	}
	has := func(name string) bool { return slices.Contains(include, name) }
	gap := func(kind string, k replay.Kind) {
		if g := h.gap; g.From < to.Micros() && g.To > from.Micros() {
			add(max(g.From.Millis(), from), k, `"event_type":"gap","data":{"market_id":0,"kind":"%s","from":%d,"to":%d,"reason":"upstream_disconnect"}`,
				kind, g.From.Millis(), g.To.Millis())
		}
	}
	before := func(k replay.Kind) bool { return k == replay.Trade || k == replay.Liquidation && !has("trade") }
	for k, name := range map[replay.Kind]string{replay.Trade: "trade", replay.Liquidation: "liquidation"} {
		if !has(name) {
			continue
		}
		told := false
		for i := range h.trades {
			t := &h.trades[i]
			if t.Time < from || t.Time >= to || k == replay.Liquidation && t.Kind == model.KindTrade {
				continue
			}
			if !told && t.Time.Micros() > h.gap.From && before(k) {
				told = true
				gap("trade", k)
			}
			side, closed, other, closes := "buy", 42, 99, "long"
			if !t.MakerAsk {
				side = "sell"
			} else {
				closed, other, closes = 99, 42, "short"
			}
			if k == replay.Trade {
				add(t.Time, k, `"event_type":"trade","data":{"market_id":0,"trade_id":%d,"price":"3200.50","size":"2.5000","side":"%s","type":"%s",`+
					`"usd_amount":"8001.250000","ask_account_id":42,"bid_account_id":99,"recv_ts":%d}`, t.ID, side, t.Kind, t.Recv)
			} else {
				add(t.Time, k, `"event_type":"liquidation","data":{"liquidation_id":"0-%d","trade_id":%d,"market_id":0,"symbol":"M0","type":"liquidation",`+
					`"account_index":%d,"side":"%s","price":"3200.50","size":"2.5000","usd_amount":"8001.250000","counterparty_account_index":%d,"timestamp":%d,"recv_ts":%d}`,
					t.ID, t.ID, closed, closes, other, t.Time, t.Recv)
			}
		}
		if !told && before(k) {
			gap("trade", k)
		}
	}
	if has("order_book") {
		told := false
		for i := range h.rows {
			r := &h.rows[i]
			if r.Recv < from.Micros() || r.Recv >= to.Micros() {
				continue
			}
			if !told && r.Recv > h.gap.From {
				told = true
				gap("order_book", replay.BookUpdate)
			}
			if r.Update.Snapshot {
				bids := slices.Clone(r.Update.Bids)
				slices.SortFunc(bids, func(a, b model.Level) int { return cmp.Compare(b.Price, a.Price) })
				bids = slices.DeleteFunc(bids, func(l model.Level) bool { return l.Size == 0 })
				best := bids[0].Price
				add(r.Recv.Millis(), replay.BookUpdate, `"event_type":"orderbook_snapshot","resync":true,"data":{"market_id":0,"resync":true,"bids":%s,`+
					`"asks":[["200.00","0.0005"]],"best_bid":"%s","best_ask":"200.00","spread":"%s","nonce":%d}`,
					levelTexts(bids), cents(best), cents(20_000-best), r.Update.Seq)
				continue
			}
			add(r.Recv.Millis(), replay.BookUpdate, `"event_type":"order_book","data":{"market_id":0,"bids":%s,"asks":[],"nonce":%d,"begin_nonce":%d,"timestamp":%d,"recv_ts":%d}`,
				levelTexts(r.Update.Bids), r.Update.Seq, r.Update.Prev, r.Time, r.Recv)
		}
		if !told {
			gap("order_book", replay.BookUpdate)
		}
	}
	slices.SortStableFunc(all, func(a, b expected) int {
		return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.class, b.class))
	})
	var out []string
	for _, e := range all {
		out = append(out, e.text)
	}
	return out
}

// cents writes a price of two decimals.
func cents[T ~int64](p T) string { return fmt.Sprintf("%d.%02d", p/100, p%100) }

func levelTexts(levels []model.Level) string {
	var parts []string
	for _, l := range levels {
		size := fmt.Sprintf("%d.%04d", l.Size/10_000, l.Size%10_000)
		if l.Size == 0 {
			size = "0"
		}
		parts = append(parts, fmt.Sprintf(`["%s","%s"]`, cents(l.Price), size))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// Random windows of the tape give the recorded rows byte for byte, and the same bytes again.
func TestReplayOfRandomWindows(t *testing.T) {
	seed := rand.Int63()
	r := rand.New(rand.NewSource(seed))
	tape := newTape()
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	wall := regexp.MustCompile(`"replay_ts":\d+\}$`)
	for range 60 {
		from := tapeStart + model.Millis(r.Int63n(int64(tapeEnd-tapeStart)-200))
		to := from + 100 + model.Millis(r.Int63n(int64(tapeEnd-from)))
		include := []string{"trade", "liquidation", "order_book"}
		r.Shuffle(3, func(i, j int) { include[i], include[j] = include[j], include[i] })
		include = include[:1+r.Intn(3)]
		want := expectedEvents(tape, from, to, include)
		ask := fmt.Sprintf(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":"max","include":["%s"]}`, from, to, strings.Join(include, `","`))
		if !slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(s, `"event_type":"gap"`) }) {
			continue // nothing recorded
		}
		var runs [2][]string
		for i := range runs {
			c.say("%s", ask)
			_, events, end := c.replayed()
			if end.Type != "replay_complete" {
				t.Fatalf("seed %d: %s ended with %s", seed, ask, end.raw)
			}
			for _, e := range events {
				if !e.Initial {
					runs[i] = append(runs[i], wall.ReplaceAllString(e.raw, ""))
				}
			}
		}
		if !slices.Equal(runs[0], runs[1]) {
			t.Fatalf("seed %d: two replays of %s differ", seed, ask)
		}
		for i := range max(len(want), len(runs[0])) {
			if i >= len(want) || i >= len(runs[0]) || runs[0][i] != want[i] {
				t.Fatalf("seed %d: %s, event %d of %d and %d\n got %s\nwant %s", seed, ask, i, len(runs[0]), len(want),
					strings.Join(runs[0][min(i, len(runs[0])):min(i+1, len(runs[0]))], ""), strings.Join(want[min(i, len(want)):min(i+1, len(want))], ""))
			}
		}
	}
}

// Each plan has its window and its number of replays at once.
func TestReplayLimitsOfEveryPlan(t *testing.T) {
	day := int64(24 * 3600 * 1000)
	for _, x := range []struct {
		plan      string
		days      int64
		replays   int
		max, over string // the highest speed, and one above it
	}{{"starter", 7, 2, "100", "100.1"}, {"growth", 30, 5, "100", "101"}, {"scale", 90, 10, "100", `"max"`}, {"enterprise", 0, 12, "1000", "1000.5"}} {
		h := serveTape(t, Options{})
		ask := func(end int64, speed string) (*client, frame) {
			c := h.dial("/ws/replay", map[string][]string{"X-Api-Key": {"hlt_" + x.plan}})
			c.expect("authenticated")
			c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":%s}`, tapeStart, end, speed)
			return c, c.read()
		}
		if x.days > 0 {
			if _, f := ask(int64(tapeStart)+x.days*day+1, "1"); f.Code != codeReplayWindow {
				t.Errorf("%s: a longer range gives %s", x.plan, f.raw)
			}
		}
		if _, f := ask(int64(tapeEnd), x.over); f.Code != codeBadRequest {
			t.Errorf("%s: speed %s gives %s", x.plan, x.over, f.raw)
		}
		for i := range x.replays {
			end, speed := int64(tapeEnd), "0.1"
			if i == 0 {
				speed = x.max
			}
			if i == 1 && x.days > 0 {
				end = int64(tapeStart) + x.days*day
			}
			if _, f := ask(end, speed); f.Type != "replay_started" {
				t.Errorf("%s: replay %d to %d at %s gives %s", x.plan, i, end, speed, f.raw)
			}
		}
		_, f := ask(int64(tapeEnd), "0.1")
		if x.days > 0 && f.Code != codeReplayLimit || x.days == 0 && f.Type != "replay_started" {
			t.Errorf("%s: one more gives %s", x.plan, f.raw)
		}
	}
}

// A plan of the file may bound how long a replay is, how fast, and how far back it goes.
func TestReplayLimitsOfAPlanFile(t *testing.T) {
	from, day := int64(tapeStart), int64(24*3600*1000)
	for _, x := range []struct {
		depth    int
		to       int64
		speed    string
		code     string
		expected string
	}{
		{-1, from + day + 1, "1", codeReplayWindow, "error"},
		{-1, from + day, "50.5", codeBadRequest, "error"},
		{-1, from + day, `"max"`, codeBadRequest, "error"},
		{2, from + day, "50", codeReplayWindow, "error"},
		{-1, from + day, "50", "", "replay_started"},
	} {
		p := anyPlan()
		p.HistoryDepthDays, p.MaxRangeDays, p.MaxReplaySpeed = x.depth, 1, 50
		h := serveTape(t, Options{Access: newKeyring(map[string]config.Plan{"a": p})})
		c := h.dial("/ws/replay", map[string][]string{"X-Api-Key": {"a"}})
		c.expect("authenticated")
		c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":%s}`, from, x.to, x.speed)
		if f := c.expect(x.expected); f.Code != x.code {
			t.Errorf("%+v gives %s", x, f.raw)
		}
		if x.code == "" {
			c.say(`{"type":"set_speed","speed":51}`)
			for f := c.read(); f.Code != codeBadRequest; f = c.read() {
				if f.Type != "replay_event" {
					t.Fatalf("set_speed above the plan gives %s", f.raw)
				}
			}
		}
	}
}
