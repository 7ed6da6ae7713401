package lighter

import (
	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// RawAnswer is a REST answer of the venue, kept as it came: member order, spelling, and members nobody here knows. Its
// lists of rows can be cut, and the figures that the stream tells anew put into their places. It is immutable.
type RawAnswer struct{ members []rawMember }

type rawMember struct {
	name string
	text []byte   // the name with its quotes and the colon, and the value where it is no list of rows
	rows []RawRow // of a list of objects
	list bool
}

// RawRow is one object of a list.
type RawRow struct {
	List     string // name of the list that the row is in
	Native   int64  // market_id, -1 where there is none
	Symbol   string
	Type     string // market_type
	Exchange string
	Active   bool // status
	// DailyTrades is daily_trades_count, which the stream does not tell; -1 where there is none.
	DailyTrades int64

	text  []byte
	slots []slot
}

// slot is the place of a figure that the stream tells anew.
type slot struct {
	from, to int // of the value in the row's text
	member   model.StatsMask
	quoted   bool
}

// liveMembers are the members of market rows that statistics of the stream tell too, in the same unit.
var liveMembers = map[string]model.StatsMask{
	"last_trade_price": model.HasLastTrade, "mark_price": model.HasMark, "index_price": model.HasIndex,
	"daily_base_token_volume": model.HasDailyBase, "daily_quote_token_volume": model.HasDailyQuote,
	"daily_price_low": model.HasDailyLow, "daily_price_high": model.HasDailyHigh, "daily_price_change": model.HasDailyChange,
}

// ParseRawAnswer reads a successful answer and keeps its bytes, which must not be changed afterwards.
func ParseRawAnswer(body []byte) (*RawAnswer, error) {
	s := scanner{data: body}
	a := &RawAnswer{}
	if !s.begin('{') {
		return nil, unexpected("object")
	}
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			break
		}
		m := rawMember{name: string(name)}
		m.text = append(append(m.text, body[s.name.from:s.name.to]...), ':')
		if s.peek() == '[' {
			a.rows(&s, &m)
		} else {
			v := s.raw()
			m.text = append(m.text, body[v.from:v.to]...)
		}
		if s.err != nil {
			break
		}
		a.members = append(a.members, m)
	}
	if !s.end() {
		return nil, &feed.UpstreamError{Reason: "damaged JSON", Err: s.err}
	}
	return a, nil
}

// rows reads a list; one whose elements are no objects is kept as text.
func (a *RawAnswer) rows(s *scanner, m *rawMember) {
	from := s.pos
	s.begin('[')
	for first := true; s.element(first); first = false {
		if s.peek() != '{' {
			s.pos = from
			v := s.raw()
			m.rows, m.text = nil, append(m.text, s.data[v.from:v.to]...)
			return
		}
		r := RawRow{List: m.name, Native: -1, DailyTrades: -1}
		if r.read(s); s.err != nil {
			return
		}
		m.rows = append(m.rows, r)
	}
	m.list = true
}

// read reads the row that the scanner stands before.
func (r *RawRow) read(s *scanner) {
	from := s.pos
	s.begin('{')
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			break
		}
		live, isLive := liveMembers[string(name)]
		switch string(name) {
		case "market_id":
			if r.Native, ok = signed(s.text("market_id")); !ok {
				s.fail(ErrValue, "market_id")
			}
		case "symbol":
			r.Symbol = string(s.text("symbol"))
		case "market_type":
			r.Type = string(s.text("market_type"))
		case "exchange":
			r.Exchange = string(s.text("exchange"))
		case "status":
			r.Active = string(s.text("status")) == "active"
		default:
			v := s.raw()
			if s.err != nil {
				return
			}
			if string(name) == "daily_trades_count" {
				if n, ok := signed(s.data[v.from:v.to]); ok {
					r.DailyTrades = n
				}
			}
			if c := s.data[v.from]; isLive && (c == '"' || c == '-' || c-'0' <= 9) {
				r.slots = append(r.slots, slot{from: v.from - from, to: v.to - from, member: live, quoted: c == '"'})
			}
		}
		if s.err != nil {
			return
		}
	}
	r.text = s.data[from:s.pos:s.pos]
}

// Rows calls f with every row, in order, until it returns false.
func (a *RawAnswer) Rows(f func(*RawRow) bool) {
	for i := range a.members {
		for j := range a.members[i].rows {
			if !f(&a.members[i].rows[j]) {
				return
			}
		}
	}
}

// Member appends the text of a top-level value, false where there is none of that name.
func (a *RawAnswer) Member(dst []byte, name string) ([]byte, bool) {
	for i := range a.members {
		m := &a.members[i]
		if m.name != name {
			continue
		}
		at := len(dst)
		dst = m.append(dst, nil, nil)
		for k := at; k < len(dst); k++ { // a name of a member holds no colon
			if dst[k] == ':' {
				return append(dst[:at], dst[k+1:]...), true
			}
		}
	}
	return dst, false
}

// Append appends the answer with the rows that keep wants (nil: all), each with the figures that live gives for it; a nil
// function or nil statistics leave the venue's own.
func (a *RawAnswer) Append(dst []byte, keep func(*RawRow) bool, live func(*RawRow) *model.Stats) []byte {
	dst = append(dst, '{')
	for i := range a.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = a.members[i].append(dst, keep, live)
	}
	return append(dst, '}')
}

func (m *rawMember) append(dst []byte, keep func(*RawRow) bool, live func(*RawRow) *model.Stats) []byte {
	dst = append(dst, m.text...)
	if !m.list {
		return dst
	}
	dst = append(dst, '[')
	first := true
	for i := range m.rows {
		r := &m.rows[i]
		if keep != nil && !keep(r) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		var s *model.Stats
		if live != nil {
			s = live(r)
		}
		dst = r.append(dst, s)
	}
	return append(dst, ']')
}

func (r *RawRow) append(dst []byte, s *model.Stats) []byte {
	if s == nil {
		return append(dst, r.text...)
	}
	at := 0
	for _, p := range r.slots {
		if s.Has&p.member == 0 {
			continue
		}
		dst = append(dst, r.text[at:p.from]...)
		at = p.to
		switch d := figure(s, p.member); {
		case p.quoted:
			dst = append(d.Append(append(dst, '"')), '"')
		default:
			dst = num.AppendTrim(dst, d.Mant, d.Scale)
		}
	}
	return append(dst, r.text[at:]...)
}

func figure(s *model.Stats, member model.StatsMask) num.Decimal {
	switch member {
	case model.HasLastTrade:
		return s.LastTrade
	case model.HasMark:
		return s.Mark
	case model.HasIndex:
		return s.Index
	case model.HasDailyBase:
		return s.DailyBase
	case model.HasDailyQuote:
		return s.DailyQuote
	case model.HasDailyLow:
		return s.DailyLow
	case model.HasDailyHigh:
		return s.DailyHigh
	default:
		return s.DailyChange
	}
}
