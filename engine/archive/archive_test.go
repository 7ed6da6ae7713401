package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func linesOf(text string) Lines {
	rest := []byte(text)
	return func() ([]byte, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		line, after, _ := bytes.Cut(rest, []byte{'\n'})
		rest = after
		return line, nil
	}
}

// readAll reads a text with copies of its rows, and the faults of it.
func readAll(t testing.TB, text string, o Options) (rows []Row, faults []string) {
	t.Helper()
	r, err := NewReader(linesOf(text), o)
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := r.Next()
		var fault *RowError
		switch {
		case err == io.EOF:
			return rows, faults
		case errors.As(err, &fault):
			faults = append(faults, fault.Error())
		case err != nil:
			t.Fatal(err)
		default:
			rows = append(rows, *row)
		}
	}
}

func TestTradeForms(t *testing.T) {
	const want = "7 ETH 12345 1706700000123 3200.50/2 2.5/1 8001250000 buy 281474976710657 99"
	for name, text := range map[string]string{
		"csv": "trade_id,timestamp,market_id,symbol,price,size,usd_amount,side,ask_id,bid_account_id,unknown\n" +
			"12345,1706700000123,7,ETH,3200.50,2.5,8001.25,buy,281474976710657,99,x\n",
		"csv, other names and order, quoted, semicolons, carriage returns": "\xef\xbb\xbfSIZE;Price;time;\"id\";is_maker_ask;market_id;ticker;notional;ask_id;bid_account_id\r\n" +
			"2.5;\"3200.50\";2024-01-31T11:20:00.123Z;12345;True;7;\"ETH\";8001.25;281474976710657;99.0\r\n",
		"our own row":        `{"trade_id":12345,"tx_hash":null,"type":"trade","market_id":7,"symbol":"ETH","price":"3200.50","size":"2.5","usd_amount":"8001.25","side":"buy","ask_id":281474976710657,"ask_id_str":"281474976710657","bid_id":0,"bid_account_id":99,"is_maker_ask":true,"whale":false,"block_height":0,"timestamp":1706700000123,"recv_ts":null}` + "\n",
		"the venue's answer": `{"code":200,"trades":[{"trade_id":12345,"trade_id_str":"12345","type":"trade","market_id":7,"symbol":"ETH","size":"2.5","price":"3200.50","usd_amount":"8001.250000","ask_id":281474976710657,"bid_account_id":99,"is_maker_ask":true,"timestamp":1706700000123}]}`,
		"our answer over lines": "{\n  \"success\": true,\n  \"data\": {\"symbol\": \"ETH\", \"market_id\": 7, \"trades\": [\n" +
			`{"trade_id":"12345","price":3200.50,"size":2.5,"usd_amount":8001.25,"side":"buy","ask_id_str":"281474976710657","bid_account_id":99,"timestamp":1706700000.123}` + "\n]}}\n",
		"an array": `[{"id":12345,"price":"3200.50","amount":"2.5","notional":"8001.25","side":"BUY","ask_id":281474976710657,"bid_account_id":99,"market_id":7,"symbol":"ETH","ts":1706700000123456}]`,
	} {
		t.Run(name, func(t *testing.T) {
			rows, faults := readAll(t, text, Options{Name: "x.csv"})
			if len(rows) != 1 || len(faults) > 0 {
				t.Fatalf("%d rows, faults %v", len(rows), faults)
			}
			r := &rows[0]
			side := "sell"
			if r.Trade.TakerBuys() {
				side = "buy"
			}
			got := fmt.Sprintf("%d %s %d %d %s/%d %s/%d %d %s %d %d", r.Native, r.Symbol, r.Trade.ID, r.Time, r.Price, r.Price.Scale,
				r.Size, r.Size.Scale, r.Trade.USD, side, r.Trade.AskOrder, r.Trade.BidAccount)
			if r.Dataset != Trades || !r.HasUSD || got != want {
				t.Errorf("row is %s, want %s", got, want)
			}
			if !Looks([]byte(text), Options{}) {
				t.Error("it does not look like an archive")
			}
		})
	}
}

