package signal

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
		e.book, e.booked = bookOf(ev), true
	}
}

// ShowBook tells what the triggers before the first book event say of the book. It sets no field: rules see full seconds.
func (e *Evaluator) ShowBook(ev *Event) {
	if !e.booked {
		e.book = bookOf(ev)
	}
}

// bookOf is what a context says of a book.
func bookOf(ev *Event) Context {
	return Context{BestBid: ev.BestBid, BestAsk: ev.BestAsk, Spread: ev.Values[Spread],
		HasBid: ev.HasBid, HasAsk: ev.HasAsk, HasSpread: ev.Has.Has(Spread)}
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
