package signal

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// naive is the evaluator straight from the contract's text: every signal is evaluated at every event, one condition after
// the other, in arbitrary precision.
type naive struct {
	values  map[Field]num.Decimal
	signals map[uuid.UUID]*naiveSignal
}

type naiveSignal struct {
	rule     Rule
	enabled  bool
	silence  model.Millis
	last     model.Millis
	previous []Previous
	matches  int
}

func newNaive() *naive {
	return &naive{values: map[Field]num.Decimal{}, signals: map[uuid.UUID]*naiveSignal{}}
}

func (n *naive) set(id uuid.UUID, rule Rule, enabled bool, cooldownSecs int, s State) {
	previous := make([]Previous, len(rule.Conditions))
	if len(s.Previous) == len(previous) {
		copy(previous, s.Previous)
	}
	silence := model.Millis(cooldownSecs) * 1000
	if cooldownSecs == 0 {
		silence = 1000
	}
	n.signals[id] = &naiveSignal{rule: rule, enabled: enabled, silence: silence, last: s.Last, previous: previous}
}

func rational(d num.Decimal) *big.Rat {
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		panic(d.String())
	}
	return r
}

// onEvent returns the triggers, by signal.
func (n *naive) onEvent(ev *Event) []string {
	for f := range Field(fieldCount) {
		if ev.Has.Has(f) {
			n.values[f] = ev.Values[f]
		}
	}
	var out []string
	for id, s := range n.signals {
		if !s.enabled {
			continue
		}
		touched, all, some := false, true, false
		var matched []Match
		for i, c := range s.rule.Conditions {
			in := ev.Has.Has(c.Field)
			touched = touched || in
			v, known := n.values[c.Field]
			holds := false
			switch {
			case !known, (c.Field == TradePrice || c.Field == TradeSize || c.Field == TradeNotional) && !in:
			case c.Op == CrossesAbove || c.Op == CrossesBelow:
				if p := &s.previous[i]; in {
					if p.Known {
						before, now := rational(p.Value).Cmp(rational(c.Value)), rational(v).Cmp(rational(c.Value))
						holds = c.Op == CrossesAbove && before <= 0 && now > 0 || c.Op == CrossesBelow && before >= 0 && now < 0
					}
					*p = Previous{Value: v, Known: true}
				}
			default:
				r := rational(v).Cmp(rational(c.Value))
				holds = map[Op]bool{Greater: r > 0, Less: r < 0, GreaterEqual: r >= 0, LessEqual: r <= 0, Equal: r == 0, NotEqual: r != 0}[c.Op]
			}
			if holds {
				matched = append(matched, Match{Condition: c, Actual: v})
			}
			all, some = all && holds, some || holds
		}
		if !touched || !(all || s.rule.Any && some) {
			continue
		}
		s.matches++
		if s.last != 0 && ev.Time < s.last+s.silence {
			continue
		}
		s.last = ev.Time
		out = append(out, fmt.Sprint(id, ev.Time, matched))
	}
	slices.Sort(out)
	return out
}

// naiveState is what State must tell.
func (n *naive) state(id uuid.UUID) string {
	s := n.signals[id]
	if s == nil {
		return "none"
	}
	return fmt.Sprint(s.last, crossing(s.rule, s.previous))
}

func crossing(r Rule, previous []Previous) (out []string) {
	for i, c := range r.Conditions {
		if c.Op.crosses() {
			p := Previous{}
			if i < len(previous) {
				p = previous[i]
			}
			out = append(out, fmt.Sprint(i, p.Known, p.Value))
		}
	}
	return out
}

func stateText(e *Evaluator, id uuid.UUID) string {
	s, ok := e.State(id)
	if !ok {
		return "none"
	}
	return fmt.Sprint(s.Last, crossing(e.signals[id].rule, s.Previous))
}

// triggersOf returns what the evaluator tells, as onEvent does.
func triggersOf(e *Evaluator, ev *Event) []string {
	var out []string
	e.OnEvent(ev, func(t *Trigger) { out = append(out, fmt.Sprint(t.Signal, t.At, t.Matched)) })
	slices.SortFunc(out, cmp.Compare)
	return out
}
