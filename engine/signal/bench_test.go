package signal

import (
	"encoding/binary"
	"math/rand"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/bench"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// plain is the loop that an index has to beat: every enabled signal looked at on every event, in machine numbers.
type plain struct {
	values, previous [fieldCount]num.Decimal
	known            FieldSet
	signals          []plainSignal
}

type plainSignal struct {
	rule   Rule
	fields FieldSet
	wake   model.Millis
}

func (p *plain) onEvent(ev *Event) (triggers int) {
	had := p.known
	for f := range Field(fieldCount) {
		if ev.Has.Has(f) {
			p.previous[f], p.values[f] = p.values[f], ev.Values[f]
		}
	}
	p.known |= ev.Has
	for i := range p.signals {
		s := &p.signals[i]
		if s.fields&ev.Has == 0 || ev.Time < s.wake {
			continue
		}
		held := 0
		for k := range s.rule.Conditions {
			c := &s.rule.Conditions[k]
			in := ev.Has.Has(c.Field)
			if !p.known.Has(c.Field) || !in && (c.Op.crosses() || tradeFields.Has(c.Field)) {
				continue
			}
			now := p.values[c.Field].Cmp(c.Value)
			switch c.Op {
			case CrossesAbove:
				if had.Has(c.Field) && p.previous[c.Field].Cmp(c.Value) <= 0 && now > 0 {
					held++
				}
			case CrossesBelow:
				if had.Has(c.Field) && p.previous[c.Field].Cmp(c.Value) >= 0 && now < 0 {
					held++
				}
			default:
				if c.Op.compares(now) {
					held++
				}
			}
		}
		if held == len(s.rule.Conditions) || s.rule.Any && held > 0 {
			s.wake = ev.Time + 60_000
			triggers++
		}
	}
	return triggers
}

// manyRules are rules as people write them: most on the price near to where it is, many with a second condition.
func manyRules(r *rand.Rand, n int) []Rule {
	rules := make([]Rule, n)
	near := func() num.Decimal { return num.Decimal{Mant: 320_000 + int64(r.NormFloat64()*8_000), Scale: 2} }
	for i := range rules {
		price := Condition{Field: TradePrice, Op: []Op{Greater, Less, CrossesAbove, CrossesBelow, GreaterEqual, LessEqual}[r.Intn(6)], Value: near()}
		switch r.Intn(10) {
		case 0:
			rules[i] = Rule{Conditions: []Condition{{Field: TradeNotional, Op: GreaterEqual, Value: num.Decimal{Mant: 50_000 + r.Int63n(1_000_000)}}}}
		case 1:
			rules[i] = Rule{Conditions: []Condition{{Field: Spread, Op: Greater, Value: num.Decimal{Mant: 50 + r.Int63n(500), Scale: 2}}}}
		case 2:
			rules[i] = Rule{Conditions: []Condition{price, {Field: BidDepth, Op: Less, Value: num.Decimal{Mant: r.Int63n(60), Scale: 0}}}}
		case 3:
			rules[i] = Rule{Conditions: []Condition{price, {Field: FundingRate, Op: Greater, Value: num.Decimal{Mant: r.Int63n(40), Scale: 6}}}}
		case 4:
			rules[i] = Rule{Conditions: []Condition{price, {Field: TradeSize, Op: Greater, Value: num.Decimal{Mant: r.Int63n(500), Scale: 1}}}}
		case 5:
			rules[i] = Rule{Any: true, Conditions: []Condition{{Field: TradePrice, Op: CrossesAbove, Value: near()}, {Field: TradePrice, Op: CrossesBelow, Value: near()}}}
		default:
			rules[i] = Rule{Conditions: []Condition{price}}
		}
	}
	return rules
}

// manyEvents are one market's at 1,000 a second: trades on a walking price, a book each second, a funding rate each ten.
func manyEvents(r *rand.Rand, n int) []Event {
	events := make([]Event, n)
	price := int64(320_000)
	for i := range events {
		ev, at := &events[i], model.Millis(1_700_000_000_000+int64(i))
		switch {
		case i%10_000 == 0:
			ev.Funding(at, num.Rate(r.Int63n(40)*1_000_000))
		case i%1000 == 1:
			ev.Book(at, []model.Level{{Price: num.Price(price - 5 - r.Int63n(20)), Size: num.Size(r.Int63n(90_000))}},
				[]model.Level{{Price: num.Price(price + 5 + r.Int63n(20)), Size: num.Size(r.Int63n(90_000))}}, 2, 3)
		default:
			price += int64(r.NormFloat64() * 12)
			size := int64(r.ExpFloat64() * 400)
			ev.Trade(&model.Trade{ID: uint64(i), Time: at, Price: num.Price(price), Size: num.Size(size), USD: num.USD(price * size * 10)},
				&model.Market{PriceScale: 2, SizeScale: 3})
		}
	}
	return events
}

func evaluatorOf(rules []Rule) *Evaluator {
	e := NewEvaluator()
	for i, r := range rules {
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:], uint64(i))
		e.Set(id, r, true, time.Minute, State{})
	}
	return e
}

// BenchmarkEvaluator evaluates 10,000 rules on one market, beside the plain loop over all of them. 1,000 events a second
// take so many thousandths of a core as an event takes microseconds.
func BenchmarkEvaluator(b *testing.B) {
	r := newRand()
	rules, events := manyRules(r, 10_000), manyEvents(r, 100_000)
	b.Run("indexed", func(b *testing.B) {
		e, triggers := evaluatorOf(rules), 0
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			ev := &events[i%len(events)]
			at := ev.Time
			ev.Time += model.Millis(i/len(events)) * 100_000
			e.OnEvent(ev, func(*Trigger) { triggers++ })
			ev.Time = at
		}
		b.ReportMetric(float64(triggers)/float64(b.N), "triggers/op")
	})
	b.Run("loop", func(b *testing.B) {
		p, triggers := &plain{}, 0
		for _, r := range rules {
			p.signals = append(p.signals, plainSignal{rule: r, fields: r.Fields()})
		}
		for i := 0; b.Loop(); i++ {
			triggers += p.onEvent(&events[i%len(events)])
		}
		b.ReportMetric(float64(triggers)/float64(b.N), "triggers/op")
	})
	b.Run("set", func(b *testing.B) {
		e := evaluatorOf(rules)
		for i := 0; b.Loop(); i++ {
			var id uuid.UUID
			binary.BigEndian.PutUint64(id[:], uint64(i%len(rules)))
			e.Set(id, rules[i%len(rules)], true, time.Minute, State{})
			e.OnEvent(&events[i%len(events)], func(*Trigger) {})
		}
	})
}

// BenchmarkEvaluatorRatio compares the two over the same events: 10,000 rules, and 100.
func BenchmarkEvaluatorRatio(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r := newRand()
			rules, events := manyRules(r, n), manyEvents(r, 100_000)
			e, p := evaluatorOf(rules), &plain{}
			for _, r := range rules {
				p.signals = append(p.signals, plainSignal{rule: r, fields: r.Fields()})
			}
			const turn = 1000
			var at [2]int
			next := func(i int, of func(*Event)) func() int {
				return func() int {
					for range turn {
						ev := events[at[i]%len(events)]
						ev.Time += model.Millis(at[i]/len(events)) * 100_000
						of(&ev)
						at[i]++
					}
					return turn
				}
			}
			bench.Compare(b, "events", next(0, func(ev *Event) { p.onEvent(ev) }), next(1, func(ev *Event) { e.OnEvent(ev, func(*Trigger) {}) }))
		})
	}
}

func newRand() *rand.Rand { return rand.New(rand.NewSource(1)) }
