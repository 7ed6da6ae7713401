package history

import (
	"cmp"
	"context"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

const (
	// firstFills is how many fills are read at first where nobody knows how many are wanted, maxFills at once at most.
	firstFills = 64
	maxFills   = 4096
	// hotReach is how far apart two wanted trades of hot seconds may lie that are read in one go.
	hotReach = 5_000
)

// fillSet is fills whose postings were found and whose trades are still to be read, all in one pass over the trades.
type fillSet struct {
	wants  []wantedFill
	owners []int // whose each of the wants is, as addFor was told
	fills  []model.Fill
	slice  *tradeSlice
}

// wantedFill is a trade to be read, and where its fill goes.
type wantedFill struct {
	market model.MarketID
	time   model.Millis
	id     uint64
	maker  bool
	at     int
}

func (s *fillSet) add(p *record.Posting) {
	s.wants = append(s.wants, wantedFill{p.Market, p.Time, p.ID, p.Maker, len(s.wants)})
}

func (s *fillSet) addFor(owner int, p *record.Posting) {
	s.add(p)
	s.owners = append(s.owners, owner)
}

func (s *fillSet) free() {
	if s.slice != nil {
		s.slice.free()
	}
}

// read returns the fills in the order in which their postings were added, valid until the next call. One whose trade is
// not there any more is zero.
func (s *fillSet) read(ctx context.Context, r *Reader) ([]model.Fill, error) {
	s.fills = slices.Grow(s.fills[:0], len(s.wants))[:len(s.wants)]
	clear(s.fills)
	slices.SortFunc(s.wants, func(a, b wantedFill) int {
		return cmp.Or(cmp.Compare(a.market, b.market), cmp.Compare(a.time, b.time), cmp.Compare(a.id, b.id))
	})
	if s.slice == nil && len(s.wants) > 0 {
		s.slice = newTradeSlice(false)
	}
	for rest := s.wants; len(rest) > 0; {
		n, err := s.reach(ctx, r, rest)
		if err != nil {
			return nil, err
		}
		if err := s.readPart(ctx, r, rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	s.wants = s.wants[:0]
	return s.fills, nil
}

// reach returns how many of the first wanted trades are read in one go: those of one sealed segment, or of hot blocks
// that lie close together.
func (s *fillSet) reach(ctx context.Context, r *Reader, wants []wantedFill) (int, error) {
	sealing, err := r.sealing()
	if err != nil {
		return 0, err
	}
	first := &wants[0]
	day := key.Day(int64(first.time))
	heads, err := r.segmentsOf(ctx, uint32(first.market), day, sealing)
	if err != nil {
		return 0, err
	}
	at, found := slices.BinarySearchFunc(heads, int64(first.time), func(h segmentHead, t int64) int { return cmp.Compare(h.first, t) })
	if !found {
		at--
	}
	last := int64(-1)
	if at >= 0 {
		last = heads[at].last
	}
	n := 1
	for n < len(wants) && wants[n].market == first.market && key.Day(int64(wants[n].time)) == day {
		t := int64(wants[n].time)
		if t > last && t-int64(wants[n-1].time) > hotReach {
			break
		}
		if t > last && int64(first.time) <= last { // the next segment is another read
			break
		}
		n++
	}
	return n, nil
}

// readPart reads the trades of one market and day from the first to the last wanted one.
func (s *fillSet) readPart(ctx context.Context, r *Reader, wants []wantedFill) (err error) {
	from, to := int64(wants[0].time), int64(wants[len(wants)-1].time)+1
	s.slice.limit = 0
	for from < to && len(wants) > 0 {
		if from, to, err = s.slice.load(ctx, r, uint32(wants[0].market), from, to, record.All); err != nil {
			return err
		}
		rows := s.slice.rows
		for len(wants) > 0 && len(rows) > 0 {
			want := &wants[0]
			at, found := slices.BinarySearchFunc(rows, want, func(t model.Trade, w *wantedFill) int {
				return cmp.Or(cmp.Compare(t.Time, w.time), cmp.Compare(t.ID, w.id))
			})
			rows = rows[at:]
			if found {
				s.fills[want.at] = rows[0].Fill(want.market, want.maker)
			} else if int64(want.time) >= from { // it is in a later piece
				break
			}
			wants = wants[1:]
		}
		for len(wants) > 0 && int64(wants[0].time) < from {
			wants = wants[1:]
		}
	}
	return nil
}
