package http

import (
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const (
	// maxBuckets bounds how many buckets an answer may go through: beyond it empty ones outnumber anything useful.
	maxBuckets = 100_000
	week       = 7 * day
	// firstMonday is when the first week opened that is counted from: 1970-01-05, UTC.
	firstMonday = 4 * day
	// commitLag is how far the record may trail the clock while nothing is wrong: two ticks of the snapshot clock.
	commitLag = model.Micros(2_000_000)
)

// gridOf returns the buckets of a length. Whole weeks are counted from a Monday where the length was told in weeks.
func gridOf(length model.Millis, weeks bool) history.Grid {
	if weeks {
		return history.Grid{Length: length, Origin: firstMonday}
	}
	return history.Grid{Length: length}
}

// bucketStart returns the opening of the candle that t lies in. Weeks open on Monday 00:00 UTC.
func bucketStart(t, length model.Millis) model.Millis {
	return gridOf(length, length == week).Start(t)
}

// intervalUnits are the letters of a bucket's length.
var intervalUnits = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// maxInterval is the longest bucket: four weeks.
const maxInterval = 4 * week

// interval reads a bucket's length of one second to four weeks: a number and a letter.
func (p *params) interval(name, byDefault string) (word string, grid history.Grid) {
	v, given := p.get(name)
	if !given {
		v = []byte(byDefault)
	}
	if n := len(v) - 1; n > 0 && n <= len("2419200") && isDigits(v[:n]) && v[0] != '0' {
		count, _ := parseInt(v[:n])
		if unit, known := intervalUnits[v[n]]; known {
			if length := model.Millis(count * unit.Milliseconds()); length <= maxInterval {
				return string(v), gridOf(length, v[n] == 'w')
			}
		}
	}
	p.fault(name, name+" must be a number and one of s, m, h, d, w, from 1s to 4w")
	return byDefault, history.Grid{Length: hour}
}

// openWhole makes a range that was asked without a start open with a whole bucket, so that the running one is always
// there, as far as the caller's plan reaches back.
func (p *params) openWhole(s *span, grid history.Grid) {
	if s.GivenFrom {
		return
	}
	s.From = max(0, grid.Start(s.From), min(s.From, p.c.reachOf(p.c.nowMillis())))
}

// bucketPage goes through the buckets of a range in the order of the page and writes those that are on it. With fill the
// buckets without a row count as well.
type bucketPage[Row any] struct {
	grid history.Grid
	span span
	page *page
	dst  []byte
	// write appends a bucket; row is nil for an empty one, of which held tells whether it is known to be empty.
	write func(dst []byte, t model.Millis, row *Row, held bool) []byte
	now   model.Millis

	fill   bool
	held   []history.Interval
	first  model.Millis // the bucket that filling begins with, in ascending order
	cursor model.Millis // the next bucket that fill would emit

	total int64
	sent  int
	last  model.Millis
	more  bool
}

// begin sets where filling starts: at the bucket that the range begins in, or with the first one that opens in it.
func (w *bucketPage[Row]) begin(partial bool) {
	w.first = w.grid.Start(w.span.From)
	if w.first < w.span.From && !partial {
		w.first += w.grid.Length
	}
	w.cursor = w.first
	if w.page.Descending {
		w.cursor = w.lastBucket()
	}
}

func (w *bucketPage[Row]) lastBucket() model.Millis { return w.grid.Start(w.span.To - 1) }

// row counts a bucket that has a row, after the empty ones before it.
func (w *bucketPage[Row]) row(t model.Millis, row *Row) {
	w.fillTo(t)
	w.add(t, row)
}

// end counts the empty buckets after the last row.
func (w *bucketPage[Row]) end() {
	if w.page.Descending {
		w.fillTo(w.first - w.grid.Length)
	} else {
		w.fillTo(w.lastBucket() + w.grid.Length)
	}
}

// fillTo emits the empty buckets before t.
func (w *bucketPage[Row]) fillTo(t model.Millis) {
	if !w.fill {
		return
	}
	if w.page.Descending {
		for ; w.cursor > t; w.cursor -= w.grid.Length {
			w.add(w.cursor, nil)
		}
		w.cursor = t - w.grid.Length
		return
	}
	for ; w.cursor < t; w.cursor += w.grid.Length {
		w.add(w.cursor, nil)
	}
	w.cursor = t + w.grid.Length
}

// add counts a bucket and writes it where it is on the page.
func (w *bucketPage[Row]) add(t model.Millis, row *Row) {
	w.total++
	switch g := w.page; {
	case g.before(int64(t)), w.total <= int64(g.Offset):
	case w.sent == g.Limit:
		w.more = true
	default:
		if w.sent > 0 {
			w.dst = append(w.dst, ',')
		}
		w.sent++
		w.last = t
		w.dst = w.write(w.dst, t, row, row == nil && w.isHeld(t))
	}
}

// meta returns what the answer says of the page.
func (w *bucketPage[Row]) meta(c *call) meta {
	m := meta{Paged: true, Total: w.total, Limit: w.page.Limit, Offset: w.page.Offset}
	if w.more {
		m.NextCursor = w.page.next(c, position{Time: int64(w.last)})
	}
	return m
}

// isHeld tells whether a bucket, as far as it lies in the range and in the past, is inside one held interval.
func (w *bucketPage[Row]) isHeld(t model.Millis) bool {
	return heldWhole(w.held, max(t, w.span.From), min(t+w.grid.Length, w.span.To), w.now)
}

// heldWhole tells whether from <= t < to, as far as it lies in the past, is inside one held interval;
// of what lies in the future nothing is known.
func heldWhole(held []history.Interval, from, to, now model.Millis) bool {
	if from >= now {
		return false
	}
	to = min(to, now)
	until := (to - 1).Micros()
	if to == now {
		until -= commitLag // the newest interval ends at the last commit, a moment behind now
	}
	for _, h := range held {
		if h.From <= from.Micros() && h.To >= until {
			return true
		}
	}
	return false
}