func TestCandleAndFundingForms(t *testing.T) {
	for text, want := range map[string]string{
		"timestamp,market_id,open,high,low,close,volume,quote_volume,trade_count\n1767225600,3,1.0,4,1,2,3.5,7,9\n":                                                                                                                            "1767225600000 1m0s 1.0 4 1 2 3.5 7000000 9 0",
		`{"code":200,"r":"1h","c":[{"t":1767225600000,"o":1.0,"h":4,"l":1,"c":2,"v":3.5000000000000004,"V":7,"i":8}]}`:                                                                                                                         "1767225600000 1h0m0s 1.0 4 1 2 3.5 7000000 0 8",
		`{"success":true,"data":{"market_id":3,"resolution":"1d","candles":[{"timestamp":1767225600000,"open":"1.0","high":"4","low":"1","close":"2","volume":"3.5","quote_volume":"7","trade_count":null,"last_trade_id":8,"closed":true}]}}`: "1767225600000 24h0m0s 1.0 4 1 2 3.5 7000000 0 8",
	} {
		rows, faults := readAll(t, text, Options{Name: "candles-eth-1m.csv"})
		if len(rows) != 1 || len(faults) > 0 {
			t.Fatalf("%s: %d rows, faults %v", text, len(rows), faults)
		}
		c := &rows[0].Candle
		got := fmt.Sprintf("%d %s %s %s %s %s %s %d %d %d", rows[0].Time, c.Resolution, c.Open, c.High, c.Low, c.Close, c.Volume, c.QuoteVolume, c.Trades, c.LastID)
		if got != want {
			t.Errorf("%s:\n%s, want\n%s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"timestamp,market_id,rate,value,direction\n1767225600,3,0.000012,0.0384,long\n":                                             "1767225600000 12000000 0.0384 true",
		"timestamp,market_id,rate,direction\n1767225600,3,0.000012,short\n":                                                         "1767225600000 -12000000 0 false",
		"timestamp,market_id,rate_percent\n1767225600,3,-0.0012\n":                                                                  "1767225600000 -12000000 0 false",
		"timestamp,market_id,rate\n2026-01-01,3,0.000011999999999999999\n":                                                          "1767225600000 12000000 0 true",
		"timestamp,market_id,rate\n2026-01-01 00:00:00,3,1.2E-5\n":                                                                  "1767225600000 12000000 0 true",
		`{"code":200,"resolution":"1h","fundings":[{"timestamp":1767225600,"value":"0.0384","rate":"0.0012","direction":"short"}]}`: "1767225600000 -12000000 0.0384 false",
		`{"data":{"market_id":3,"rates":[{"timestamp":1767225600000,"rate":"-0.000012","value":"0.0384","direction":"short"}]}}`:    "1767225600000 -12000000 0.0384 false",
		`{"timestamp":1767225600000,"market_id":3,"rate":"0.000012","direction":"long"}` + "\n":                                     "1767225600000 12000000 0 true",
	} {
		rows, faults := readAll(t, text, Options{})
		if len(rows) != 1 || len(faults) > 0 {
			t.Fatalf("%s: %d rows, faults %v", text, len(rows), faults)
		}
		f := &rows[0].Funding
		if got := fmt.Sprintf("%d %d %s %t", f.Time, f.Rate, f.Value, f.LongPays); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// A bad row is named with its line and column and leaves its neighbours alone.
func TestBadRows(t *testing.T) {
	head := "timestamp,market_id,trade_id,price,size,side\n"
	good := "1767225600000,3,%d,10.5,1,sell\n"
	for bad, want := range map[string]string{
		"1767225600000,3,9,10.5,1":                      "t.csv:3: has not as many fields as the header",
		"1767225600000,3,9,10.5,1,sell,x":               "t.csv:3: has not as many fields as the header",
		`1767225600000,3,9,"10.5,1,sell`:                "t.csv:3: a quoted field does not end in its line",
		"yesterday,3,9,10.5,1,sell":                     "t.csv:3: column timestamp: no time; write unix seconds, ms or us, or RFC 3339",
		",3,9,10.5,1,sell":                              "t.csv:3: column timestamp: is missing",
		"1767225600000,x,9,10.5,1,sell":                 "t.csv:3: column market_id: not a whole number",
		"1767225600000,3,0,10.5,1,sell":                 "t.csv:3: column trade_id: is missing",
		"1767225600000,3,1.5,10.5,1,sell":               "t.csv:3: column trade_id: not a whole number",
		"1767225600000,3,9,0x1F,1,sell":                 "t.csv:3: column price: not a decimal number",
		"1767225600000,3,9,-1,1,sell":                   "t.csv:3: column price: not above 0",
		"1767225600000,3,9,0.30000000000000004,1,sell":  "t.csv:3: column price: a printed binary float, not a decimal; export the exact number",
		"1767225600000,3,9,99999999999999999999,1,sell": "t.csv:3: column price: more digits than can be kept",
		"1767225600000,3,9,10.5,1,up":                   "t.csv:3: column side: neither buy nor sell, the side of the taker",
	} {
		rows, faults := readAll(t, head+fmt.Sprintf(good, 1)+bad+"\n"+fmt.Sprintf(good, 2), Options{Name: "t.csv"})
		if len(rows) != 2 || len(faults) != 1 || faults[0] != want {
			t.Errorf("%s: %d rows, %v; want %q", bad, len(rows), faults, want)
		}
	}
	candles := "timestamp,market_id,open,high,low,close,volume,resolution\n"
	for bad, want := range map[string]string{
		"1767225660001,3,1,2,1,1,1,1m":   "column timestamp: not the start of a candle of its resolution",
		"1767225660000,3,1,2,1,1,1,5m":   "column resolution: not one that is stored: 1m, 1h or 1d, of which the others are made",
		"1767225660000,3,1,2,1,1,1,":     "column resolution: is missing; say it with --resolution 1m, 1h or 1d",
		"1767225660000,3,3,2,1,1,1,1m":   "column high: below another price of the candle",
		"1767225660000,3,1,2,1.5,2,1,1m": "column low: above another price of the candle",
		"1767225660000,3,1,2,1,1,-1,1m":  "column volume: below 0",
	} {
		rows, faults := readAll(t, candles+bad+"\n", Options{Name: "t.csv"})
		if len(rows) != 0 || len(faults) != 1 || faults[0] != "t.csv:2: "+want {
			t.Errorf("%s: %d rows, %v; want %q", bad, len(rows), faults, want)
		}
	}
	rows, faults := readAll(t, `{"timestamp":1767225600000,"market_id":3,"rate":"0.1"}`+"\n{\"timestamp\":17\n\n"+
		`{"timestamp":1767225600000,"market_id":4,"rate":"0.1","direction":"up"}`+"\n"+
		`{"timestamp":1767229200000,"market_id":3,"rate":"-0.1","direction":"long"}`+"\n"+
		`{"timestamp":1767229200001,"market_id":3,"rate":"-0.1"}`, Options{Name: "f.jsonl"})
	want := "f.jsonl:2: not a whole JSON value\nf.jsonl:4: column direction: neither long nor short, the side that pays\n" +
		"f.jsonl:5: column direction: contradicts the sign of the rate\nf.jsonl:6: column timestamp: not a full hour, at which funding is settled"
	if len(rows) != 1 || strings.Join(faults, "\n") != want {
		t.Errorf("%d rows, faults\n%s\nwant\n%s", len(rows), strings.Join(faults, "\n"), want)
	}
}

// What makes no dataset is refused with what is missing. What is nearly one is taken for an archive, so that this is told.
func TestColumnsThatMakeNothing(t *testing.T) {
	for _, c := range []struct {
		text, want string
		looks      bool
	}{
		{"a,b,c\n", "columns make no dataset", false},
		{"timestamp,price,size,side\n", "columns make no dataset: for trades they lack trade_id or trade_id_str", true},
		{"timestamp,exchange_time,time,price,size,id,side\n", "columns make no dataset: timestamp and time both name the timestamp; take one out", true},
		{"timestamp,open,high,low,close\n", "columns make no dataset: for candles they lack volume", true},
		{"", "columns make no dataset: the file is empty", false},
		{"ts_s,market,rate_percent_per_hour_unsigned\n", "columns make no dataset", false},
		{"timestamp,open,high,low,close,volume,funding_rate\n", "columns make no dataset of one kind: several would fit; say which with --dataset", false},
	} {
		if _, err := NewReader(linesOf(c.text), Options{}); !errors.Is(err, ErrColumns) || err.Error() != c.want {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
		if Looks([]byte(c.text), Options{}) != c.looks {
			t.Errorf("%q looks like an archive: %v", c.text, !c.looks)
		}
	}
	if _, err := NewReader(linesOf("timestamp,open,high,low,close,volume,funding_rate\n"), Options{Name: "funding.csv"}); err != nil {
		t.Errorf("the file's name does not decide: %v", err)
	}
	if _, err := NewReader(linesOf("timestamp,rate\n"), Options{Dataset: Candles}); !errors.Is(err, ErrColumns) {
		t.Errorf("fundings as candles: %v", err)
	}
}

// Recorded frames are no archives, though some of them hold lists of trades.
func TestFramesAreNoArchives(t *testing.T) {
	for _, line := range []string{
		`{"channel":"trade:7","liquidation_trades":null,"trades":[{"trade_id":1,"price":"1","size":"1","timestamp":1}],"type":"update/trade"}`,
		`{"type":"subscribed/trade","trades":[{"trade_id":1}],"channel":"trade:7"}`,
		`{"seq":1,"recv_us":1,"msg":{"trades":[{}]}}`, `{"captured_at":"x","frame":{}}`, `{"session_id":"a","type":"connected"}`,
		`{"type":"book","ts_ms":1,"bids":[]}`, `{"type":"trade","ts_ms":1767225600000,"recv_us":2,"price":1,"size":2}`, "not json", "[]", "[1]", "{}", "",
	} {
		if Looks([]byte(line), Options{}) {
			t.Errorf("%s looks like an archive", line)
		}
	}
	long := `{"code":200,"r":"1m","c":[` + strings.Repeat(`{"t":1767225600000,"o":1,"h":1,"l":1,"c":1,"v":1},`, 100)
	if !Looks([]byte(long), Options{}) {
		t.Error("the head of a long answer does not look like an archive")
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]model.Micros{
		"1767225600": 1767225600e6, "1767225600.5": 1767225600500000, "1757015216.673878": 1757015216673878, "1767225600123": 1767225600123000,
		"1767225600123.75": 1767225600123750, "1767225600123456": 1767225600123456, "1767225600123456789": 1767225600123456,
		"1.767225600123e12": 1767225600123000, "2026-01-01": 1767225600e6, "2026-01-01T01:00:00+01:00": 1767225600e6,
		"2026-01-01 00:00:00.25+00:00": 1767225600250000, "2026-01-01T00:00:00": 1767225600e6, "0": 0,
	} {
		if got, err := parseTime([]byte(text)); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-5", "soon", "1e99", "0x10", "1767225600x", "2026-13-01", "12:00", ".", "1.", "99999999999999999999"} {
		if got, err := parseTime([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	if _, ok := ParseResolution("5m"); ok || time.Hour != resolutions["1h"] {
		t.Error("five minutes can be stored")
	}
}

// Whatever is written without a float's noise comes back to the digit, in plain form and with an exponent.
func TestNumbersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := num.Decimal{Mant: rapid.Int64Range(-1e14, 1e14).Draw(t, "mant"), Scale: uint8(rapid.IntRange(0, 12).Draw(t, "scale"))}
		for _, text := range []string{d.String(), fmt.Sprintf("%de-%d", d.Mant, d.Scale), fmt.Sprintf("%dE-%02d", d.Mant, d.Scale)} {
			for name, parse := range map[string]func([]byte) (num.Decimal, error){"decimal": parseDecimal, "exact": parseExact, "sum": parseSum} {
				if got, err := parse([]byte(text)); err != nil || got.Cmp(d) != 0 {
					t.Fatalf("%s of %s is %s, %v", name, text, got, err)
				}
			}
		}
	})
}

// The noise of floats comes off sums: what was added up in binary comes back as the sum of the decimals.
func TestSumsOfFloats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(0, 4).Draw(t, "scale")
		sum, exact := 0.0, int64(0)
		for range rapid.IntRange(1, 50).Draw(t, "parts") {
			v := rapid.Int64Range(1, 1e7).Draw(t, "part")
			exact += v
			f, _ := new(big.Rat).SetFrac64(v, num.Pow10(uint8(scale))).Float64()
			sum += f
		}
		text := []byte(fmt.Sprint(sum))
		got, err := parseSum(text)
		if err != nil || got.Cmp(num.Decimal{Mant: exact, Scale: uint8(scale)}) != 0 {
			t.Fatalf("%s is %s, %v; want %s", text, got, err, num.Decimal{Mant: exact, Scale: uint8(scale)})
		}
	})
	for text, want := range map[string]string{
		"651.4899999999999": "651.49", "13435.960344000001": "13435.960344", "28.360000000000003": "28.36", "4010.2548249999995": "4010.254825",
		"0.000011999999999999999": "0.000012", "-2.061736842105263E-7": "-0.0000002061736842105263", "123456789012345678": "123456789012345678",
		"99999999.999999999999": "100000000",
	} {
		if got, err := parseSum([]byte(text)); err != nil && want[0] != '-' || err == nil && got.String() != want {
			t.Errorf("%s is %s, %v; want %s", text, got, err, want)
		}
	}
}

// No text makes a parser panic, and what it lets through can be true.
func FuzzReader(f *testing.F) {
	for _, text := range []string{
		"trade_id,timestamp,market_id,price,size,side\n1,1767225600000,3,1.5,2,buy\n", "timestamp;open;high;low;close;volume\n1;1;1;1;1;1",
		"ts,rate\n\"2026-01-01\",1e-5\n", `{"c":[{"t":1767225600000,"o":1,"h":1,"l":1,"c":1,"v":1}],"r":"1m"}`,
		"[\n{\"rate\":1,\n\"timestamp\":5}]", `{"data":{"trades":[{"trade_id":1}]}}`, "{\"rate\":\"1\",\"timestamp\":0}\n{\n", "\xef\xbb\xbf", "\"", "[[[",
	} {
		f.Add(text, uint8(0))
	}
	f.Fuzz(func(t *testing.T, text string, dataset uint8) {
		o := Options{Name: "f", Dataset: Dataset(dataset % 4), Resolution: time.Minute}
		Looks([]byte(text), o)
		r, err := NewReader(linesOf(text), o)
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			row, err := r.Next()
			if err == io.EOF {
				return
			}
			if n > len(text)+10 {
				t.Fatal("more rows than the text has bytes")
			}
			if err != nil {
				continue
			}
			if row.Native < NoMarket || row.Dataset == Unknown {
				t.Fatalf("row %+v", row)
			}
			switch c := &row.Candle; row.Dataset {
			case Trades:
				if row.Trade.ID == 0 || row.Price.Mant <= 0 || row.Size.Mant <= 0 {
					t.Fatalf("trade %+v", row)
				}
			case Candles:
				if c.High.Cmp(c.Low) < 0 || c.Volume.Mant < 0 || int64(row.Time)%c.Resolution.Milliseconds() != 0 {
					t.Fatalf("candle %+v", row)
				}
			case Funding:
				if row.Funding.LongPays != (row.Funding.Rate >= 0) && row.Funding.Rate != 0 {
					t.Fatalf("funding %+v", row)
				}
			}
		}
	})
}
