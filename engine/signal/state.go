package signal

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// State is what of a signal outlives the process: when it triggered last, and the values that its crossing conditions have
// seen last.
type State struct {
	Last     model.Millis // event time of the last trigger; 0: none
	Previous []Previous   // one for each condition of the rule; nil: none has seen a value
}

// Previous is the last value that a crossing condition has seen.
type Previous struct {
	Value num.Decimal
	Known bool
}

// AppendState encodes a state.
func AppendState(dst []byte, s State) []byte { return dst }

// DecodeState decodes a state.
func DecodeState(b []byte) (State, error) { return State{}, nil }

// Reset forgets the crossing values: the rule was changed or the signal enabled again. The cooldown goes on.
func (s State) Reset() State { return State{Last: s.Last} }
