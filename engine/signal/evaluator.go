package signal

import (
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

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
type Evaluator struct{}

// NewEvaluator returns an evaluator without signals that has seen no value yet.
func NewEvaluator() *Evaluator { return &Evaluator{} }

// Set adds a signal or replaces it. The state is what State of it told before, or the zero State; it is not kept.
func (e *Evaluator) Set(id uuid.UUID, rule Rule, enabled bool, cooldown time.Duration, state State) {}

// Remove forgets a signal.
func (e *Evaluator) Remove(id uuid.UUID) {}

// State returns a signal's state as of the last event; false where there is no such signal.
func (e *Evaluator) State(id uuid.UUID) (State, bool) { return State{}, false }

// Len returns the number of signals.
func (e *Evaluator) Len() int { return 0 }

// OnEvent evaluates the signals that look at a field that the event sets, and tells each one that triggers, in no
// particular order. each may call the evaluator's other methods.
func (e *Evaluator) OnEvent(ev *Event, each func(*Trigger)) {}
