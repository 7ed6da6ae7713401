package http

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"hyperlight/engine/model"
)

// maxBatch is the most accounts of a batch call whatever the plan says.
const maxBatch = 50_000

// wanted is which accounts a batch call asks for, each once, in the order of the request.
type wanted struct {
	byAddress bool
	ids       []model.AccountID
	addresses []model.Address
	received  int // entries of the list, repeated ones too

	seen idSet
}

var (
	errNoAccounts = model.BadRequest("accounts", "accounts must be a list of at least one account")
	errIndices    = model.BadRequest("accounts", "accounts must be a list of account indices: integers that are not negative")
	errAddresses  = model.BadRequest("accounts", "accounts must be a list of addresses: texts of 0x and 40 hexadecimal digits")
)

// batch reads the body of a batch call: the members that name accounts into w, the others are left to read. limit is the
// plan's, negative where it has none.
func (c *call) batch(w *wanted, limit int) object {
	body := c.ctx.Request.Body()
	// The list is most of the body, and everything about it is said by its bytes. What is left is small, and is read as
	// every body is.
	list, rest, cut := cutList(body)
	if !cut {
		rest = body
	}
	o := readObject(rest)
	if o.err != nil {
		return o
	}
	by, given := o.text("by")
	if o.err == nil && given && by != "index" && by != "l1_address" {
		o.fault("by", "by must be one of index, l1_address")
	}
	if o.err != nil {
		return o
	}
	if !cut {
		raw := bytes.TrimSpace(o.members["accounts"])
		if len(raw) < 2 || raw[0] != '[' {
			o.err = errNoAccounts
			return o
		}
		list = raw[1 : len(raw)-1]
	}
	if limit < 0 {
		limit = maxBatch
	}
	w.byAddress = by == "l1_address"
	if err := w.read(list, limit); err != nil {
		o.err = err
	}
	return o
}

// listName is the member that cutList looks for, as it stands in a body.
var listName = []byte(`"accounts"`)

// cutList takes the list of accounts out of a body: list is what stands between its brackets, rest the body with an empty
// list. It does so only where the list is the first thing in the body that reads like one, in the plainest spelling and
// with nothing in it but numbers and plain texts; the rest must still be checked, and tells whether it is JSON at all.
func cutList(body []byte) (list, rest []byte, ok bool) {
	at := bytes.Index(body, listName)
	// The name must be a member's, at the top: nothing before it opens another level or could be a text with a quote inside.
	if at < 0 || bytes.IndexByte(body[:at], '\\') >= 0 || bytes.Count(body[:at], quoteByte)%2 != 0 ||
		bytes.Count(body[:at], []byte{'{'}) != 1 || bytes.IndexByte(body[:at], '[') >= 0 || bytes.IndexByte(body[:at], '}') >= 0 {
		return nil, nil, false
	}
	i := skipBlanks(body, at+len(listName))
	if i >= len(body) || body[i] != ':' {
		return nil, nil, false
	}
	if i = skipBlanks(body, i+1); i >= len(body) || body[i] != '[' {
		return nil, nil, false
	}
	open := i
	for i++; i < len(body) && plainInList[body[i]]; i++ {
	}
	if i >= len(body) || body[i] != ']' {
		return nil, nil, false
	}
	rest = make([]byte, 0, len(body)-(i-open)+1)
	rest = append(append(rest, body[:open+1]...), body[i:]...)
	return body[open+1 : i], rest, true
}

var quoteByte = []byte{'"'}

// plainInList are the bytes of a list of plain numbers and of texts without escapes, brackets and bytes beyond ASCII.
var plainInList = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-0x20] = true, true
	}
	for _, c := range " \t\r\n,\"-+._" {
		t[c] = true
	}
	return t
}()

func skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// read reads the list's elements. Where there are more than limit, the rest is only counted.
func (w *wanted) read(list []byte, limit int) error {
	w.ids, w.addresses, w.received = w.ids[:0], w.addresses[:0], 0
	bad := errIndices
	if w.byAddress {
		bad = errAddresses
	}
	i := skipBlanks(list, 0)
	if i == len(list) {
		return errNoAccounts
	}
	for {
		start := i
		for i < len(list) && list[i] != ',' {
			i++
		}
		if w.received++; w.received <= limit {
			if !w.element(trimBlanks(list[start:i])) {
				return bad
			}
		}
		if i == len(list) {
			break
		}
		i++ // the comma; what follows it must be an element
	}
	if w.received > limit {
		return &model.Error{Code: model.CodeBatchTooLarge, Message: "the plan allows " + strconv.Itoa(limit) + " accounts in one call, send fewer",
			Details: map[string]any{"limit": limit, "received": w.received}}
	}
	w.unique()
	return nil
}

func trimBlanks(b []byte) []byte {
	b = b[skipBlanks(b, 0):]
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t' || b[n-1] == '\r' || b[n-1] == '\n'); n-- {
		b = b[:n-1]
	}
	return b
}

func (w *wanted) element(text []byte) bool {
	if !w.byAddress {
		id, ok := parseIndex(text)
		w.ids = append(w.ids, id)
		return ok
	}
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return false
	}
	if bytes.IndexByte(text, '\\') >= 0 {
		var s string
		if json.Unmarshal(text, &s) != nil {
			return false
		}
		text = []byte(s)
	} else {
		text = text[1 : len(text)-1]
	}
	a, ok := parseAddress(text)
	w.addresses = append(w.addresses, a)
	return ok
}

// parseIndex reads an account's index: a JSON number that is an integer and not negative.
func parseIndex(b []byte) (model.AccountID, bool) {
	if len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	if !isDigits(b) {
		return 0, false
	}
	n, ok := parseInt(b)
	return model.AccountID(n), ok && n <= maxIndex
}

// maxIndex is the largest index that an account of the venue can have: the bits above name the venue.
const maxIndex = 1<<56 - 1

// parseAddress reads 0x and 40 hexadecimal digits, in any case.
func parseAddress(b []byte) (a model.Address, ok bool) {
	if len(b) != 2+2*len(a) || b[0] != '0' || b[1]|0x20 != 'x' {
		return a, false
	}
	_, err := hex.Decode(a[:], b[2:])
	return a, err == nil
}

// appendAddress writes an address in lower case; null where it is not known. The mixed case that the venue sends is a
// checksum (EIP-55) of these digits.
func appendAddress(dst []byte, a *model.Address) []byte {
	if *a == (model.Address{}) {
		return append(dst, "null"...)
	}
	return append(hex.AppendEncode(append(dst, `"0x`...), a[:]), '"')
}

// unique drops repeated entries.
func (w *wanted) unique() {
	if w.byAddress {
		w.addresses = uniqueOf(w.addresses, map[model.Address]bool{})
		return
	}
	w.seen.reset(len(w.ids))
	kept := w.ids[:0]
	for _, id := range w.ids {
		if w.seen.add(id) {
			kept = append(kept, id)
		}
	}
	w.ids = kept
}

func uniqueOf[K comparable](list []K, seen map[K]bool) []K {
	kept := list[:0]
	for _, k := range list {
		if !seen[k] {
			seen[k] = true
			kept = append(kept, k)
		}
	}
	return kept
}

// idSet is a set of accounts whose memory is used again: half of a batch's other work would be making a map.
type idSet struct {
	slots []uint64 // an id and one; 0 is free
	mask  uint64
}

// reset empties the set and makes room for n ids.
func (s *idSet) reset(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	if cap(s.slots) < size {
		s.slots = make([]uint64, size)
	} else {
		s.slots = s.slots[:size]
		clear(s.slots)
	}
	s.mask = uint64(size - 1)
}

// add adds an id and tells whether it was not there.
func (s *idSet) add(id model.AccountID) bool {
	want := uint64(id) + 1
	for i := want * 0x9e3779b97f4a7c15 >> 20 & s.mask; ; i = (i + 1) & s.mask {
		switch s.slots[i] {
		case 0:
			s.slots[i] = want
			return true
		case want:
			return false
		}
	}
}
