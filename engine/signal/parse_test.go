package signal

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Every fault of a rule is a bad_request that names the member in details.field.
func TestParseRuleNamesTheFault(t *testing.T) {
	t.Parallel()
	ok := `{"field":"trade_price","op":"gt","value":1}`
	condition := func(s string) string { return `{"conditions":[` + ok + `,` + s + `]}` }
	eleven := strings.TrimSuffix(strings.Repeat(ok+",", 11), ",")
	for raw, field := range map[string]string{
		``: "", `null`: "", `[]`: "", `"x"`: "", `{`: "", ok + `x`: "", `{"conditions":[` + ok + `]}{}`: "",
		`{"conditions":[` + ok + `],"conditions":[` + ok + `]}`: "",
		`{}`:                                        ".conditions",
		`{"conditions":null}`:                       ".conditions",
		`{"conditions":{}}`:                         ".conditions",
		`{"conditions":[]}`:                         ".conditions",
		`{"conditions":"x"}`:                        ".conditions",
		`{"Conditions":[` + ok + `]}`:               ".conditions",
		`{"conditions":[` + eleven + `]}`:           ".conditions",
		`{"conditions":[` + ok + `],"logic":"XOR"}`: ".logic",
		`{"conditions":[` + ok + `],"logic":""}`:    ".logic",
		`{"conditions":[` + ok + `],"logic":1}`:     ".logic",
		condition(`null`):                           ".conditions[1]",
		condition(`[]`):                             ".conditions[1]",
		condition(`{"field":"trade_price","field":"trade_price","op":"gt","value":1}`): ".conditions[1]",
		condition(`{"op":"gt","value":1}`):                                             ".conditions[1].field",
		condition(`{"field":"price","op":"gt","value":1}`):                             ".conditions[1].field",
		condition(`{"field":"TRADE_PRICE","op":"gt","value":1}`):                       ".conditions[1].field",
		condition(`{"field":null,"op":"gt","value":1}`):                                ".conditions[1].field",
		condition(`{"field":0,"op":"gt","value":1}`):                                   ".conditions[1].field",
		condition(`{"field":"trade_price","value":1}`):                                 ".conditions[1].op",
		condition(`{"field":"trade_price","op":">","value":1}`):                        ".conditions[1].op",
		condition(`{"field":"trade_price","op":"gt"}`):                                 ".conditions[1].value",
		condition(`{"field":"trade_price","op":"gt","value":null}`):                    ".conditions[1].value",
		condition(`{"field":"trade_price","op":"gt","value":true}`):                    ".conditions[1].value",
		condition(`{"field":"trade_price","op":"gt","value":[1]}`):                     ".conditions[1].value",
		condition(`{"field":"trade_price","op":"gt","value":"1,5"}`):                   ".conditions[1].value",
		condition(`{"field":"trade_price","op":"gt","value":"NaN"}`):                   ".conditions[1].value",
		condition(`{"field":"trade_price","op":"gt","value":1e400}`):                   ".conditions[1].value",
		condition(`{"field":"trade_price","op":"gt","value":"1e99999999"}`):            ".conditions[1].value",
	} {
		_, err := ParseRule([]byte(raw), "rule_definition")
		e, is := errors.AsType[*model.Error](err)
		if !is || e.Code != model.CodeBadRequest || e.Details["field"] != "rule_definition"+field || !strings.HasPrefix(e.Message, "rule_definition"+field+" must ") {
			t.Errorf("%s: got %v %v, want a fault of %q", raw, err, e, field)
		}
	}
}

// Every field, operator and logic is read and written; logic is AND unless said, in any case of letters.
func TestParseRule(t *testing.T) {
	t.Parallel()
	for f := range Field(fieldCount) {
		for o := range Op(opCount) {
			raw := fmt.Sprintf(`{"conditions":[{"field":"%s","op":"%s","value":-1.50}],"logic":"OR"}`, f, o)
			r, err := ParseRule([]byte(raw), "r")
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.AppendJSON(nil)); got != raw {
				t.Errorf("wrote %s, want %s", got, raw)
			}
		}
	}
	for logic, want := range map[string]bool{`,"logic":"and"`: false, `,"logic":"Or"`: true, `,"logic":null`: false, ``: false, `,"note":{"a":1}`: false} {
		r, err := ParseRule([]byte(`{"conditions":[{"value":"4000.50","op":"gt","field":"trade_price","since":null}]`+logic+`}`), "r")
		if err != nil || r.Any != want || len(r.Conditions) != 1 || !r.Conditions[0].Quoted {
			t.Errorf("%s: got %+v, %v", logic, r, err)
		}
	}
}

