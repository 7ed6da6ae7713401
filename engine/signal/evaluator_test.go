package signal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

var testID = uuid.UUID{7}

func rule(t testing.TB, raw string) Rule {
	t.Helper()
	r, err := ParseRule([]byte(raw), "rule_definition")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func one(t testing.TB, field Field, op Op, value string) Rule {
	t.Helper()
	return rule(t, fmt.Sprintf(`{"conditions":[{"field":"%s","op":"%s","value":"%s"}]}`, field, op, value))
}

// setting returns an event that sets fields of one kind.
func setting(at model.Millis, values map[Field]string) *Event {
	ev := &Event{Time: at}
	for f, s := range values {
		d, ok := parseValue(s)
		if !ok {
			panic(s)
		}
		ev.set(f, d)
		switch {
		case tradeFields.Has(f):
			ev.Kind = TradeEvent
		case bookFields.Has(f):
			ev.Kind = BookEvent
		case heatmapFields.Has(f):
			ev.Kind = HeatmapEvent
		}
	}
	return ev
}

// fires tells how often an event triggers.
func fires(e *Evaluator, ev *Event) (n int) {
	e.OnEvent(ev, func(*Trigger) { n++ })
	return n
}

// Each of the nine fields triggers on what the venue sends, with the digits of the venue.
func TestFields(t *testing.T) {
	t.Parallel()
	m := &model.Market{PriceScale: 2, SizeScale: 1}
	var trade, book, funding, heatmap Event
	trade.Trade(&model.Trade{ID: 1, Time: 5_000, Price: 400_050, Size: 25, USD: 10_001_250_000}, m)
	var bids, asks []model.Level
	for i := range 21 { // the last level of each side is not summed
		bids = append(bids, model.Level{Price: num.Price(400_000 - i), Size: num.Size(i + 1)})
		asks = append(asks, model.Level{Price: num.Price(400_075 + i), Size: 3})
	}
	book.Book(6_000, bids, asks, 2, 1)
	funding.Funding(7_000, -12_000_000)
	heatmap.Heatmap(8_000, num.Decimal{Mant: 2_500_005, Scale: 1}, num.Decimal{Mant: 90_000})
	for _, c := range []struct {
		field  Field
		ev     *Event
		actual string
		other  *Event
	}{
		{TradePrice, &trade, "4000.50", &book}, {TradeSize, &trade, "2.5", &heatmap}, {TradeNotional, &trade, "10001.250000", &funding},
		{Spread, &book, "0.75", &trade}, {BidDepth, &book, "21.0", &trade}, {AskDepth, &book, "6.0", &funding},
		{FundingRate, &funding, "-0.000012", &book}, {LongAtRisk, &heatmap, "250000.5", &book}, {ShortAtRisk, &heatmap, "90000", &trade},
	} {
		e := NewEvaluator()
		e.Set(testID, one(t, c.field, Equal, c.actual), true, time.Minute, State{})
		if fires(e, c.other) != 0 {
			t.Errorf("%s triggered on an event without it", c.field)
		}
		var got []string
		e.OnEvent(c.ev, func(t *Trigger) {
			got = append(got, fmt.Sprint(t.Signal == testID, t.At == c.ev.Time, len(t.Matched), t.Matched[0].Condition.Field, t.Matched[0].Actual))
		})
		if want := []string{"true true 1 " + c.field.String() + " " + c.actual}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", c.field, got, want)
		}
	}
}

