package lighter

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestDecodeProperty compares the decoder with the reference on frames whose members are right in name and often wrong
// in everything else: order, type, spelling, range.
func TestDecodeProperty(t *testing.T) {
	known := newMarkets()
	d := NewDecoder(known)
	compared := 0
	rapid.Check(t, func(rt *rapid.T) {
		frame := genFrame(rt)
		if compare(t, d, []byte(frame), known) {
			compared++
		}
	})
	if compared == 0 {
		t.Error("no frame could be compared")
	}
}

func genFrame(t *rapid.T) string {
	family := rapid.SampledFrom([]string{"order_book", "trade", "market_stats", "spot_market_stats", "ticker", "height", "other"}).Draw(t, "family")
	channel := family + rapid.SampledFrom([]string{":0", ":1", "/36", ":77", ":all", "", ":x", ":-1", ":00"}).Draw(t, "market")
	fields := map[string]string{
		"channel": strconv.Quote(channel),
		"type":    strconv.Quote(rapid.SampledFrom([]string{"update/", "subscribed/", "x/"}).Draw(t, "type") + family),
	}
	for _, name := range []string{"timestamp", "offset", "last_updated_at", "nonce", "height"} {
		if rapid.IntRange(0, 3).Draw(t, "has "+name) == 0 {
			fields[name] = genScalar(t)
		}
	}
	switch family {
	case "order_book":
		fields[family] = genObject(t, map[string]func(*rapid.T) string{
			"asks": genLevels, "bids": genLevels, "nonce": genScalar, "begin_nonce": genScalar, "offset": genScalar, "code": genScalar, "new": genAny,
		})
	case "trade":
		fields["trades"], fields["liquidation_trades"] = genTrades(t), genTrades(t)
	case "market_stats", "spot_market_stats":
		row := genStatsRow(t)
		if strings.HasSuffix(channel, "all") {
			row = `{"0":` + row + `,"1":` + genStatsRow(t) + `,"77":{},"36":null}`
		}
		fields[family] = row
	case "ticker":
		fields[family] = genObject(t, map[string]func(*rapid.T) string{"s": genScalar, "a": genAny})
	}
	if rapid.IntRange(0, 20).Draw(t, "broken") == 0 {
		fields[rapid.SampledFrom([]string{"order_book", "trades", "market_stats", "error", "type"}).Draw(t, "which")] = genAny(t)
	}
	return join(t, fields)
}

// join writes members in any order, with or without white space.
func join(t *rapid.T, fields map[string]string) string {
	var names []string
	for _, n := range rapid.Permutation([]string{"channel", "type", "timestamp", "offset", "last_updated_at", "nonce", "height", "order_book", "trades", "liquidation_trades", "market_stats", "spot_market_stats", "ticker", "error"}).Draw(t, "order") {
		if _, ok := fields[n]; ok {
			names = append(names, n)
		}
	}
	gap := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
	var b strings.Builder
	b.WriteString("{" + gap)
	for i, n := range names {
		if i > 0 {
			b.WriteString("," + gap)
		}
		b.WriteString(strconv.Quote(n) + gap + ":" + gap + fields[n])
	}
	return b.String() + gap + "}"
}

