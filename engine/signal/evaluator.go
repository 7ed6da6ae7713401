package signal

import (
	"math"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// shortestSilence is how long a signal is silent after a trigger at least: a cooldown of 0 means once a second.
const shortestSilence = model.Millis(1000)

// Match is a condition that held, and the value that made it hold.
type Match struct {
	Condition Condition
	Actual    num.Decimal
}

// Context is what a trigger tells of the market beside its matches.
type Context struct {
	Trade                     *Event // the trade that triggered; nil where it was no trade
	BestBid, BestAsk, Spread  num.Decimal
	FundingRate               num.Decimal
	HasBid, HasAsk, HasSpread bool
	HasFundingRate            bool
}

// Trigger says that a signal's rule held. It and its slices are valid until the function that receives it returns.
type Trigger struct {
	Signal  uuid.UUID
	At      model.Millis // the event's time
	Matched []Match      // in the order of the rule
	Context Context
}

// Evaluator evaluates the signals of one market. It belongs to one goroutine.
//
// An event costs what it changes, not the number of signals. A signal is in one of three places. Right after it was set or
// has triggered it sleeps until its cooldown is over, and is then looked at with the first event that sets one of its
// fields. When a rule of AND was found not to hold, one of its conditions that did not is watched, in the ladder of its
// field and operator: while that one does not hold, the rule cannot. A rule of OR has all its conditions watched then. A new
// value of a field finds the watched conditions that now hold as a range of the ladder. Each of them is looked at and leaves
// the range, because the signal then sleeps or watches a condition that does not hold. A disabled signal is in no place.
type Evaluator struct {
	signals map[uuid.UUID]*entry
	count   uint64 // entries made so far
	round   uint64 // events so far

	known    FieldSet // fields that had a value
	values   [fieldCount]num.Decimal
	previous [fieldCount]num.Decimal // before the last event that set the field
	had      FieldSet                // fields that had a value before the last event
	book     Context                 // of the last book
	booked   bool                    // there was a book event

	ladders  [fieldCount][opCount]ladder
	asleep   [1 << kindCount]sleepers        // by the kinds of event that the rule looks at
	fresh    [fieldCount]map[*entry]struct{} // signals with a crossing condition that has values of its own
	now      *Event
	due      []*entry
	fired    []firing
	matched  []Match
	visitDue func(*entry)
}

// entry is a signal. Its crossing conditions share the market's values; only until the first value after it was set they
// have their own, which come from its state.
type entry struct {
	id       uuid.UUID
	number   uint64
	rule     Rule
	fields   FieldSet
	kinds    uint8 // set of Kind
	enabled  bool
	silence  model.Millis // after a trigger; negative: none, for counting matches
	last     model.Millis
	wake     model.Millis // no trigger before
	slot     int          // in its heap of sleepers, or awake
	watched  uint16       // conditions in a ladder
	fresh    uint16       // crossing conditions that look at own
	own      []Previous   // of the fresh ones
	lookedAt uint64       // the round in which it was found due
}

// awake is the slot of an entry that is in no heap.
const awake = -1

// firing is a trigger that is to be told.
type firing struct {
	of   *entry
	held uint16
}

// NewEvaluator returns an evaluator without signals that has seen no value yet.
func NewEvaluator() *Evaluator {
	e := &Evaluator{signals: map[uuid.UUID]*entry{}}
	for f := range e.fresh {
		e.fresh[f] = map[*entry]struct{}{}
	}
	e.visitDue = func(s *entry) {
		if s.lookedAt != e.round {
			s.lookedAt = e.round
			e.due = append(e.due, s)
		}
	}
	return e
}

// Set adds a signal or replaces it. The state is what State of it told before, or the zero State; it is not kept. One whose
// values are not as many as the rule's conditions counts as reset. The rule must not change from then on.
func (e *Evaluator) Set(id uuid.UUID, rule Rule, enabled bool, cooldown time.Duration, state State) {
	e.set(id, rule, enabled, max(model.Millis(cooldown.Milliseconds()), shortestSilence), state)
}

func (e *Evaluator) set(id uuid.UUID, rule Rule, enabled bool, silence model.Millis, state State) {
	e.Remove(id)
	e.count++
	s := &entry{id: id, number: e.count, rule: rule, fields: rule.Fields(), enabled: enabled, silence: silence, last: state.Last,
		wake: math.MinInt64, slot: awake}
	e.signals[id] = s
	for k, fields := range [kindCount]FieldSet{FundingEvent: fundingFields, HeatmapEvent: heatmapFields, BookEvent: bookFields, TradeEvent: tradeFields} {
		if s.fields&fields != 0 {
			s.kinds |= 1 << k
		}
	}
	if s.last != 0 && silence >= 0 {
		s.wake = s.last + silence
	}
	for i, c := range rule.Conditions {
		if !c.Op.crosses() {
			continue
		}
		if s.own == nil {
			s.own = make([]Previous, len(rule.Conditions))
			if len(state.Previous) == len(rule.Conditions) {
				copy(s.own, state.Previous)
			}
		}
		s.fresh |= 1 << i
		if enabled {
			e.fresh[c.Field][s] = struct{}{}
		}
	}
	if enabled {
		e.asleep[s.kinds].push(s)
	}
}

// Remove forgets a signal.
func (e *Evaluator) Remove(id uuid.UUID) {
	s := e.signals[id]
	if s == nil {
		return
	}
	delete(e.signals, id)
	if s.slot != awake {
		e.asleep[s.kinds].remove(s)
	}
	e.unwatch(s)
	for i := range s.rule.Conditions {
		if s.fresh>>i&1 != 0 {
			delete(e.fresh[s.rule.Conditions[i].Field], s)
		}
	}
}

// Enabled tells whether a signal is evaluated; false also where there is no such signal.
func (e *Evaluator) Enabled(id uuid.UUID) bool { s := e.signals[id]; return s != nil && s.enabled }

// State returns a signal's state as of the last event; false where there is no such signal.
func (e *Evaluator) State(id uuid.UUID) (State, bool) {
	s := e.signals[id]
	if s == nil {
		return State{}, false
	}
	out := State{Last: s.last}
	if s.own == nil {
		return out, true // nothing crosses
	}
	out.Previous = make([]Previous, len(s.rule.Conditions))
	for i, c := range s.rule.Conditions {
		switch {
		case s.fresh>>i&1 != 0:
			out.Previous[i] = s.own[i]
		case c.Op.crosses():
			out.Previous[i] = Previous{Value: e.values[c.Field], Known: true}
		}
	}
	return out, true
}

// Len returns the number of signals, disabled ones included.
func (e *Evaluator) Len() int { return len(e.signals) }