// Values are exact, whatever way they are written.
func TestParseValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"4000": "4000", "4000.50": "4000.50", "-0.000012": "-0.000012", "4e3": "4000", "4E+3": "4000", "1.5e-3": "0.0015", "12.50e1": "125.0",
		"1e18": "1000000000000000000", "9223372036854775807": "9223372036854775807", "-9223372036854775808": "-9223372036854775808",
		"1e-18": "0.000000000000000001", "0": "0", "-0": "0", "0.00": "0.00", "0e9999": "0", "007": "7", "0.1000000000000000000000": "0.100000000000000000",
		"100000000000000000000000e-5": "1000000000000000000",
		"1e19":                        "", "9223372036854775808": "", "1e-19": "", "0.1000000000000000001": "", "": "", "-": "", ".5": "", "5.": "", "+5": "", "1e": "",
		"1e+-5": "", "1e--5": "", "1e5.0": "", "0x10": "", " 1": "", "1 ": "", "1_000": "", "Infinity": "", "e5": "", "1e00000": "", "--1": "",
		strings.Repeat("0", 65): "", strings.Repeat("0", 63) + "1": "1",
	} {
		d, ok := parseValue(text)
		if ok != (want != "") || ok && d.String() != want {
			t.Errorf("%q: got %s %v, want %q", text, d, ok, want)
		}
	}
}

// A rule that was written is read back as it was.
func TestRuleRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawRule(t)
		raw := r.AppendJSON(nil)
		if !json.Valid(raw) {
			t.Fatalf("%s is no JSON", raw)
		}
		got, err := ParseRule(raw, "r")
		if err != nil || fmt.Sprint(got) != fmt.Sprint(r) || !got.Same(r) {
			t.Fatalf("%s: got %v %v, want %v", raw, got, err, r)
		}
	})
}

func TestSameRule(t *testing.T) {
	t.Parallel()
	a := Rule{Conditions: []Condition{{Field: Spread, Op: Less, Value: num.Decimal{Mant: 5}}}}
	b := Rule{Conditions: []Condition{{Field: Spread, Op: Less, Value: num.Decimal{Mant: 500, Scale: 2}, Quoted: true}}}
	if !a.Same(b) {
		t.Error("5 and \"5.00\" are not the same")
	}
	for _, o := range []Rule{
		{Conditions: b.Conditions, Any: true}, {Conditions: append(b.Conditions, b.Conditions...)},
		{Conditions: []Condition{{Field: BidDepth, Op: Less, Value: num.Decimal{Mant: 5}}}},
		{Conditions: []Condition{{Field: Spread, Op: LessEqual, Value: num.Decimal{Mant: 5}}}},
		{Conditions: []Condition{{Field: Spread, Op: Less, Value: num.Decimal{Mant: 6}}}},
	} {
		if a.Same(o) {
			t.Errorf("%v is the same as %v", o, a)
		}
	}
}

