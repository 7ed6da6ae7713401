package lighter

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// The recorded answers come out again byte for byte: from what the store would hold of them, and from the kept text.
func TestRESTAnswersAsRecorded(t *testing.T) {
	market := func(native int64, price, size uint8) *model.Market {
		return &model.Market{Native: native, PriceScale: price, SizeScale: size, Scales: []model.Scale{{Price: price, Size: size}}}
	}
	t.Run("recentTrades", func(t *testing.T) {
		for name, m := range map[string]*model.Market{
			"recentTrades-BTC-2026-07-26.json": market(1, 1, 5), "recentTrades-ETH-one-2026-05-05.json": market(0, 2, 4),
		} {
			body := bytes.TrimSpace(fixture(t, name))
			b, err := ParseTrades(body, m)
			if err != nil {
				t.Fatal(err)
			}
			slices.Reverse(b.Rows)
			if got := AppendRecentTrades(nil, m, b.Rows); string(got) != string(body) {
				t.Errorf("%s\n got %s\nwant %s", name, got, body)
			}
		}
	})
	t.Run("candles", func(t *testing.T) {
		for name, m := range map[string]*model.Market{
			"candles-BTC-1h-2025-06.json": market(1, 1, 5), "candles-SAMSUNGUSD-1h-2026-06.json": market(162, 3, 3),
		} {
			body := bytes.TrimSpace(fixture(t, name))
			if got := AppendCandles(nil, m, "1h", parseBars(t, body, m)); string(got) != string(body) {
				t.Errorf("%s\n got %s\nwant %s", name, got, body)
			}
		}
	})
	t.Run("fundings", func(t *testing.T) {
		body := bytes.TrimSpace(fixture(t, "fundings-SAMSUNGUSD-1h-2026-06.json"))
		rows, err := ParseFundings(body)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendFundings(nil, "1h", rows); string(got) != string(body) {
			t.Errorf("got %s\nwant %s", got, body)
		}
	})
	t.Run("lists", func(t *testing.T) {
		for _, name := range []string{
			"orderBooks-3rows-2026-07-26.json", "orderBooks-5rows-2026-07-31.json", "orderBooks-ETH-2026-05-05.json",
			"orderBookDetails-ETH-2025-11.json", "orderBookDetails-ETH-2026-05-05.json",
			"funding-rates-ETH-2025-11.json", "funding-rates-two-rows-2026-06.json",
		} {
			body := bytes.TrimSpace(fixture(t, name))
			a, err := ParseRawAnswer(body)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Append(nil, nil, nil); string(got) != string(body) {
				t.Errorf("%s\n got %s\nwant %s", name, got, body)
			}
		}
	})
}

// parseBars reads a candles answer with encoding/json, digit by digit.
func parseBars(t *testing.T, body []byte, m *model.Market) []record.Candle {
	t.Helper()
	var answer struct{ C []map[string]json.Number }
	// Keys that differ in case only need a map: a struct would take v and V for the same.
	if err := json.Unmarshal(bytes.Replace(body, []byte(`"c":[`), []byte(`"C":[`), 1), &answer); err != nil {
		t.Fatal(err)
	}
	var bars []record.Candle
	for _, c := range answer.C {
		mant := func(name string, scale uint8) int64 {
			if c[name] == "" {
				return 0
			}
			v, err := num.Parse([]byte(c[name]), scale)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		id, _ := strconv.ParseUint(string(c["i"]), 10, 64)
		bars = append(bars, record.Candle{
			Time: model.Millis(mant("t", 0)), Open: num.Price(mant("o", m.PriceScale)), High: num.Price(mant("h", m.PriceScale)),
			Low: num.Price(mant("l", m.PriceScale)), Close: num.Price(mant("c", m.PriceScale)),
			Volume: num.Size(mant("v", m.SizeScale)), QuoteVolume: num.USD(mant("V", num.USDScale)), LastID: id,
		})
	}
	return bars
}

func TestEmptyAndZeroMembers(t *testing.T) {
	m := &model.Market{Native: 3, PriceScale: 2, SizeScale: 1, Scales: []model.Scale{{Price: 2, Size: 1}}}
	for _, tt := range []struct{ got, want string }{
		{string(AppendRecentTrades(nil, m, nil)), `{"code":200,"trades":[]}`},
		{string(AppendHeight(nil, 7)), `{"code":200,"height":7}`},
		{string(AppendFundings(nil, "1h", nil)), `{"code":200,"resolution":"1h","fundings":[]}`},
		{string(AppendFundings(nil, "1h", []model.Funding{{Time: 3_600_000, Rate: -12_000_000, Value: num.Decimal{Mant: 5, Scale: 3}}})),
			`{"code":200,"resolution":"1h","fundings":[{"timestamp":3600,"value":"0.005","rate":"0.0012","direction":"short"}]}`},
		{string(AppendCandles(nil, m, "1m", []record.Candle{{Time: 60_000, Open: 100, High: 150, Low: 100, Close: 120}})),
			`{"code":200,"r":"1m","c":[{"t":60000,"o":1,"h":1.5,"l":1,"c":1.2}]}`},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s\nwant %s", tt.got, tt.want)
		}
	}
}

