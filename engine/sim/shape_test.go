package sim

import (
	"encoding/json"
	"fmt"
	"hyperlight/engine/feed/feedtest"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// shape is what a JSON text looks like: for each object path the members in order, for each value path the kinds seen.
// Members that are numbers (maps by market) and array places become "*".
type shape struct {
	members map[string][]string
	kinds   map[string][]string
}

var (
	isNumber  = regexp.MustCompile(`^-?[0-9]+$`)
	isDecimal = regexp.MustCompile(`^-?[0-9]+\.[0-9]+$`)
	isHash    = regexp.MustCompile(`^[0-9a-f]{80}$`)
)

func shapeOf(t testing.TB, text string) shape {
	t.Helper()
	s := shape{members: map[string][]string{}, kinds: map[string][]string{}}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var walk func(path string) error
	walk = func(path string) error {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		kind := ""
		switch v := tok.(type) {
		case json.Delim:
			for d.More() {
				sub := path + "/*"
				if v == '{' {
					key, err := d.Token()
					if err != nil {
						return err
					}
					if name := key.(string); !isNumber.MatchString(name) {
						sub = path + "/" + name
						if !slices.Contains(s.members[path], name) {
							s.members[path] = append(s.members[path], name)
						}
					}
				}
				if err := walk(sub); err != nil {
					return err
				}
			}
			_, err = d.Token()
			return err
		case string:
			switch {
			case isHash.MatchString(v):
				kind = "hash"
			case isDecimal.MatchString(v):
				kind = "decimal text"
			case isNumber.MatchString(v):
				kind = "integer text"
			default:
				kind = "text"
			}
		case json.Number:
			kind = "number"
		default:
			kind = fmt.Sprintf("%T", v)
		}
		if !slices.Contains(s.kinds[path], kind) {
			s.kinds[path] = append(s.kinds[path], kind)
		}
		return nil
	}
	if err := walk(""); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	return s
}

// optional members are left out where they are zero, or came after the recording was made.
var optional = regexp.MustCompile(`_fee$|sign_changed$|allocated_margin_usdc|_client_id|_str$|transaction_time$|last_updated_at$|funding_paid_out|` +
	`^(i|v|V|assets|created_at|multiplier|mark_price|index_price|funding_clamp_.*|base_interest_rate|can_rfq.*|can_rfq_market_ids|metadata|cross_(initial|maintenance).*|pending_unlocks|account_trading_mode|timestamp|integrator.*|order_flags|next_cursor|total)$`)

// compare checks that got has the recorded members in the recorded order and with the recorded kinds of values.
func compare(t *testing.T, name, recorded, got string) {
	t.Helper()
	want, have := shapeOf(t, recorded), shapeOf(t, got)
	for path, members := range want.members {
		own := have.members[path]
		if len(own) == 0 {
			continue // an empty list or map
		}
		place := -1
		for _, m := range members {
			i := slices.Index(own, m)
			switch {
			case i < 0 && !optional.MatchString(m):
				t.Errorf("%s: %s lacks %q", name, path, m)
			case i >= 0 && i < place && !strings.Contains(m, "allocated"):
				t.Errorf("%s: %s has %q too early: %v, recorded %v", name, path, m, own, members)
			}
			place = max(place, i)
		}
		for _, m := range own {
			if !slices.Contains(members, m) && !optional.MatchString(m) {
				t.Errorf("%s: %s has %q, which was never recorded", name, path, m)
			}
		}
	}
	for path, kinds := range want.kinds {
		for _, k := range have.kinds[path] {
			textual := k != "number" && kinds[0] != "number" && (k == "text" || slices.Contains(kinds, "text"))
			counted := strings.HasSuffix(k, "text") && strings.HasSuffix(kinds[0], "text") && k != "text"
			if !slices.Contains(kinds, k) && !textual && !counted {
				t.Errorf("%s: %s is %v, recorded %v", name, path, k, kinds)
			}
		}
	}
}

// jsonLines returns the frames of a recording by type; wrapped lines are opened.
func framesByType(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(feedtest.Recording(t, name))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var w struct {
			Frame json.RawMessage `json:"frame"`
			Raw   string          `json:"raw"`
		}
		if json.Unmarshal([]byte(line), &w) == nil && len(w.Frame) > 0 {
			line = string(w.Frame)
		} else if w.Raw != "" {
			line = w.Raw
		}
		var head struct{ Type, Channel string }
		if json.Unmarshal([]byte(line), &head) == nil {
			key := head.Type
			if strings.HasSuffix(head.Channel, ":all") {
				key += ":all"
			}
			out[key] = line
		}
	}
	return out
}