// FuzzParseRule: what is accepted is written and read back as the same, and values are what their text says.
func FuzzParseRule(f *testing.F) {
	f.Add(`{"conditions":[{"field":"trade_price","op":"gt","value":4000}],"logic":"AND"}`)
	f.Add(`{"conditions":[{"field":"orderbook_spread","op":"crosses_above","value":"-1.50e-3"}],"logic":"or","x":[{}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := ParseRule([]byte(raw), "r")
		if err != nil {
			if e, ok := errors.AsType[*model.Error](err); !ok || !strings.HasPrefix(fmt.Sprint(e.Details["field"]), "r") {
				t.Fatalf("%v names no field", err)
			}
			return
		}
		if !json.Valid([]byte(raw)) {
			t.Fatalf("%q is no JSON", raw)
		}
		again, err := ParseRule(r.AppendJSON(nil), "r")
		if err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Fatalf("%q: wrote %s, read %v %v", raw, r.AppendJSON(nil), again, err)
		}
	})
}

// FuzzParseValue compares with arbitrary precision.
func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"1.50", "-4e3", "1e-18", "00.10", "1e+5", "9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseValue(s)
		if !ok {
			return
		}
		want, valid := new(big.Rat).SetString(s)
		if !valid || d.Scale > num.MaxScale || rational(d).Cmp(want) != 0 {
			t.Fatalf("%q is %s, want %v", s, d, want)
		}
	})
}

// FuzzDecodeState: a state has one encoding.
func FuzzDecodeState(f *testing.F) {
	f.Add(AppendState(nil, State{}))
	f.Add(AppendState(nil, State{Last: 1_706_745_600_000, Previous: []Previous{{}, {Value: num.Decimal{Mant: -5, Scale: 18}, Known: true}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(b)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatal(err)
			}
			return
		}
		if got := AppendState(nil, s); string(got) != string(b) {
			t.Fatalf("%x was read as %+v and is written %x", b, s, got)
		}
	})
}

// The bytes of a state stay readable: a store holds them.
func TestStateEncodingStays(t *testing.T) {
	t.Parallel()
	s := State{Last: 1_706_745_600_000, Previous: []Previous{{Value: num.Decimal{Mant: 400_050, Scale: 2}, Known: true}, {}}}
	const want = "0180e0b89fac63" + "02" + "03e4ea30" + "00"
	if got := fmt.Sprintf("%x", AppendState(nil, s)); got != want {
		t.Errorf("encoded as %s, want %s", got, want)
	}
	for _, bad := range []string{"", "\x02\x00\x00", "\x01", "\x01\x00", "\x01\x01\x00", "\x01\x00\x0b", "\x01\x00\x01", "\x01\x00\x01\x14\x00", "\x01\x00\x00\x00"} {
		if _, err := DecodeState([]byte(bad)); !errors.Is(err, ErrState) {
			t.Errorf("%x: got %v", bad, err)
		}
	}
}

// The texts are the contract's, section 4.4.
func TestTexts(t *testing.T) {
	t.Parallel()
	m := &model.Market{PriceScale: 2, SizeScale: 1}
	e := NewEvaluator()
	r, err := ParseRule([]byte(`{"conditions":[{"field":"trade_price","op":"gt","value":4000}]}`), "rule_definition")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(r.AppendJSON(nil)), `{"conditions":[{"field":"trade_price","op":"gt","value":4000}],"logic":"AND"}`; got != want {
		t.Errorf("rule is %s, want %s", got, want)
	}
	e.Set([16]byte{1}, r, true, 0, State{})
	var texts []string
	text := func(t *Trigger) {
		texts = append(texts, string(AppendMatches(nil, t.Matched)), string(t.Context.AppendJSON(nil)))
	}
	var ev Event
	trade := &model.Trade{ID: 12345, Time: 1_706_745_599_950, Price: 400_050, Size: 25, USD: 10_001_250_000, MakerAsk: true}
	ev.Trade(trade, m)
	e.OnEvent(&ev, text)
	ev.Book(1_706_745_600_000, []model.Level{{Price: 400_000, Size: 5}}, []model.Level{{Price: 400_050, Size: 7}}, 2, 1)
	e.OnEvent(&ev, text)
	ev.Funding(1_706_745_600_000, 12_000_000)
	e.OnEvent(&ev, text)
	trade.MakerAsk, trade.Time = false, trade.Time+2000
	ev.Trade(trade, m)
	e.OnEvent(&ev, text)
	matched := `[{"field":"trade_price","op":"gt","value":"4000","actual":"4000.50"}]`
	for i, want := range []string{matched,
		`{"trade":{"trade_id":12345,"price":"4000.50","size":"2.5","usd_amount":"10001.250000","side":"buy"},"best_bid":null,"best_ask":null,"spread":null,"funding_rate":null}`,
		matched,
		`{"trade":{"trade_id":12345,"price":"4000.50","size":"2.5","usd_amount":"10001.250000","side":"sell"},"best_bid":"4000.00","best_ask":"4000.50","spread":"0.50","funding_rate":"0.000012"}`} {
		if i >= len(texts) || texts[i] != want {
			t.Errorf("text %d of %q is not %s", i, texts, want)
		}
	}
	if got := string((&Context{}).AppendJSON(nil)); got != `{"trade":null,"best_bid":null,"best_ask":null,"spread":null,"funding_rate":null}` {
		t.Errorf("an empty context is %s", got)
	}
}
