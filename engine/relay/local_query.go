package relay

import (
	"strconv"

	"hyperlight/engine/model"
)

// values reads the members of a query and counts them, so that one that nobody knows is noticed.
type values struct {
	q    *Query
	read int
}

// done tells whether every member of the query was read.
func (v *values) done() bool { return v.read == v.q.Len() }

func (v *values) text(name string) (string, bool) {
	s, ok := v.q.Get(name)
	if ok {
		v.read++
	}
	return s, ok
}

// integer reads a whole number in its plain form: decoders disagree on signs, blanks and zeros in front.
func (v *values) integer(name string) (int64, bool) {
	s, ok := v.text(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// secondsBelow is where a time stops being read as seconds; lastTime is the venue's own limit.
const (
	secondsBelow = 100_000_000_000
	lastTime     = 5_000_000_000_000
)

// moment reads a time in seconds or milliseconds.
func (v *values) moment(name string) (model.Millis, bool) {
	n, ok := v.integer(name)
	if !ok || n <= 0 || n > lastTime {
		return 0, false
	}
	if n < secondsBelow {
		n *= 1000
	}
	return model.Millis(n), true
}

// span reads what candles and fundings ask for: both ends belong to it.
func (v *values) span() (from, to model.Millis, back int64, ok bool) {
	from, ok1 := v.moment("start_timestamp")
	to, ok2 := v.moment("end_timestamp")
	back, ok3 := v.integer("count_back")
	return from, to, back, ok1 && ok2 && ok3 && back >= 0 && to > from
}

// market reads a required market id; false where the market is unknown.
func (a *Answers) market(v *values) (*model.Market, bool) {
	id, ok := v.integer("market_id")
	if !ok {
		return nil, false
	}
	return a.o.Markets.ByNative(a.o.Venue, id)
}
