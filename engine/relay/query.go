package relay

import (
	"bytes"
	"net/url"
	"slices"
)

// maxMembers is how many members a query may have and still be put in order.
const maxMembers = 16

// Query is the query of a native call, taken apart without losing a byte.
type Query struct {
	raw     []byte // without what is ours
	members []member
	orderly bool   // every member's name is plain text: their order can be changed without changing what they say
	auth    bool   // a member that some decoder reads as the venue's token is there
	token   []byte // its raw value
}

// member is one name=value; both are raw.
type member struct {
	raw, name, value []byte
}

// ParseQuery takes a raw query apart. The bytes are kept.
func ParseQuery(raw []byte) *Query {
	q := new(Query)
	q.parse(raw)
	return q
}

// parse fills q, whose memory is used again.
func (q *Query) parse(raw []byte) {
	*q = Query{raw: raw, members: q.members[:0], orderly: true}
	for rest, more := raw, len(raw) > 0; more; {
		var piece []byte
		piece, _, rest, more = cutMember(rest)
		name, value, _ := bytes.Cut(piece, []byte{'='})
		if !q.auth && isAuth(name) {
			q.auth, q.token = true, value
		}
		q.orderly = q.orderly && plainText(name) && bytes.IndexByte(piece, ';') < 0
		q.members = append(q.members, member{piece, name, value})
	}
	if bytes.IndexByte(raw, ';') >= 0 || len(q.members) > maxMembers {
		q.orderly = false
	}
	if q.auth || bytes.IndexByte(raw, ';') < 0 {
		return
	}
	for rest, more := raw, true; more && !q.auth; { // for those who take ';' for a separator too
		var piece []byte
		piece, _, rest, more = cutPiece(rest)
		name, _, _ := bytes.Cut(piece, []byte{'='})
		q.auth = isAuth(name)
	}
}

// isAuth tells whether some decoder could read a raw name as one under which clients send the venue's token: auth, or
// authorization, as its generated TypeScript client does.
func isAuth(name []byte) bool { return isName(name, "auth") || isName(name, "authorization") }

// Len returns the number of members.
func (q *Query) Len() int { return len(q.members) }

// Get returns the decoded value of the first member of that name.
func (q *Query) Get(name string) (value string, ok bool) {
	for i := range q.members {
		if string(q.members[i].name) == name {
			v := q.members[i].value
			if bytes.IndexByte(v, '%') < 0 && bytes.IndexByte(v, '+') < 0 {
				return string(v), true
			}
			value, err := url.QueryUnescape(string(v))
			return value, err == nil
		}
	}
	return "", false
}

// Only tells whether the query has no members but those named.
func (q *Query) Only(names ...string) bool {
	for i := range q.members {
		if !slices.Contains(names, string(q.members[i].name)) {
			return false
		}
	}
	return true
}

// Plain tells whether every decoder reads the query alike: plain names, none twice in any case, well-formed escapes.
func (q *Query) Plain() bool {
	if !q.orderly {
		return false
	}
	for i := range q.members {
		for j := range i {
			if bytes.EqualFold(q.members[i].name, q.members[j].name) {
				return false
			}
		}
		value := q.members[i].value
		for k := 0; k < len(value); k++ {
			if value[k] == '%' {
				if v, ok := unescape(value, k); !ok || v == 0 {
					return false
				}
			}
		}
	}
	return true
}

// appendKey writes what tells this query's answer from others'. Members are sorted by name; those of one name keep
// their order, because a server may take the first or the last. Names that only a decoder would find equal, or a server
// that ignores case, never change places either. A disorderly query stands as it came.
func (q *Query) appendKey(dst []byte) []byte {
	if !q.orderly {
		return append(append(dst, "?!"...), q.raw...)
	}
	var order [maxMembers]int
	for i := range q.members {
		at := i
		for at > 0 && foldedCompare(q.members[order[at-1]].name, q.members[i].name) > 0 {
			order[at] = order[at-1]
			at--
		}
		order[at] = i
	}
	separator := byte('?')
	for _, i := range order[:len(q.members)] {
		dst = append(append(dst, separator), q.members[i].raw...)
		separator = '&'
	}
	return dst
}

// plainText tells whether a name has only characters that no decoder touches.
func plainText(name []byte) bool {
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(name) > 0
}

// foldedCompare orders ASCII texts without looking at their case.
func foldedCompare(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}
