package lighter

import "fmt"

// FrameError is a refused frame: which rule it broke (ErrMalformed, ErrValue, ...), where and on what. It never quotes
// the frame.
type FrameError struct {
	Kind   error
	Offset int    // byte where reading stopped
	What   string // what was expected, or the member's name
}

// Error returns the rule, the place and the member.
func (e *FrameError) Error() string {
	return fmt.Sprintf("%v at byte %d: %s", e.Kind, e.Offset, e.What)
}

// Unwrap returns the rule.
func (e *FrameError) Unwrap() error { return e.Kind }

// Reason returns a short word for metrics.
func (e *FrameError) Reason() string {
	switch e.Kind {
	case ErrValue:
		return "value"
	case ErrUnknownMarket:
		return "unknown_market"
	case ErrDigits:
		return "digits"
	}
	return "malformed"
}
