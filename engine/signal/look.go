package signal

import "math"

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
