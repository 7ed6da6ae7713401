package archive

import "bytes"

// lists are the members that hold rows in answers of ours and of the venue, with what their rows are.
var lists = map[string]Dataset{
	"trades": Trades, "candles": Candles, "candlesticks": Candles, "c": Candles, "rates": Funding, "fundings": Funding,
}

// documents goes through the rows of JSON text: a row, an answer that holds rows, or an array of either.
type documents struct {
	// outer is what the answer around the rows says of all of them.
	outer record
	rest  []byte // of the array that is being read
	open  bool
	list  Dataset // of rows in the array; Unknown where its name does not tell
}

// begin takes up a value; false where it is none.
func (d *documents) begin(value []byte) bool {
	d.outer.reset()
	d.list, d.open = Unknown, false
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return false
	}
	if end, ok := valueEnd(value, 0); !ok || end != len(value) {
		return false
	}
	switch value[0] {
	case '[':
		d.rest, d.open = value[1:], true
		return true
	case '{':
		inner, ok := d.answer(value)
		if !ok {
			return false
		}
		if inner != nil {
			d.rest, d.open = inner[1:], true
			return true
		}
		// A single row: an array of one.
		d.outer.reset()
		d.rest, d.open = append(append([]byte(nil), value...), ']'), true
		return true
	}
	return false
}

// answer looks for the rows of an answer, in our envelope too; nil where the object is a row itself.
func (d *documents) answer(object []byte) (inner []byte, ok bool) {
	var data []byte
	found, isRow := "", false
	ok = members(object, func(name string, value []byte) bool {
		if dataset, is := lists[name]; is && value[0] == '[' {
			inner, found, d.list = value, name, dataset
			return true
		}
		if is := name == "data" && value[0] == '{'; is {
			data = value
			return true
		}
		if f, known := column(name); known && value[0] != '{' && value[0] != '[' {
			d.outer.set(f, textOf(value))
			isRow = isRow || f == fPrice || f == fOpen || f == fRate || f == fRatePercent
		}
		return true
	})
	switch {
	case !ok:
		return nil, false
	case inner != nil && !isRow:
		d.outer.percent = found == "fundings"
		return inner, true
	case data != nil && !isRow:
		return d.answer(data)
	}
	return nil, true
}

// next returns the next row's text; nil behind the last.
func (d *documents) next() (row []byte, ok bool) {
	if !d.open {
		return nil, true
	}
	value, rest, done, ok := element(d.rest)
	if !ok || done {
		d.open = false
		return nil, ok
	}
	// element leaves the closing bracket in the rest of the last value.
	d.rest = rest
	return value, true
}

// parse reads a row's members into rec, on top of what the answer says of all rows.
func (d *documents) parse(row []byte, rec *record) string {
	*rec = d.outer
	if !members(row, func(name string, value []byte) bool {
		if f, known := column(name); known && value[0] != '{' && value[0] != '[' {
			rec.set(f, textOf(value))
		}
		return true
	}) {
		return "not a whole JSON object"
	}
	return ""
}
