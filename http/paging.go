package http

import (
	"cmp"
	"strconv"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

const (
	// day is the length of a range that was asked without a start (contract 1.7).
	day = model.Millis(86_400_000)
	// maxOffset is where paging by offset stops making sense: the rows before it are read and dropped.
	maxOffset = 100_000
)

// span is a range of time, start-inclusive and end-exclusive.
type span struct {
	From, To model.Millis
	// GivenFrom and GivenTo tell whether the caller said so, or the default was taken.
	GivenFrom, GivenTo bool
	// asked is the end that the caller gave: To may have been cut at the clock of a replay, which moves on.
	asked model.Millis
}

// history reads a range of the record, which the caller's plan bounds in length and depth (contract 9.1).
func (p *params) history(now model.Millis) span { return p.bounded(p.span(now)) }

// bounded refuses a range that the caller's plan does not allow.
func (p *params) bounded(s span) span {
	if p.err != nil || p.c.principal == nil {
		return s
	}
	if most := p.c.principal.Plan.MaxRangeDays; most != access.Unlimited && s.To-s.From > model.Millis(most)*day {
		p.forbid("start", "the plan allows ranges of "+strconv.Itoa(most)+" days, ask for a shorter one", most)
	}
	p.reach("start", s.From, p.c.nowMillis())
	return s
}

// reachOf returns how far back the caller's plan reaches from a moment.
func (c *call) reachOf(now model.Millis) model.Millis {
	if c.principal == nil || c.principal.Plan.HistoryDepthDays == access.Unlimited {
		return 0
	}
	return max(0, now-model.Millis(c.principal.Plan.HistoryDepthDays)*day)
}

// reach refuses a moment further back than the caller's plan reaches.
func (p *params) reach(field string, t, now model.Millis) {
	if t < p.c.reachOf(now) {
		most := p.c.principal.Plan.HistoryDepthDays
		p.forbid(field, "the plan reaches "+strconv.Itoa(most)+" days back, ask for something later", most)
	}
}

func (p *params) forbid(field, message string, limit int) {
	if p.err == nil {
		p.err = &model.Error{Code: model.CodeForbidden, Message: message, Details: map[string]any{"field": field, "limit": limit}}
	}
}

// span reads start and end: end defaults to now, start to 24 h before end.
func (p *params) span(now model.Millis) span {
	var s span
	s.From, s.GivenFrom = p.moment("start")
	s.To, s.GivenTo = p.moment("end")
	return p.completed(s, now)
}

// completed puts the defaults in the place of what was not given.
func (p *params) completed(s span, now model.Millis) span {
	s.asked = s.To
	if !s.GivenTo {
		s.To = now
	} else if p.c.past != nil {
		s.To = min(s.To, now) // the rest is the future
	}
	if !s.GivenFrom {
		s.From = max(0, s.To-day)
	}
	switch {
	case p.err != nil || s.From < s.To:
	case s.GivenTo && s.From < s.asked:
		p.fault("start", "start must be before the clock of the replay")
	default:
		p.fault("start", "start must be before end")
	}
	return s
}

// hash adds what was given of the range.
func (f *filterHasher) span(s span) *filterHasher {
	from, to := int64(-1), int64(-1)
	if s.GivenFrom {
		from = int64(s.From)
	}
	if s.GivenTo {
		to = int64(s.asked)
	}
	return f.addInt(from).addInt(to)
}

// page is which part of a sorted series to send.
type page struct {
	Limit, Offset int
	Descending    bool
	After         position // the last row of the page before, where Continued
	Continued     bool
	cursor        decodedCursor
	filter        filterHash
	start         model.Millis
}

// page reads limit, offset, order and cursor.
func (p *params) page(limit, maxLimit int, order string) page {
	g := page{Limit: p.integer("limit", limit, 1, maxLimit)}
	other := "desc"
	if order == "desc" {
		other = "asc"
	}
	g.Descending = p.word("order", order, other) == "desc"
	text, continued := p.get("cursor")
	if continued {
		d, err := decodeCursor(p.c.server.cursorKey, text)
		if err != nil && p.err == nil {
			p.err = err
		}
		g.Continued, g.cursor, g.After = true, d, d.Position
		return g
	}
	g.Offset = p.integer("offset", 0, 0, maxOffset+1)
	if g.Offset > maxOffset {
		p.fault("offset", "offset must not be above 100000, use cursor")
	}
	return g
}

// bind ties the page to the query it belongs to: a cursor of another query is refused, and a range that was asked
// without a start keeps the start of its first page.
func (g *page) bind(p *params, f *filterHasher, s *span) {
	if g.Descending {
		f.add("desc")
	} else {
		f.add("asc")
	}
	g.filter = f.sum()
	if g.Continued && p.err == nil {
		if g.cursor.Filter != g.filter {
			p.err = errCursor
			return
		}
		if !s.GivenFrom {
			s.From = g.cursor.Start
		}
		if s.From >= s.To {
			p.err = errCursor
		}
	}
	g.start = s.From
}

// before tells whether a row of a series with one row per time lies on a former page.
func (g *page) before(t int64) bool {
	return g.Continued && (g.Descending && t >= g.After.Time || !g.Descending && t <= g.After.Time)
}

// follows tells whether a row comes after those of the former pages, in a series by (time, market, id).
func (g *page) follows(at position) bool {
	if !g.Continued {
		return true
	}
	c := cmp.Or(cmp.Compare(at.Time, g.After.Time), cmp.Compare(at.Market, g.After.Market), cmp.Compare(at.ID, g.After.ID))
	return g.Descending && c < 0 || !g.Descending && c > 0
}

// next returns the cursor that continues after a row.
func (g *page) next(c *call, last position) string {
	return encodeCursor(c.server.cursorKey, last, g.start, g.filter)
}

// meta is what an answer's meta member says beside the request id and the time.
type meta struct {
	Paged      bool
	Total      int64 // -1: unknown, sent as null
	Limit      int
	Offset     int
	NextCursor string
}

// unknownTotal is the total of a series that is too long to be counted.
const unknownTotal = -1

// appendTail closes the data and writes the meta member: everything behind the data.
func (c *call) appendTail(dst []byte, m meta) []byte {
	dst = append(dst, `,"meta":{"request_id":"`...)
	dst = append(dst, c.id[:]...)
	dst = append(dst, `","timestamp":`...)
	dst = strconv.AppendInt(dst, c.start.UnixMilli(), 10)
	if m.Paged {
		dst = append(dst, `,"total":`...)
		if m.Total < 0 {
			dst = append(dst, "null"...)
		} else {
			dst = strconv.AppendInt(dst, m.Total, 10)
		}
		dst = append(dst, `,"limit":`...)
		dst = strconv.AppendInt(dst, int64(m.Limit), 10)
		dst = append(dst, `,"offset":`...)
		dst = strconv.AppendInt(dst, int64(m.Offset), 10)
		if m.NextCursor != "" {
			dst = append(dst, `,"next_cursor":"`...)
			dst = append(dst, m.NextCursor...)
			dst = append(dst, '"')
		}
	}
	return append(dst, "}}"...)
}
