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

// OnEvent evaluates the signals that look at a field that the event sets, and tells each one that triggers, in no
// particular order. each may call the evaluator's other methods.
func (e *Evaluator) OnEvent(ev *Event, each func(*Trigger)) {
	e.round++
	e.now = ev
	e.take(ev)
	e.findDue(ev)
	for i, s := range e.due {
		e.look(s)
		e.due[i] = nil
	}
	e.due = e.due[:0]
	e.settle(ev)
	for i := range e.fired {
		f := e.fired[i]
		e.fired[i].of = nil
		e.tell(f, each)
	}
	e.fired, e.now = e.fired[:0], nil
}

// take takes over the event's values.
func (e *Evaluator) take(ev *Event) {
	for f := range e.values {
		if ev.Has>>f&1 != 0 {
			e.previous[f], e.values[f] = e.values[f], ev.Values[f]
		}
	}
	e.had = e.known
	e.known |= ev.Has
	if ev.Kind == BookEvent {
		e.book = Context{BestBid: ev.BestBid, BestAsk: ev.BestAsk, Spread: ev.Values[Spread],
			HasBid: ev.HasBid, HasAsk: ev.HasAsk, HasSpread: ev.Has.Has(Spread)}
	}
}

// findDue finds every signal that may trigger on the event.
func (e *Evaluator) findDue(ev *Event) {
	for kinds := range e.asleep {
		if kinds>>ev.Kind&1 == 0 {
			continue
		}
		for {
			wake, ok := e.asleep[kinds].first()
			if !ok || wake > ev.Time {
				break
			}
			s := e.asleep[kinds][0]
			e.asleep[kinds].remove(s)
			e.visitDue(s)
		}
	}
	for f := range e.ladders {
		if ev.Has>>f&1 == 0 {
			continue
		}
		for s := range e.fresh[f] {
			if s.slot == awake {
				e.visitDue(s)
			}
		}
		for op := range e.ladders[f] {
			e.ladders[f][op].holding(Op(op), e.previous[f], e.had.Has(Field(f)), e.values[f], e.visitDue)
		}
	}
}

// look evaluates a signal, which is not asleep, and finds its next place.
func (e *Evaluator) look(s *entry) {
	e.unwatch(s)
	var held uint16
	for i := range s.rule.Conditions {
		if e.holds(s, i) {
			held |= 1 << i
		}
	}
	all := uint16(1)<<len(s.rule.Conditions) - 1
	evaluated := s.fields&e.now.Has != 0
	switch {
	case held == all || s.rule.Any && held != 0:
		if evaluated && e.now.Time >= s.wake {
			s.last = e.now.Time
			if s.silence >= 0 {
				s.wake = s.last + s.silence
			}
			e.fired = append(e.fired, firing{of: s, held: held})
		}
		e.asleep[s.kinds].push(s)
	case s.rule.Any:
		for i := range s.rule.Conditions {
			e.watch(s, i)
		}
	default:
		e.watch(s, calmest(&s.rule, all&^held))
	}
}

// holds tells whether a condition holds at the event.
func (e *Evaluator) holds(s *entry, i int) bool {
	c := &s.rule.Conditions[i]
	if !e.now.Has.Has(c.Field) && (c.Op.crosses() || tradeFields.Has(c.Field)) {
		return false
	}
	if !e.known.Has(c.Field) {
		return false
	}
	v := e.values[c.Field]
	if !c.Op.crosses() {
		return c.Op.compares(v.Cmp(c.Value))
	}
	before := e.previous[c.Field]
	if s.fresh>>i&1 != 0 {
		if !s.own[i].Known {
			return false
		}
		before = s.own[i].Value
	}
	if c.Op == CrossesAbove {
		return before.Cmp(c.Value) <= 0 && v.Cmp(c.Value) > 0
	}
	return before.Cmp(c.Value) >= 0 && v.Cmp(c.Value) < 0
}

// compares tells whether an operator holds for a value that compares so with the condition's.
func (o Op) compares(c int) bool {
	switch o {
	case Greater:
		return c > 0
	case Less:
		return c < 0
	case GreaterEqual:
		return c >= 0
	case LessEqual:
		return c <= 0
	case Equal:
		return c == 0
	case NotEqual:
		return c != 0
	}
	return false
}

// calmest returns the condition of a set whose truth changes least often by its looks: what moves once a second before what
// moves with every trade, and a crossing, true for one event only, before a level.
func calmest(r *Rule, set uint16) (best int) {
	least := math.MaxInt
	for i, c := range r.Conditions {
		if set>>i&1 == 0 {
			continue
		}
		unrest := 0
		if tradeFields.Has(c.Field) {
			unrest += 2
		}
		if !c.Op.crosses() {
			unrest++
		}
		if unrest < least {
			least, best = unrest, i
		}
	}
	return best
}

func (e *Evaluator) watch(s *entry, i int) {
	c := &s.rule.Conditions[i]
	e.ladders[c.Field][c.Op].add(watch{value: c.Value, of: s, at: uint8(i)})
	s.watched |= 1 << i
}

func (e *Evaluator) unwatch(s *entry) {
	for i := 0; s.watched != 0; i++ {
		if s.watched>>i&1 != 0 {
			c := &s.rule.Conditions[i]
			e.ladders[c.Field][c.Op].remove(watch{value: c.Value, of: s, at: uint8(i)})
			s.watched &^= 1 << i
		}
	}
}

// settle lets the crossing conditions that have seen the event's values share them from now on.
func (e *Evaluator) settle(ev *Event) {
	for f := range e.fresh {
		if ev.Has>>f&1 == 0 || len(e.fresh[f]) == 0 {
			continue
		}
		for s := range e.fresh[f] {
			for i, c := range s.rule.Conditions {
				if c.Field == Field(f) {
					s.fresh &^= 1 << i
				}
			}
		}
		clear(e.fresh[f])
	}
}

func (e *Evaluator) tell(f firing, each func(*Trigger)) {
	t := Trigger{Signal: f.of.id, At: e.now.Time, Matched: e.matched[:0], Context: e.book}
	for i, c := range f.of.rule.Conditions {
		if f.held>>i&1 != 0 {
			t.Matched = append(t.Matched, Match{Condition: c, Actual: e.values[c.Field]})
		}
	}
	e.matched = t.Matched
	if e.now.Kind == TradeEvent {
		t.Context.Trade = e.now
	}
	t.Context.FundingRate, t.Context.HasFundingRate = e.values[FundingRate], e.known.Has(FundingRate)
	each(&t)
}
