package history

import (
	"slices"
	"sort"

	"hyperlight/engine/model"
)

// Texts says how rows are written. Form tells two ways apart: rows that were made ready in one form are only given to who
// asks for an equal one, so it must hold everything that the text depends on beside the row.
type Texts[Row any] struct {
	Form   any // comparable
	Append func(dst []byte, row *Row) []byte
}

// TradeRun is some trades of one market in the order that was asked for, some already as text. It is valid until the next
// step.
type TradeRun struct {
	ready   *tradeTexts
	rows    []model.Trade // where nothing is ready
	lo, hi  int           // the run within either
	reverse bool
	write   func(dst []byte, t *model.Trade) []byte
}

// tradeTexts is a sealed segment as text: immutable.
type tradeTexts struct {
	form  any
	text  []byte // the rows, a comma after each
	ends  []uint32
	times segmentTimes
	ids   []uint64
}

// segmentTimes are the times of a segment's rows, ascending, in milliseconds since its first one.
type segmentTimes struct {
	first int64
	since []uint32
}

// before returns how many rows have a time before t.
func (s segmentTimes) before(t int64) int {
	if t <= s.first {
		return 0
	}
	return sort.Search(len(s.since), func(i int) bool { return s.first+int64(s.since[i]) >= t })
}

func (s *tradeTexts) position(i int) Position {
	return Position{Time: model.Millis(s.times.first + int64(s.times.since[i])), ID: s.ids[i]}
}

// Len returns the number of trades.
func (r *TradeRun) Len() int { return r.hi - r.lo }

// index returns where trade i of the run stands.
func (r *TradeRun) index(i int) int {
	if r.reverse {
		return r.hi - 1 - i
	}
	return r.lo + i
}

// Position returns the place of trade i; the market is not set.
func (r *TradeRun) Position(i int) Position {
	at := r.index(i)
	if r.ready != nil {
		return r.ready.position(at)
	}
	return Position{Time: r.rows[at].Time, ID: r.rows[at].ID}
}

// Append appends the trades from <= i < to with commas between them.
func (r *TradeRun) Append(dst []byte, from, to int) []byte {
	if from >= to {
		return dst
	}
	if r.ready != nil && !r.reverse {
		return append(dst, r.ready.cut(r.lo+from, r.lo+to)...)
	}
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, ',')
		}
		if at := r.index(i); r.ready != nil {
			dst = append(dst, r.ready.cut(at, at+1)...)
		} else {
			dst = r.write(dst, &r.rows[at])
		}
	}
	return dst
}

// cut returns the text of the rows from <= i < to without the last comma.
func (s *tradeTexts) cut(from, to int) []byte {
	start := uint32(0)
	if from > 0 {
		start = s.ends[from-1]
	}
	return s.text[start : s.ends[to-1]-1]
}

func makeTexts(rows []model.Trade, texts Texts[model.Trade]) *tradeTexts {
	buf := readyBuffers.Get().(*[]byte)
	defer readyBuffers.Put(buf)
	out := &tradeTexts{form: texts.Form, ends: make([]uint32, len(rows)), ids: make([]uint64, len(rows))}
	out.times = timesOf(len(rows), func(i int) model.Millis { return rows[i].Time })
	text := (*buf)[:0]
	for i := range rows {
		text = append(texts.Append(text, &rows[i]), ',')
		out.ends[i], out.ids[i] = uint32(len(text)), rows[i].ID
	}
	*buf = text
	out.text = slices.Clone(text)
	return out
}

// timesOf gathers ascending times within one day.
func timesOf(n int, at func(i int) model.Millis) segmentTimes {
	if n == 0 {
		return segmentTimes{}
	}
	s := segmentTimes{first: int64(at(0)), since: make([]uint32, n)}
	for i := range s.since {
		s.since[i] = uint32(int64(at(i)) - s.first)
	}
	return s
}
