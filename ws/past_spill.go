package ws

import (
	"fmt"
	"io"
	"sync/atomic"
)

// spillPieces is how many pieces may be on their way to the writer.
const spillPieces = 2

// spill writes pieces on a goroutine of its own while the next one is being filled. It is used by one goroutine.
type spill struct {
	full   chan []byte
	free   chan []byte
	done   chan struct{}
	failed atomic.Bool
	err    error // the first failed write; read after failed or done says that it is there
}

func newSpill(w io.Writer, size int) *spill {
	s := &spill{full: make(chan []byte, spillPieces), free: make(chan []byte, spillPieces+1), done: make(chan struct{})}
	for range spillPieces {
		s.free <- make([]byte, 0, size)
	}
	go s.run(w)
	return s
}

func (s *spill) run(w io.Writer) {
	defer close(s.done)
	for b := range s.full {
		if s.err == nil && len(b) > 0 {
			if _, err := w.Write(b); err != nil {
				s.err = fmt.Errorf("write replay: %w", err)
				s.failed.Store(true)
			}
		}
		s.free <- b[:0]
	}
}

// write hands a piece over and returns an empty one; the error is that of an earlier piece.
func (s *spill) write(b []byte) ([]byte, error) {
	if s.failed.Load() {
		return b[:0], s.err
	}
	s.full <- b
	return <-s.free, nil
}

// close writes what is left and returns the first error.
func (s *spill) close(b []byte) error {
	s.full <- b
	close(s.full)
	<-s.done
	return s.err
}
