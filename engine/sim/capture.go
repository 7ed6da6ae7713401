package sim

import (
	"context"
	"errors"
	"time"
)

// CaptureOptions sets up the playing of a recording.
type CaptureOptions struct {
	File string
}

// Capture plays a recording.
type Capture struct{ h *hub }

// NewCapture reads a recording.
func NewCapture(o CaptureOptions) (*Capture, error) { return nil, errors.New("not yet") }

func (c *Capture) run(ctx context.Context) error { return nil }
func (c *Capture) stream() *hub                  { return c.h }
func (c *Capture) open(channel) *venueError      { return errInvalidChannel }
func (c *Capture) snapshot(b []byte, _ channel) []byte {
	return b
}
func (c *Capture) answer([]byte, string, query) ([]byte, *venueError) { return nil, errNotFound }
func (c *Capture) now() time.Time                                     { return time.Time{} }