func genObject(t *rapid.T, members map[string]func(*rapid.T) string) string {
	var parts []string
	names := make([]string, 0, len(members))
	for n := range members {
		names = append(names, n)
	}
	// Map order is random; the draw must not be.
	for _, n := range rapid.Permutation(sorted(names)).Draw(t, "members") {
		if rapid.IntRange(0, 4).Draw(t, "has "+n) > 0 {
			parts = append(parts, strconv.Quote(n)+":"+members[n](t))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func genScalar(t *rapid.T) string {
	v := rapid.SampledFrom([]string{
		"0", "1", "7", "2.5", "0.10", "12345.6789", "-1", "-0", "1e2", "15e-1", "1E+3", "2.50e-2", "9223372036854775807", "9223372036854775808",
		"18446744073709551615", "18446744073709551616", "4332.97", "121044.4", "0.20129", "0.000000000000000001", "1e-7", "1e30", "-0.0012",
		"0.12345678901", "999999999999999999.5", "-0.0007352941176470588235", "null", `""`, `"abc"`, `"1.2.3"`, `"."`, `"-"`, `"1."`, `".5"`,
		`"+1"`, `"e5"`, `"1e"`, "true", "false", `"true"`, "{}", "[1,2]",
	}).Draw(t, "scalar")
	if v[0] != '"' && v[0] != '{' && v[0] != '[' && v[0] > '+' && v[0] <= '9' && rapid.Bool().Draw(t, "quoted") {
		return strconv.Quote(v)
	}
	return v
}

func genNumber(t *rapid.T) string {
	v := rapid.SampledFrom([]string{"1", "2.5", "0.10", "4332.9", "100", "0", "1.50000", "3e1", "0.20129", "-2"}).Draw(t, "number")
	if rapid.Bool().Draw(t, "quoted") {
		return strconv.Quote(v)
	}
	return v
}

func genAny(t *rapid.T) string {
	return rapid.SampledFrom([]string{"null", "{}", "[]", `{"a":[{"b":1}]}`, `"x"`, "5", "true", "[[[]]]"}).Draw(t, "any")
}

func genLevels(t *rapid.T) string {
	if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
		return genAny(t)
	}
	return list(t, func(t *rapid.T) string {
		number := genNumber
		if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			number = genScalar
		}
		return genObject(t, map[string]func(*rapid.T) string{"price": number, "size": number})
	})
}

func list(t *rapid.T, gen func(*rapid.T) string) string {
	var parts []string
	for range rapid.IntRange(0, 3).Draw(t, "length") {
		parts = append(parts, gen(t))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func genTrades(t *rapid.T) string {
	if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
		return genAny(t)
	}
	odd := rapid.IntRange(0, 3).Draw(t, "odd") == 0
	return list(t, func(t *rapid.T) string {
		number := genNumber
		if odd {
			number = genScalar
		}
		id := func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(0, 5).Draw(t, "id")) }
		members := map[string]func(*rapid.T) string{
			"trade_id": id, "price": number, "size": number, "usd_amount": number, "new": genAny,
			"type": func(t *rapid.T) string {
				return rapid.SampledFrom([]string{`"trade"`, `"liquidation"`, `"deleverage"`, `"market-settlement"`, `"auction"`, `""`, "null", "5"}).Draw(t, "type")
			},
			"is_maker_ask": func(t *rapid.T) string {
				return rapid.SampledFrom([]string{"true", "false", "1", "0", `"true"`, `""`, "null"}).Draw(t, "flag")
			},
		}
		for _, n := range rapid.SliceOfN(rapid.SampledFrom(append(knownTradeMembers, "ask_client_id", "bid_client_id_str", "integrator_fee")), 0, 6).Draw(t, "more") {
			if members[n] == nil {
				members[n] = number
			}
		}
		return genObject(t, members)
	})
}

func genStatsRow(t *rapid.T) string {
	value := genNumber
	if rapid.IntRange(0, 2).Draw(t, "odd") == 0 {
		value = genScalar
	}
	members := map[string]func(*rapid.T) string{
		"symbol": func(t *rapid.T) string {
			return rapid.SampledFrom([]string{`"ETH"`, `"OTHER"`, `""`, "null"}).Draw(t, "symbol")
		},
		"market_id": func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"0", "1", `"36"`, "null", "77"}).Draw(t, "id")
		},
	}
	for _, n := range []string{"mark_price", "last_trade_price", "best_bid_price", "open_interest", "funding_rate", "current_funding_rate", "funding_timestamp", "daily_price_change", "daily_base_token_volume", "open_interest_limit"} {
		members[n] = value
	}
	return genObject(t, members)
}
