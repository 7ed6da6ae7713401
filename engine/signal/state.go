package signal

import (
	"encoding/binary"
	"errors"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// stateVersion is the first byte of an encoded state.
const stateVersion = 1

// State is what of a signal outlives the process: when it triggered last, and the values that its crossing conditions have
// seen last.
type State struct {
	Last     model.Millis // event time of the last trigger; 0: none
	Previous []Previous   // one for each condition of the rule; nil: none has seen a value
}

// Previous is the last value that a crossing condition has seen; the zero Previous where there is none.
type Previous struct {
	Value num.Decimal
	Known bool
}

// Reset forgets the crossing values: the rule was changed or the signal enabled again. The cooldown goes on.
func (s State) Reset() State { return State{Last: s.Last} }

// ErrState reports bytes that are no encoded state.
var ErrState = errors.New("malformed state of a signal")

// AppendState encodes a state: version, time of the last trigger, number of conditions, and for each 0 where it has seen no
// value, else the scale plus one and the mantissa.
func AppendState(dst []byte, s State) []byte {
	dst = append(dst, stateVersion)
	dst = binary.AppendVarint(dst, int64(s.Last))
	dst = append(dst, byte(len(s.Previous)))
	for _, p := range s.Previous {
		if !p.Known {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, p.Value.Scale+1)
		dst = binary.AppendVarint(dst, p.Value.Mant)
	}
	return dst
}

// DecodeState decodes a state. Every state has one encoding: what DecodeState accepts, AppendState writes.
func DecodeState(b []byte) (State, error) {
	if len(b) == 0 || b[0] != stateVersion {
		return State{}, ErrState
	}
	last, b, ok := varint(b[1:])
	if !ok || last < 0 || len(b) == 0 || b[0] > MaxConditions {
		return State{}, ErrState
	}
	s := State{Last: model.Millis(last)}
	n := b[0]
	b = b[1:]
	if n > 0 {
		s.Previous = make([]Previous, n)
	}
	for i := range s.Previous {
		if len(b) == 0 || b[0] > num.MaxScale+1 {
			return State{}, ErrState
		}
		scale := b[0]
		b = b[1:]
		if scale == 0 {
			continue
		}
		var mant int64
		if mant, b, ok = varint(b); !ok {
			return State{}, ErrState
		}
		s.Previous[i] = Previous{Value: num.Decimal{Mant: mant, Scale: scale - 1}, Known: true}
	}
	if len(b) > 0 {
		return State{}, ErrState
	}
	return s, nil
}

// varint reads a number in its shortest form.
func varint(b []byte) (int64, []byte, bool) {
	v, n := binary.Varint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