// TestStreamShapes compares frames of every family with recorded ones.
func TestStreamShapes(t *testing.T) {
	x := New(Options{Seed: 2, Markets: 4, Accounts: 300, Rate: 1500, Volatility: 10, Start: testStart})
	own := map[string]string{}
	x.Tap(func(channel string, frame []byte) {
		var head struct{ Type, Channel string }
		if err := json.Unmarshal(frame, &head); err != nil || head.Channel != channel {
			t.Fatalf("%s: %v in %.200s", channel, err, frame)
		}
		if strings.HasSuffix(channel, ":all") {
			head.Type += ":all"
		}
		own[head.Type] = string(frame)
	})
	x.AdvanceBy(8 * time.Second)
	x.Tap(nil)
	busy := x.accounts[firstTrader]
	for _, a := range x.accounts[firstTrader:] {
		if a.trades > busy.trades {
			busy = a
		}
	}
	x.hub.mu.Lock()
	for _, name := range []string{"order_book/1", "trade/1", "ticker/1", "candle/1/1m", "mark_price_candle/1/1m", "market_stats/all", "market_stats/1", "height"} {
		ch, _ := parseChannel(name)
		key := "subscribed/" + ch.family
		if strings.HasSuffix(name, "/all") {
			key += ":all"
		}
		own[key] = string(x.snapshot(nil, ch))
	}
	maker := x.accounts[5]
	own["subscribed/account_all"] = string(x.appendAccountAll(nil, busy, "account_all:1", "subscribed", busy.positions, nil))
	own["update/account_all"] = string(x.appendAccountAll(nil, busy, "account_all:1", "update", busy.positions, busy.rows))
	own["subscribed/user_stats"] = string(x.appendUserStats(nil, busy, "user_stats:1", "subscribed"))
	ch, _ := parseChannel(fmt.Sprintf("account_all_orders/%d", maker.index))
	own["subscribed/account_all_orders"] = string(x.snapshot(nil, ch))
	x.hub.mu.Unlock()
	for _, c := range []struct{ file, kind string }{
		{"mainnet-CRV-order_book-complete-2026-07-29.jsonl", "subscribed/order_book"},
		{"mainnet-CRV-order_book-complete-2026-07-29.jsonl", "update/order_book"},
		{"mainnet-mixed-public-frames-2026-07-28.jsonl", "update/ticker"},
		{"mainnet-mixed-public-frames-2026-07-28.jsonl", "update/trade"},
		{"mainnet-mixed-public-frames-2026-07-28.jsonl", "update/market_stats"},
		{"mainnet-mixed-public-frames-2026-07-28.jsonl", "update/market_stats:all"},
		{"mainnet-mixed-public-frames-2026-07-28.jsonl", "update/height"},
		{"mainnet-ETH-candle-1m-2026-05-15.jsonl", "subscribed/candle"},
		{"testnet-mark_price_candle-BTC-1m-2026-07-28.jsonl", "subscribed/mark_price_candle"},
		{"mainnet-account_all-225671-2025-10-12.jsonl", "subscribed/account_all"},
		{"mainnet-account_all-225671-2025-10-12.jsonl", "update/account_all"},
		{"testnet-account_all_orders-516-2026-07-30.jsonl", "subscribed/account_all_orders"},
		{"user_stats-anonymised-2026-06-11.jsonl", "subscribed/user_stats"},
	} {
		recorded := framesByType(t, "lighter/ws/"+c.file)[c.kind]
		if recorded == "" || own[c.kind] == "" {
			t.Errorf("%s: recorded %d bytes, own %d", c.kind, len(recorded), len(own[c.kind]))
			continue
		}
		compare(t, c.kind, recorded, own[c.kind])
	}
}