// Each operator at, above and below the value, across scales; crossings need the value before.
func TestOperators(t *testing.T) {
	t.Parallel()
	const below, at, above = "99.999999999999999", "100.00", "100.000000000000001"
	for op, want := range map[Op]string{Greater: "a", Less: "b", GreaterEqual: "ea", LessEqual: "be", Equal: "e", NotEqual: "ba"} {
		for value, letter := range map[string]string{below: "b", at: "e", above: "a"} {
			e := NewEvaluator()
			e.Set(testID, one(t, BidDepth, op, "100"), true, 0, State{})
			got, hold := fires(e, setting(1_000, map[Field]string{BidDepth: value})), 0
			if len(want) > 0 && slices.Contains([]byte(want), letter[0]) {
				hold = 1
			}
			if got != hold {
				t.Errorf("%s is true %d times for %s", op, got, value)
			}
		}
	}
	for _, c := range []struct {
		before, now  string
		above, below int
	}{
		{below, at, 0, 0}, {below, above, 1, 0}, {at, above, 1, 0}, {above, above, 0, 0}, {at, at, 0, 0},
		{above, at, 0, 0}, {above, below, 0, 1}, {at, below, 0, 1}, {below, below, 0, 0},
	} {
		for op, want := range map[Op]int{CrossesAbove: c.above, CrossesBelow: c.below} {
			e := NewEvaluator()
			e.Set(testID, one(t, FundingRate, op, "100"), true, 0, State{})
			if fires(e, setting(1_000, map[Field]string{FundingRate: c.before})) != 0 {
				t.Errorf("%s: the first value crossed", op)
			}
			if got := fires(e, setting(3_000, map[Field]string{FundingRate: c.now})); got != want {
				t.Errorf("%s from %s to %s is true %d times, want %d", op, c.before, c.now, got, want)
			}
		}
	}
}

// A condition on a field without a value is false, for ne as well, and makes AND false but not OR.
func TestNoValueYet(t *testing.T) {
	t.Parallel()
	for logic, want := range map[string]int{"AND": 0, "OR": 1} {
		e := NewEvaluator()
		e.Set(testID, rule(t, `{"conditions":[{"field":"funding_rate","op":"ne","value":5},{"field":"bid_depth","op":"gt","value":1}],"logic":"`+logic+`"}`), true, 0, State{})
		if got := fires(e, setting(1_000, map[Field]string{BidDepth: "2"})); got != want {
			t.Errorf("%s: triggered %d times, want %d", logic, got, want)
		}
		if got := fires(e, setting(3_000, map[Field]string{FundingRate: "4"})); got != 1 {
			t.Errorf("%s: triggered %d times once both had a value", logic, got)
		}
	}
}

// A crossing is true only on the event that crosses; what it compares with starts anew when the rule is set again, goes on
// with the state, and is the signal's own.
func TestCrossingState(t *testing.T) {
	t.Parallel()
	e := NewEvaluator()
	price := func(at model.Millis, v string) int { return fires(e, setting(at, map[Field]string{TradePrice: v})) }
	r := one(t, TradePrice, CrossesAbove, "100")
	e.Set(testID, r, true, 0, State{})
	if price(1_000, "90") != 0 || price(2_000, "110") != 1 || price(4_000, "120") != 0 || price(6_000, "90") != 0 {
		t.Error("a crossing is not true just on the event that crosses")
	}
	state, _ := e.State(testID)
	e.Set(testID, r, true, 0, state.Reset())
	if price(8_000, "110") != 0 {
		t.Error("the first value after a reset crossed")
	}
	// A process that starts anew goes on with the value before.
	e = NewEvaluator()
	e.Set(testID, r, true, 0, state)
	if price(8_000, "110") != 1 {
		t.Error("a restored crossing forgot the value before")
	}
	// Another event in between is no value of the field.
	price(10_000, "90")
	if fires(e, setting(12_000, map[Field]string{BidDepth: "1"})) != 0 || price(14_000, "101") != 1 {
		t.Error("an event of another kind changed the state of a crossing")
	}
}

