package history

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"hyperlight/engine/model"
)

// Slices come in order and whole, whether read ahead or not; a failed read is told in its place, after what came before it.
func TestSlicesAheadKeepTheirOrder(t *testing.T) {
	broken := errors.New("broken")
	for _, ahead := range []bool{false, true} {
		for end := range 6 {
			for _, failure := range []error{nil, broken} {
				n := 0
				a := newSlicesAhead(false, func(s *tradeSlice) (bool, error) {
					if n == end {
						return false, failure
					}
					n++
					s.rows = append(s.rows[:0], model.Trade{ID: uint64(n)})
					return true, nil
				})
				for want := 1; ; want++ {
					s, err := a.next(ahead)
					if s == nil {
						if want != end+1 || !errors.Is(err, failure) {
							t.Errorf("ahead %v: ended before slice %d of %d with %v", ahead, want, end, err)
						}
						break
					}
					if s.rows[0].ID != uint64(want) {
						t.Fatalf("ahead %v: slice %d came in place of %d", ahead, s.rows[0].ID, want)
					}
				}
				a.free()
			}
		}
	}
}

// Whoever stops in the middle waits for the read that runs: it must not go on in a store that is closed next. A panic of it
// comes out where the slice would have come.
func TestSlicesAheadEndWithTheirReader(t *testing.T) {
	var running atomic.Int32
	reads := 0
	a := newSlicesAhead(false, func(*tradeSlice) (bool, error) {
		running.Add(1)
		defer running.Add(-1)
		if reads++; reads == 4 {
			panic("damaged")
		}
		return true, nil
	})
	for range 3 {
		if _, err := a.next(true); err != nil {
			t.Fatal(err)
		}
	}
	func() {
		defer func() {
			if v := fmt.Sprint(recover()); !strings.Contains(v, "damaged") {
				t.Errorf("panicked with %s", v)
			}
		}()
		_, err := a.next(true)
		t.Errorf("went on with %v", err)
	}()
	a.free()
	reads = 10
	b := newSlicesAhead(false, a.read)
	for range 3 {
		if _, err := b.next(true); err != nil {
			t.Fatal(err)
		}
	}
	if b.free(); running.Load() != 0 {
		t.Error("a read goes on")
	}
}
