package ws

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// slowWriter waits for a permission before each write, and keeps what it got; behind failAt writes it fails.
type slowWriter struct {
	may    chan struct{} // nil: at any time
	failAt int           // 0: never
	writes int
	got    bytes.Buffer
}

var errDiskFull = errors.New("disk is full")

func (w *slowWriter) Write(b []byte) (int, error) {
	if w.may != nil {
		<-w.may
	}
	if w.writes++; w.failAt > 0 && w.writes >= w.failAt {
		return 0, errDiskFull
	}
	return w.got.Write(b)
}

// Whatever the pieces are, they come out as they went in, and the piece that is given back is empty.
func TestSpillWritesEveryPieceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &slowWriter{}
		s := newSpill(w, 8)
		var want strings.Builder
		var buf []byte
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 20), 0, 30).Draw(t, "sizes") {
			for len(buf) < n {
				buf = fmt.Appendf(buf, "%d,", i)
			}
			want.Write(buf)
			var err error
			if buf, err = s.write(buf); err != nil || len(buf) != 0 {
				t.Fatalf("write gave %q, %v", buf, err)
			}
		}
		buf = append(buf, "end"...)
		want.WriteString("end")
		if err := s.close(buf); err != nil {
			t.Fatal(err)
		}
		if got := w.got.String(); got != want.String() {
			t.Fatalf("wrote %q, want %q", got, want.String())
		}
	})
}

// A slow writer holds its source up: no more than spillPieces pieces wait beside the one being written, in as many buffers.
func TestSpillIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{may: make(chan struct{})}
		s := newSpill(w, 8)
		given, buffers := 0, map[*byte]bool{}
		go func() {
			buf := make([]byte, 0, 8)
			for i := range 20 {
				buf = append(buf, byte('a'+i))
				buffers[&buf[0]] = true
				given++
				var err error
				if buf, err = s.write(buf); err != nil {
					t.Error(err)
				}
			}
			if err := s.close(buf); err != nil {
				t.Error(err)
			}
		}()
		for written := range 20 {
			synctest.Wait()
			if ahead := given - written; ahead > spillPieces+1 {
				t.Fatalf("%d pieces wait", ahead)
			}
			w.may <- struct{}{}
		}
		synctest.Wait()
		if got := w.got.String(); got != "abcdefghijklmnopqrst" {
			t.Errorf("wrote %q", got)
		}
		if len(buffers) > spillPieces+1 {
			t.Errorf("%d buffers", len(buffers))
		}
	})
}

// The first failed write is told by a later write or by close; nothing is written behind it, and nobody waits for ever.
func TestSpillTellsAFailedWrite(t *testing.T) {
	for failAt := 1; failAt <= 6; failAt++ {
		w := &slowWriter{failAt: failAt}
		s := newSpill(w, 8)
		var told error
		buf := []byte("x")
		for range 5 {
			var err error
			if buf, err = s.write(buf); err != nil {
				told = err
			}
			buf = append(buf, 'x')
		}
		if err := s.close(buf); !errors.Is(err, errDiskFull) {
			t.Errorf("failed write %d: close says %v", failAt, err)
		}
		if told != nil && !errors.Is(told, errDiskFull) {
			t.Errorf("failed write %d: write says %v", failAt, told)
		}
		if w.got.Len() != failAt-1 || w.writes != failAt {
			t.Errorf("failed write %d: %d bytes in %d writes", failAt, w.got.Len(), w.writes)
		}
	}
}

// Empty pieces are no writes.
func TestSpillWritesNothingForNothing(t *testing.T) {
	w := &slowWriter{failAt: 1}
	if err := newSpill(w, 8).close(nil); err != nil || w.writes != 0 {
		t.Errorf("%d writes, %v", w.writes, err)
	}
}
