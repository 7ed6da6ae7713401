// Package feed keeps the connections to a venue: it supervises the sockets, paces what is sent upstream, and hands every
// decoded frame to a sink. It knows no wire format (a Dialect does), applies no update to a book and stores nothing.
package feed

import (
	"context"
	"errors"
	"fmt"

	"hyperlight/engine/model"
)

// Sink takes decoded events. Deliver may block: the socket that calls it then stops reading, and TCP pushes back on the
// venue. Events of one channel come from one goroutine at a time, in the order received; those of different channels
// may come concurrently. The event shares no memory with the feed.
type Sink interface {
	Deliver(ctx context.Context, e model.Event) error
}

var (
	// ErrUpstream reports that the venue could not be reached or did not answer as a venue does.
	ErrUpstream = errors.New("upstream failed")
	// ErrBudget reports that the allowance of calls to the venue is spent and the queue for it is full.
	ErrBudget = errors.New("upstream budget spent")
	// ErrStale reports a socket on which nothing arrived for too long.
	ErrStale = errors.New("feed is silent")
)

// UpstreamError is a failed call to the venue. It matches ErrUpstream. Reason is short and never holds text that the
// venue sent.
type UpstreamError struct {
	Status int // HTTP status, 0 where no answer came
	Code   int // the venue's error code, 0 where it told none
	Reason string
	Err    error // cause, nil where the answer itself is the failure
}

// Error returns the reason with the status and the venue's code.
func (e *UpstreamError) Error() string {
	s := e.Reason
	if e.Status != 0 {
		s = fmt.Sprintf("%s (HTTP status %d)", s, e.Status)
	}
	if e.Code != 0 {
		s = fmt.Sprintf("%s (venue code %d)", s, e.Code)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns ErrUpstream and the cause.
func (e *UpstreamError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrUpstream}
	}
	return []error{ErrUpstream, e.Err}
}