// All conditions, or any, and which of them matched.
func TestLogic(t *testing.T) {
	t.Parallel()
	const conditions = `{"conditions":[{"field":"bid_depth","op":"gt","value":10},{"field":"ask_depth","op":"lt","value":5},{"field":"orderbook_spread","op":"gte","value":1}],"logic":`
	for _, c := range []struct {
		bid, ask, spread string
		and, or          int
	}{{"11", "4", "1", 3, 3}, {"10", "4", "1", 0, 2}, {"11", "5", "0", 0, 1}, {"10", "5", "0.9", 0, 0}, {"11", "4", "0.99", 0, 2}} {
		for logic, want := range map[string]int{`"and"}`: c.and, `"OR"}`: c.or} {
			e, got := NewEvaluator(), 0
			e.Set(testID, rule(t, conditions+logic), true, 0, State{})
			e.OnEvent(setting(1_000, map[Field]string{BidDepth: c.bid, AskDepth: c.ask, Spread: c.spread}), func(t *Trigger) { got = len(t.Matched) })
			if got != want {
				t.Errorf("%s %+v: %d conditions matched, want %d", logic, c, got, want)
			}
		}
	}
}

// Conditions on trades are false on every other event, and the other fields keep their value on a trade.
func TestTradeConditionsHoldForTheTradeOnly(t *testing.T) {
	t.Parallel()
	big, deep := map[Field]string{TradePrice: "1", TradeSize: "50", TradeNotional: "50"}, map[Field]string{BidDepth: "100"}
	e := NewEvaluator()
	e.Set(testID, rule(t, `{"conditions":[{"field":"trade_size","op":"gt","value":10},{"field":"bid_depth","op":"gt","value":10}]}`), true, 0, State{})
	if fires(e, setting(1_000, big)) != 0 || fires(e, setting(2_000, deep)) != 0 {
		t.Error("a trade counted at the book after it")
	}
	if fires(e, setting(3_000, big)) != 1 {
		t.Error("the book did not keep its value for the trade")
	}
	// With OR the book's value holds at a trade as well, but a trade's not at a book.
	e.Set(testID, rule(t, `{"conditions":[{"field":"trade_size","op":"gt","value":10},{"field":"bid_depth","op":"lt","value":10}],"logic":"OR"}`), true, 0, State{})
	if fires(e, setting(10_000, big)) != 1 || fires(e, setting(20_000, deep)) != 0 {
		t.Error("a trade's size counted at a book")
	}
	// Only an event that sets one of the rule's fields evaluates it.
	e.Set(testID, one(t, BidDepth, Greater, "10"), true, 0, State{})
	if fires(e, setting(30_000, big)) != 0 || fires(e, setting(40_000, deep)) != 1 {
		t.Error("a signal was evaluated on an event of others")
	}
}

// After a trigger a signal is silent for its cooldown, by the time of the events; one second at least. Events that come late
// never trigger inside of it.
func TestCooldown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cooldown time.Duration
		at       []model.Millis
		want     []int
	}{
		{time.Minute, []model.Millis{100_000, 100_001, 159_999, 160_000, 219_999, 220_000}, []int{1, 0, 0, 1, 0, 1}},
		{0, []model.Millis{100_000, 100_000, 100_999, 101_000, 101_999, 102_000}, []int{1, 0, 0, 1, 0, 1}},
		{time.Second, []model.Millis{100_000, 100_999, 101_000}, []int{1, 0, 1}},
		{time.Minute, []model.Millis{200_000, 100_000, 140_000, 259_999, 260_000, 200_001, 320_000}, []int{1, 0, 0, 0, 1, 0, 1}},
	} {
		e := NewEvaluator()
		e.Set(testID, one(t, TradePrice, Greater, "1"), true, c.cooldown, State{})
		for i, at := range c.at {
			if got := fires(e, setting(at, map[Field]string{TradePrice: "2"})); got != c.want[i] {
				t.Errorf("cooldown %s: %d triggers at %d of %v", c.cooldown, got, at, c.at)
			}
			if i == 1 { // it survives a restart, and a change of the rule
				s, _ := e.State(testID)
				s, err := DecodeState(AppendState(nil, s))
				if err != nil {
					t.Fatal(err)
				}
				e = NewEvaluator()
				e.Set(testID, one(t, TradePrice, GreaterEqual, "1"), true, c.cooldown, s.Reset())
			}
		}
	}
}

