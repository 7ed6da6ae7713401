package signal

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// drawDecimal draws from few values in several spellings, so that values meet, cross and equal each other.
func drawDecimal(t *rapid.T) num.Decimal {
	scale := rapid.SampledFrom([]uint8{0, 0, 1, 2, 18}).Draw(t, "scale")
	if scale == 18 {
		return num.Decimal{Mant: rapid.Int64Range(-3, 3).Draw(t, "whole")*1e18 + rapid.Int64Range(0, 1).Draw(t, "atom"), Scale: 18}
	}
	tenths := rapid.Int64Range(-20, 60).Draw(t, "tenths")
	if scale == 0 {
		return num.Decimal{Mant: tenths / 10}
	}
	return num.Decimal{Mant: tenths * num.Pow10(scale-1), Scale: scale}
}

func drawRule(t *rapid.T) Rule {
	n := rapid.SampledFrom([]int{1, 1, 2, 2, 3, 10}).Draw(t, "conditions")
	r := Rule{Any: rapid.Bool().Draw(t, "any")}
	for range n {
		r.Conditions = append(r.Conditions, Condition{
			Field: Field(rapid.IntRange(0, fieldCount-1).Draw(t, "field")), Op: Op(rapid.IntRange(0, opCount-1).Draw(t, "op")),
			Value: drawDecimal(t), Quoted: rapid.Bool().Draw(t, "quoted")})
	}
	return r
}

func drawEvent(t *rapid.T, at model.Millis) *Event {
	kind := rapid.SampledFrom([]Kind{TradeEvent, TradeEvent, TradeEvent, BookEvent, BookEvent, FundingEvent, HeatmapEvent}).Draw(t, "kind")
	ev := &Event{Kind: kind, Time: at}
	fields := map[Kind]FieldSet{TradeEvent: tradeFields, BookEvent: bookFields, FundingEvent: fundingFields, HeatmapEvent: heatmapFields}[kind]
	if kind == BookEvent && rapid.IntRange(0, 3).Draw(t, "half") == 0 {
		fields = setOf(BidDepth)
	}
	for f := range Field(fieldCount) {
		if fields.Has(f) {
			ev.set(f, drawDecimal(t))
		}
	}
	return ev
}

// The evaluator triggers what the contract's text says, trigger for trigger, while signals are added, changed, taken out and
// restored from their encoded states in between.
func TestEvaluatorEqualsContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, n := NewEvaluator(), newNaive()
		at := model.Millis(1_000_000)
		set := func(id uuid.UUID, rule Rule, s State) {
			enabled, secs := rapid.IntRange(0, 7).Draw(t, "enabled") > 0, rapid.SampledFrom([]int{0, 1, 2, 60}).Draw(t, "cooldown")
			e.Set(id, rule, enabled, time.Duration(secs)*time.Second, s)
			n.set(id, rule, enabled, secs, s)
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			id := uuid.UUID{byte(rapid.IntRange(1, 12).Draw(t, "id"))}
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				set(id, drawRule(t), State{})
			case 2:
				e.Remove(id)
				delete(n.signals, id)
			case 3: // the process starts anew: fields have no value until the next one comes
				if rapid.IntRange(0, 3).Draw(t, "restart") > 0 {
					break
				}
				restored, naive := NewEvaluator(), newNaive()
				old, rules := n, map[uuid.UUID]State{}
				for id := range old.signals {
					s, _ := e.State(id)
					s, err := DecodeState(AppendState(nil, s))
					if err != nil {
						t.Fatal(err)
					}
					rules[id] = s
				}
				e, n = restored, naive
				for id, s := range rules {
					set(id, old.signals[id].rule, s)
				}
			case 4: // other settings, the same rule
				if old := n.signals[id]; old != nil {
					s, _ := e.State(id)
					if rapid.Bool().Draw(t, "reset") {
						s = s.Reset()
					}
					set(id, old.rule, s)
				}
			default:
				at += rapid.SampledFrom([]model.Millis{0, 1, 300, 999, 1000, 1001, 2000, -50, -1500, 30_000, 60_000}).Draw(t, "later")
				ev := drawEvent(t, at)
				if got, want := triggersOf(e, ev), n.onEvent(ev); !slices.Equal(got, want) {
					t.Fatalf("event %+v:\n got %v\nwant %v", ev, got, want)
				}
			}
			if got, want := stateText(e, id), n.state(id); got != want {
				t.Fatalf("state is %s, want %s", got, want)
			}
			checkPlaces(t, e)
		}
	})
}

// checkPlaces checks what makes the index right: each enabled signal is asleep or watched, and never both.
func checkPlaces(t *rapid.T, e *Evaluator) {
	watched := map[*entry]int{}
	for f := range e.ladders {
		for op := range e.ladders[f] {
			var last *watch
			for _, c := range e.ladders[f][op].chunks {
				for i := range c {
					if last != nil && last.compare(&c[i]) >= 0 {
						t.Fatalf("ladder %d %d is out of order", f, op)
					}
					last = &c[i]
					watched[last.of]++
				}
			}
		}
	}
	for _, s := range e.signals {
		places := watched[s]
		switch {
		case !s.enabled && (places > 0 || s.slot != awake):
			t.Fatalf("a disabled signal is looked at")
		case s.enabled && (places > 0) == (s.slot != awake):
			t.Fatalf("a signal is watched %d times and sleeps at %d", places, s.slot)
		}
		delete(watched, s)
	}
	if len(watched) > 0 {
		t.Fatalf("%d signals are watched that were taken out", len(watched))
	}
}

// A backtest counts what the contract's text does over the same events.
func TestBacktestEqualsContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule, secs := drawRule(t), rapid.SampledFrom([]int{0, 2, 60}).Draw(t, "cooldown")
		n, id := newNaive(), uuid.UUID{9}
		n.set(id, rule, true, secs, State{})
		var events []*Event
		var want Result
		var fired []string
		at := model.Millis(5_000)
		for range rapid.IntRange(0, 300).Draw(t, "events") {
			at += rapid.SampledFrom([]model.Millis{0, 400, 1000, 2500, -100}).Draw(t, "later")
			ev := drawEvent(t, at)
			events = append(events, ev)
			fired = append(fired, n.onEvent(ev)...)
			if ev.Has&rule.Fields() != 0 {
				want.Evaluated++
			}
		}
		got, err := Backtest(t.Context(), rule, time.Duration(secs)*time.Second, given2(events))
		if err != nil {
			t.Fatal(err)
		}
		want.Triggers, want.Matches, want.Truncated = len(fired), n.signals[id].matches, len(fired) > MaxTriggers
		if got.Triggers != want.Triggers || got.Matches != want.Matches || got.Evaluated != want.Evaluated || got.Truncated != want.Truncated {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i, f := range got.First {
			if s := fmt.Sprint(id, f.At, f.Matched); s != fired[i] {
				t.Fatalf("trigger %d is %s, want %s", i, s, fired[i])
			}
		}
		if len(got.First) != min(len(fired), MaxTriggers) {
			t.Fatalf("%d triggers listed of %d", len(got.First), len(fired))
		}
	})
}

// given2 lends one event at a time, as a stream does.
func given2(events []*Event) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		var lent Event
		for _, ev := range events {
			if lent = *ev; !yield(&lent, nil) {
				return
			}
		}
	}
}
