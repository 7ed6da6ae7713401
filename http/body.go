package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"hyperlight/engine/model"
)

// maxNesting is how deep a JSON body may nest.
const maxNesting = 32

var (
	errBodyJSON   = &model.Error{Code: model.CodeBadRequest, Message: "the body must be one JSON object in UTF-8"}
	errBodyDepth  = &model.Error{Code: model.CodeBadRequest, Message: "the body must not nest deeper than 32 levels"}
	errBodyDouble = &model.Error{Code: model.CodeBadRequest, Message: "the body must not name a member twice"}
)

// object is the JSON object in a request's body. Members are read by their exact names; unknown ones are ignored. The
// first fault wins and names its field; later reads return zero values.
type object struct {
	members map[string]json.RawMessage
	prefix  string // of the names in faults: where the object stands in the body
	err     error
}

// object reads the body, whatever its Content-Type says. No body at all reads as an object without members.
func (c *call) object() object { return readObject(c.ctx.Request.Body()) }

// readObject reads a JSON object; no bytes at all read as one without members.
func readObject(body []byte) object {
	if len(body) == 0 {
		return object{}
	}
	if err := checkJSON(body); err != nil {
		return object{err: err}
	}
	o := object{}
	if err := json.Unmarshal(body, &o.members); err != nil || o.members == nil {
		return object{err: errBodyJSON}
	}
	return o
}

// checkJSON accepts exactly one JSON object that two programs cannot read differently: UTF-8 without a mark in front,
// nothing behind it, no member named twice at any level, and no deeper than maxNesting.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) || !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return errBodyJSON
	}
	// The depth is looked at first, so that what follows never nests deeply itself.
	if tooDeep(body) {
		return errBodyDepth
	}
	if !json.Valid(body) {
		return errBodyJSON
	}
	return checkNames(body)
}

// tooDeep counts brackets outside of strings, which needs no valid JSON.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch ch := body[i]; {
		case quoted && ch == '\\':
			i++
		case ch == '"':
			quoted = !quoted
		case quoted:
		case ch == '{' || ch == '[':
			if depth++; depth > maxNesting {
				return true
			}
		case ch == '}' || ch == ']':
			depth--
		}
	}
	return false
}

// checkNames refuses an object that names a member twice, in whatever spelling. The body is valid JSON.
func checkNames(body []byte) error {
	type level struct {
		names map[string]bool // nil in an array
		value bool            // a name was read, its value follows
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var levels []level
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errBodyJSON
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if n := len(levels); n > 0 && levels[n-1].names != nil {
			at := &levels[n-1]
			if name, ok := token.(string); ok && !at.value {
				if at.names[name] {
					return errBodyDouble
				}
				at.names[name], at.value = true, true
				continue
			}
			at.value = false
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		}
	}
}

// fault keeps the first fault of a member; the message begins with its name.
func (o *object) fault(field, message string) {
	if o.err == nil {
		o.err = model.BadRequest(o.prefix+field, o.prefix+message)
	}
}

// get decodes a member and tells whether it was given; null counts as not given.
func (o *object) get(name string, into any, must string) bool {
	raw, ok := o.members[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		o.fault(name, name+" must be "+must)
		return false
	}
	return true
}

// text reads a string.
func (o *object) text(name string) (s string, given bool) {
	given = o.get(name, &s, "a string")
	return s, given
}

// flag reads a boolean.
func (o *object) flag(name string) (b, given bool) {
	given = o.get(name, &b, "true or false")
	return b, given
}

// texts reads a list of strings.
func (o *object) texts(name string) (list []string, given bool) {
	var items []*string
	if !o.get(name, &items, "a list of strings") {
		return nil, false
	}
	list = make([]string, 0, len(items))
	for _, s := range items {
		if s == nil {
			o.fault(name, name+" must be a list of strings")
			return nil, false
		}
		list = append(list, *s)
	}
	return list, true
}

// moment reads a time in any of the contract's forms, or null, which is 0.
func (o *object) moment(name string) (t model.Millis, given bool) {
	raw, ok := o.members[name]
	if !ok {
		return 0, false
	}
	if string(raw) == "null" {
		return 0, true
	}
	text := []byte(raw)
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			s = ""
		}
		text = []byte(s)
	}
	if t, ok = parseTime(text); !ok || t == 0 {
		o.fault(name, name+" must be RFC 3339, a date, unix milliseconds, or null")
		return 0, false
	}
	return t, true
}

// integer reads a JSON integer of at least lowest; above highest it is lowered to it.
func (o *object) integer(name string, byDefault, lowest, highest int) int {
	raw, ok := o.members[name]
	if !ok || string(raw) == "null" {
		return byDefault
	}
	if len(raw) > maxDigits && isDigits(raw) {
		return highest
	}
	n, ok := parseInt(raw)
	if !ok {
		o.fault(name, name+" must be an integer")
		return byDefault
	}
	if n < int64(lowest) {
		o.fault(name, name+" must be at least "+strconv.Itoa(lowest))
		return byDefault
	}
	return int(min(n, int64(highest)))
}

// word reads one of the given words; the first is the default.
func (o *object) word(name string, words ...string) string {
	s, given := o.text(name)
	if !given {
		return words[0]
	}
	for _, w := range words {
		if s == w {
			return w
		}
	}
	o.fault(name, name+" must be one of "+joinWords(words))
	return words[0]
}

// market reads a market id; nil where it was not given.
func (o *object) market(c *call) *model.Market {
	raw, ok := o.members["market_id"]
	if !ok || string(raw) == "null" {
		return nil
	}
	m, err := c.server.market(raw)
	if err != nil && o.err == nil {
		o.err = err
	}
	return m
}