// TestRESTShapes compares answers with recorded ones, status and content type with the venue's.
func TestRESTShapes(t *testing.T) {
	x := New(Options{Seed: 2, Markets: 4, Accounts: 300, Rate: 3000})
	x.AdvanceBy(5 * time.Second)
	addr := serve(t, x, ServeOptions{})
	now := time.Now()
	token := fmt.Sprintf("%d:1:2:00", now.Add(time.Hour).Unix())
	span := fmt.Sprintf("start_timestamp=%d&end_timestamp=%d&count_back=5", now.Add(-2*time.Hour).Unix(), now.Add(time.Hour).Unix())
	get := func(path string) (int, string, string) {
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, r.Header.Get("Content-Type"), string(body)
	}
	for path, file := range map[string]string{
		"/":                                    "root-status-2025-11.json",
		"/api/v1/orderBooks":                   "orderBooks-5rows-2026-07-31.json",
		"/api/v1/orderBookDetails?market_id=0": "orderBookDetails-ETH-2026-05-05.json",
		"/api/v1/orderBookOrders?market_id=1&limit=100":             "orderBookOrders-testnet-BTC-102-orders-2026-07-28.json",
		"/api/v1/recentTrades?market_id=1&limit=5":                  "recentTrades-BTC-2026-07-26.json",
		"/api/v1/candles?market_id=1&resolution=1h&" + span:         "candles-BTC-1h-2025-06.json",
		"/api/v1/fundings?market_id=1&resolution=1h&" + span:        "fundings-SAMSUNGUSD-1h-2026-06.json",
		"/api/v1/funding-rates":                                     "funding-rates-ETH-2025-11.json",
		"/api/v1/account?by=index&value=1":                          "account-index1-2026-07-26.json",
		"/api/v1/account?by=index&value=281474976710654":            "account-position-ETH-long-testnet-2025-11.json",
		"/api/v1/accountActiveOrders?account_index=1&auth=" + token: "accountActiveOrders-one-testnet-2026-08-01.json",
		"/api/v1/accountLimits?account_index=1&auth=" + token:       "accountLimits-testnet-2026-07-30.json",
		"/api/v1/nextNonce?account_index=1&api_key_index=2":         "nextNonce-2026-07-26.json",
		"/api/v1/systemConfig":                                      "systemConfig-2026-07-26.json",
		"/api/v1/withdrawalDelay":                                   "withdrawalDelay-2026-07-26.json",
	} {
		recorded, err := os.ReadFile(feedtest.Recording(t, "lighter/rest/"+file))
		if err != nil {
			t.Fatal(err)
		}
		status, kind, body := get(path)
		if status != 200 || kind != "application/json; charset=utf-8" {
			t.Errorf("%s: %d %s %.200s", path, status, kind, body)
			continue
		}
		compare(t, path, string(recorded), body)
	}
	for path, want := range map[string]string{
		"/api/v1/orderBookOrders?market_id=99999&limit=5":     `400 {"code":20001,"message":"invalid param "}`,
		"/api/v1/orderBookOrders?market_id=0&limit=251":       `400 {"code":20001,"message":"invalid param "}`,
		"/api/v1/account?by=index&value=999999999999":         `400 {"code":29404,"message":"not found"}`,
		"/api/v1/transferFeeInfo?account_index=1":             `400 {"code":20001,"message":"invalid param : auth query param and Authorization header are empty"}`,
		"/api/v1/accountLimits?account_index=1&auth=1:1:1:ff": `401 {"code":20013,"message":"invalid auth: invalid deadline"}`,
		"/api/v1/candles?market_id=0&resolution=2m&" + span:   `400 {"code":22402,"message":"invalid resolution: resolution unsupported"}`,
	} {
		if status, _, body := get(path); fmt.Sprintf("%d %s", status, body) != want {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	for _, path := range []string{"/api/v1/nothing", "/robots.txt", "/api/v2/orderBooks"} {
		if status, kind, body := get(path); status != 403 || kind != "text/html" || !strings.HasPrefix(body, "<html>") {
			t.Errorf("%s: %d %s", path, status, kind)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestRequestLimit reaches the anonymous tier: 60 reads a minute, 40 of them heavy ones.
func TestRequestLimit(t *testing.T) {
	addr := serve(t, smallExchange(), ServeOptions{Limits: Limits{RESTPerMinute: 60}})
	ask := func(path string) string {
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return fmt.Sprintf("%d %s", r.StatusCode, body)
	}
	const refused = `429 {"code":23000,"message":"Too Many Requests!"}`
	for i := range 41 {
		if got := ask("/api/v1/recentTrades?market_id=0&limit=1"); (got == refused) != (i == 40) {
			t.Fatalf("heavy read %d: %.80s", i, got)
		}
	}
	for i := range 21 {
		if got := ask("/api/v1/currentHeight"); (got == refused) != (i == 20) {
			t.Fatalf("read %d: %.80s", i, got)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
