package history

import "fmt"

// soloSlices is how many slices a query reads by itself before the next one is read beside it: most end before.
const soloSlices = 2

// slicesAhead reads one slice of trades after the other, of a long query the next one while the rows of this one are used.
type slicesAhead struct {
	// read fills a slice with what comes next; false where nothing more does.
	read func(*tradeSlice) (bool, error)

	slices  [2]*tradeSlice // the one in use, and the other; nil until it is needed
	count   int
	running bool
	result  chan sliceResult // of the read that runs
}

type sliceResult struct {
	more     bool
	err      error
	panicked any
}

func newSlicesAhead(reverse bool, read func(*tradeSlice) (bool, error)) *slicesAhead {
	return &slicesAhead{read: read, slices: [2]*tradeSlice{newTradeSlice(reverse)}}
}

// next returns the next slice, nil behind the last. The rows of the one before are void from then on. A query that says how
// many rows it takes reads nothing ahead.
func (a *slicesAhead) next(ahead bool) (*tradeSlice, error) {
	var got sliceResult
	if a.running {
		got = a.join()
		a.slices[0], a.slices[1] = a.slices[1], a.slices[0]
	} else {
		got.more, got.err = a.read(a.slices[0])
	}
	switch {
	case got.panicked != nil:
		panic(fmt.Sprintf("%v, while trades were read ahead", got.panicked))
	case got.err != nil || !got.more:
		return nil, got.err
	}
	if a.count++; ahead && a.count >= soloSlices {
		a.begin()
	}
	return a.slices[0], nil
}

func (a *slicesAhead) begin() {
	if a.slices[1] == nil {
		a.slices[1], a.result = newTradeSlice(a.slices[0].reverse), make(chan sliceResult, 1)
	}
	s := a.slices[1]
	s.limit = a.slices[0].limit // slices grow
	a.running = true
	go func() {
		var got sliceResult
		defer func() {
			got.panicked = recover()
			a.result <- got
		}()
		got.more, got.err = a.read(s)
	}()
}

func (a *slicesAhead) join() sliceResult {
	a.running = false
	return <-a.result
}

// free gives the memory back, when nothing is read any more.
func (a *slicesAhead) free() {
	if a.running {
		a.join()
	}
	for _, s := range a.slices {
		if s != nil {
			s.free()
		}
	}
}
