package http

import (
	"bytes"
	"strconv"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// params reads a request's query parameters. The first fault wins and names its field; later reads return zero values.
type params struct {
	c   *call
	any bool // there is a query string at all
	err error
}

func (c *call) params() params {
	return params{c: c, any: len(queryString(c.ctx)) > 0}
}

// get returns a parameter and whether it was given. The bytes are the request's.
func (p *params) get(name string) ([]byte, bool) {
	if !p.any {
		return nil, false
	}
	args := p.c.ctx.QueryArgs()
	v := args.Peek(name)
	return v, v != nil && (len(v) > 0 || args.Has(name))
}

func (p *params) fault(field, message string) {
	if p.err == nil {
		p.err = model.BadRequest(field, message)
	}
}

// integer reads a plain integer of at least lowest; above highest it is lowered to it.
func (p *params) integer(name string, byDefault, lowest, highest int) int {
	v, ok := p.get(name)
	if !ok {
		return byDefault
	}
	if len(v) > maxDigits && isDigits(v) {
		return highest
	}
	n, ok := parseInt(v)
	if !ok {
		p.fault(name, name+" must be an integer")
		return byDefault
	}
	if n < int64(lowest) {
		p.fault(name, name+" must be at least "+strconv.Itoa(lowest))
		return byDefault
	}
	return int(min(n, int64(highest)))
}

// boolean reads true, false, 1 or 0.
func (p *params) boolean(name string) bool {
	v, ok := p.get(name)
	switch {
	case !ok || equalFold(v, "false") || string(v) == "0":
		return false
	case equalFold(v, "true") || string(v) == "1":
		return true
	}
	p.fault(name, name+" must be true or false")
	return false
}

// word reads one of the given words; the first is the default.
func (p *params) word(name string, words ...string) string {
	v, ok := p.get(name)
	if !ok {
		return words[0]
	}
	for _, w := range words {
		if string(v) == w {
			return w
		}
	}
	p.fault(name, name+" must be one of "+joinWords(words))
	return words[0]
}

func joinWords(words []string) string {
	var b []byte
	for i, w := range words {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, w...)
	}
	return string(b)
}

// amount reads a decimal of at least 0; ok tells whether it was given.
func (p *params) amount(name string) (d num.Decimal, ok bool) {
	v, ok := p.get(name)
	if !ok {
		return num.Decimal{}, false
	}
	d, err := num.ParseDecimal(v)
	if err != nil || d.Mant < 0 {
		p.fault(name, name+" must be a decimal number that is not negative")
		return num.Decimal{}, false
	}
	return d, true
}

// moment reads a time in any of the contract's forms.
func (p *params) moment(name string) (t model.Millis, ok bool) {
	v, ok := p.get(name)
	if !ok {
		return 0, false
	}
	t, ok = parseTime(v)
	if !ok {
		p.fault(name, name+" must be RFC 3339, a date, or unix milliseconds")
	}
	return t, ok
}

// market reads a market id from a query parameter; nil where it was not given.
func (p *params) market(name string) *model.Market {
	v, ok := p.get(name)
	if !ok {
		return nil
	}
	m, err := p.c.server.market(v)
	if err != nil && p.err == nil {
		p.err = err
	}
	return m
}

var (
	errMarketID = model.BadRequest("market_id", "market_id must be an integer")
	errNoMarket = &model.Error{Code: model.CodeNotFound, Message: "no such market", Details: map[string]any{"field": "market_id"}}
)

// market finds the market that a path or a parameter names.
func (s *Server) market(text []byte) (*model.Market, error) {
	id, ok := parseInt(text)
	if !ok {
		return nil, errMarketID
	}
	m, ok := s.engine.Market(id)
	if !ok {
		return nil, errNoMarket
	}
	return m, nil
}

// maxDigits is how many digits an integer may have that parseInt reads.
const maxDigits = 18

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// parseInt reads a plain decimal integer: no sign but '-', no blanks, at most 18 digits.
func parseInt(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > maxDigits {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}

const (
	// secondsBelow is where an integer time stops being read as seconds (contract 1.7).
	secondsBelow = 100_000_000_000
	// maxMillis is the last millisecond of the year 9999, which RFC 3339 can still write.
	maxMillis = 253_402_300_799_999
)

// parseTime reads RFC 3339, a date (midnight UTC), unix milliseconds or unix seconds.
func parseTime(b []byte) (model.Millis, bool) {
	if n, ok := parseInt(b); ok {
		if n < 0 || n > maxMillis {
			return 0, false
		}
		if n < secondsBelow {
			n *= 1000
		}
		return model.Millis(n), true
	}
	if len(b) > len("2006-01-02T15:04:05.999999999+00:00")+8 {
		return 0, false
	}
	layout := time.RFC3339
	if len(b) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	// An offset's plus sign arrives as a blank where the client did not escape it.
	text := string(bytes.ReplaceAll(b, []byte(" "), []byte("+")))
	t, err := time.Parse(layout, text)
	if err != nil {
		return 0, false
	}
	ms := t.UnixMilli()
	if ms < 0 || ms > maxMillis {
		return 0, false
	}
	return model.Millis(ms), true
}
