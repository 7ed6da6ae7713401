package replay

import (
	"errors"
	"fmt"
	"math"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// ErrRemoved reports that a record is there no longer that a replay had still to play: retention or thinning has changed it.
var ErrRemoved = errors.New("record removed while it was replayed")

// Removal notices that retention drops what a reader of rows has still before it. Days are dropped whole, so that it is
// asked only where the rows go from one day to another, and at their end.
type Removal struct {
	h    HoleReader
	kind model.Kind
	was  []history.Span // dropped before: never promised
	at   model.Millis   // of the row that was looked at last, or where the reader began
	end  model.Millis   // of that day
}

// NewRemoval returns the Removal of a reader that begins at from, before it has read anything.
func NewRemoval(h HoleReader, kind model.Kind, from model.Millis) (Removal, error) {
	was, err := h.Dropped(kind)
	if err != nil {
		return Removal{}, fmt.Errorf("ask what retention has dropped: %w", err)
	}
	return newRemoval(h, kind, was, from), nil
}

func newRemoval(h HoleReader, kind model.Kind, was []history.Span, from model.Millis) Removal {
	r := Removal{h: h, kind: kind, was: was}
	r.stand(from)
	return r
}

// Row is told the time of each row that was read. It is ErrRemoved where a day from that of the row before on was dropped
// meanwhile.
func (r *Removal) Row(t model.Millis) error {
	if t < r.end {
		return nil
	}
	if err := r.look(t); err != nil {
		return err
	}
	r.stand(t)
	return nil
}

// End is Row where no more rows are there before to.
func (r *Removal) End(to model.Millis) error { return r.look(to - 1) }

func (r *Removal) look(t model.Millis) error {
	dropped, err := r.h.Dropped(r.kind)
	if err != nil {
		return fmt.Errorf("ask what retention has dropped: %w", err)
	}
	for _, sp := range dropped {
		sp.From, sp.To = max(sp.From, r.at), min(sp.To, t+1)
		if sp.From < sp.To && !within(sp, r.was) {
			return ErrRemoved
		}
	}
	return nil
}

func (r *Removal) stand(t model.Millis) {
	r.at, r.end = t, math.MinInt64
	if t >= 0 {
		r.end = t - t%day + day
	}
}

// within tells whether a span lies in one of those that do not touch one another.
func within(sp history.Span, in []history.Span) bool {
	for _, o := range in {
		if o.From <= sp.From && sp.To <= o.To {
			return true
		}
	}
	return false
}