// A disabled signal does not fire; one that was taken out neither.
func TestDisabled(t *testing.T) {
	t.Parallel()
	e := NewEvaluator()
	for i, enabled := range []bool{false, true, false, true} {
		e.Set(testID, one(t, TradePrice, Greater, "1"), enabled, 0, State{})
		want := 0
		if enabled {
			want = 1
		}
		for range 2 {
			if got := fires(e, setting(model.Millis(1000*i+1000), map[Field]string{TradePrice: "2"})); got != want {
				t.Errorf("enabled %v: triggered %d times", enabled, got)
			}
			want = 0
		}
	}
	e.Remove(testID)
	if e.Len() != 0 || fires(e, setting(99_000, map[Field]string{TradePrice: "2"})) != 0 {
		t.Error("a signal fires that was taken out")
	}
}

// Whoever is told of a trigger may change the evaluator.
func TestChangesFromATrigger(t *testing.T) {
	t.Parallel()
	e, told := NewEvaluator(), 0
	for i := range 10 {
		e.Set(uuid.UUID{byte(i)}, one(t, TradePrice, Greater, "1"), true, 0, State{})
	}
	e.OnEvent(setting(1_000, map[Field]string{TradePrice: "2"}), func(tr *Trigger) {
		told++
		e.Remove(tr.Signal)
		e.Set(uuid.UUID{100, byte(told)}, one(t, TradePrice, Less, "1"), true, 0, State{})
	})
	if told != 10 || e.Len() != 10 || fires(e, setting(9_000, map[Field]string{TradePrice: "0"})) != 10 {
		t.Errorf("%d were told, %d are left", told, e.Len())
	}
}

// A ladder of thousands finds what a plain list does.
func TestLadderEqualsList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l ladder
		var list []watch
		entries := map[*entry]bool{}
		for i := range uint64(rapid.IntRange(0, 600).Draw(t, "size")) {
			w := watch{value: num.Decimal{Mant: rapid.Int64Range(-40, 40).Draw(t, "value")}, of: &entry{number: i}, at: uint8(i % 3)}
			l.add(w)
			list = append(list, w)
		}
		for range rapid.IntRange(0, len(list)/3).Draw(t, "removed") {
			i := rapid.IntRange(0, len(list)-1).Draw(t, "which")
			l.remove(list[i])
			list = slices.Delete(list, i, i+1)
		}
		for _, c := range l.chunks {
			if len(c) == 0 || len(c) > chunkEntries {
				t.Fatalf("a chunk has %d entries", len(c))
			}
		}
		for op := range Op(opCount) {
			before, now := num.Decimal{Mant: rapid.Int64Range(-42, 42).Draw(t, "before")}, num.Decimal{Mant: rapid.Int64Range(-420, 420).Draw(t, "now"), Scale: 1}
			clear(entries)
			l.holding(op, before, true, now, func(s *entry) {
				if entries[s] {
					t.Fatal("visited twice")
				}
				entries[s] = true
			})
			for _, w := range list {
				was, is := before.Cmp(w.value), now.Cmp(w.value)
				want := op.compares(is) || op == CrossesAbove && was <= 0 && is > 0 || op == CrossesBelow && was >= 0 && is < 0
				if entries[w.of] != want {
					t.Fatalf("%s %s from %s to %s: found %v", op, w.value, before, now, !want)
				}
				delete(entries, w.of)
			}
			if len(entries) > 0 {
				t.Fatalf("%d were found that are not there", len(entries))
			}
		}
	})
}

// An index of thousands of rules triggers what the plain loop does.
func TestManyRules(t *testing.T) {
	t.Parallel()
	r := newRand()
	rules, events := manyRules(r, 800), manyEvents(r, 3_000)
	e, p := evaluatorOf(rules), &plain{}
	for _, r := range rules {
		p.signals = append(p.signals, plainSignal{rule: r, fields: r.Fields()})
	}
	total := 0
	for i := range events {
		got, want := fires(e, &events[i]), p.onEvent(&events[i])
		if got != want {
			t.Fatalf("event %d: %d triggers, want %d", i, got, want)
		}
		total += got
	}
	if total < 100 {
		t.Errorf("only %d triggers", total)
	}
}