// The stream's figures stand where the venue's stood, in the same form; everything else is untouched.
func TestRawAnswerTakesLiveFigures(t *testing.T) {
	const body = `{"code":200,"x":[1,2],"rows":[{"symbol":"A","market_id":1,"market_type":"perp","status":"active","last_trade_price":10.5,` +
		`"new":{"last_trade_price":1},"daily_price_change":-0.5,"mark_price":"9.10","index_price":null},{"symbol":"B","market_id":2,"last_trade_price":3}],"tail":1.0}`
	a, err := ParseRawAnswer([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	stats := &model.Stats{
		Has: model.HasLastTrade | model.HasMark | model.HasIndex | model.HasDailyHigh, LastTrade: num.Decimal{Mant: 1100, Scale: 2},
		Mark: num.Decimal{Mant: 920, Scale: 2}, Index: num.Decimal{Mant: 1}, DailyHigh: num.Decimal{Mant: 7},
	}
	live := func(r *RawRow) *model.Stats {
		if r.Native == 1 {
			return stats
		}
		return nil
	}
	want := strings.NewReplacer(`10.5`, `11`, `"9.10"`, `"9.20"`).Replace(body)
	if got := string(a.Append(nil, nil, live)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	only := func(native int64) func(*RawRow) bool { return func(r *RawRow) bool { return r.Native == native } }
	if got, want := string(a.Append(nil, only(2), nil)), `{"code":200,"x":[1,2],"rows":[{"symbol":"B","market_id":2,"last_trade_price":3}],"tail":1.0}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, want := string(a.Append(nil, only(9), nil)), `{"code":200,"x":[1,2],"rows":[],"tail":1.0}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, ok := a.Member(nil, "tail"); !ok || string(got) != "1.0" {
		t.Errorf("tail is %s", got)
	}
	if _, ok := a.Member(nil, "none"); ok {
		t.Error("found a member that is not there")
	}
	var rows []RawRow
	a.Rows(func(r *RawRow) bool {
		rows = append(rows, RawRow{List: r.List, Native: r.Native, Symbol: r.Symbol, Type: r.Type, Active: r.Active})
		return true
	})
	if want := []RawRow{{List: "rows", Native: 1, Symbol: "A", Type: "perp", Active: true}, {List: "rows", Native: 2, Symbol: "B"}}; !reflect.DeepEqual(rows, want) {
		t.Errorf("rows %+v", rows)
	}
}

func FuzzRawAnswer(f *testing.F) {
	f.Add([]byte(`{"code":200,"order_books":[{"symbol":"A","market_id":1,"last_trade_price":1e3}],"a":[[{}],{}]}`))
	f.Add([]byte(` { "a" : [ { } , { "market_id" : "7" } ] , "b" : null } `))
	f.Add([]byte(`{"a":[{},1]}`))
	f.Add([]byte(`{"a":100,"b":[{"c":`))
	f.Add([]byte(`{"a":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseRawAnswer(slices.Clone(body))
		if err != nil {
			return
		}
		var want, got any
		out := a.Append(nil, nil, nil)
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%q becomes %q: %v", body, out, err)
		}
		if json.Unmarshal(body, &want) == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q becomes %q", body, out)
		}
		s := &model.Stats{Has: ^model.StatsMask(0), Mark: num.Decimal{Mant: -5, Scale: 3}}
		if out := a.Append(nil, nil, func(*RawRow) *model.Stats { return s }); !json.Valid(out) {
			t.Fatalf("%q becomes %q", body, out)
		}
	})
}
