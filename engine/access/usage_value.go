package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// errValue reports bytes that are no value of the family asked for.
var errValue = errors.New("malformed value")

const (
	valueVersion = 1
	maxRouteName = 512
)

// appendUsage appends an hour's row: version, count of routes, and of each in the order of their names: name with its
// length, answers by class, credits.
func appendUsage(dst []byte, routes map[string]*routeCount) []byte {
	dst = binary.AppendUvarint(append(dst, valueVersion), uint64(len(routes)))
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		c := routes[name]
		dst = append(binary.AppendUvarint(dst, uint64(len(name))), name...)
		for _, n := range c.answers {
			dst = binary.AppendUvarint(dst, uint64(n))
		}
		dst = binary.AppendUvarint(dst, uint64(c.credits))
	}
	return dst
}

// addUsage adds a row's counts to routes.
func addUsage(routes map[string]*routeCount, v []byte) error {
	r := valueReader{b: v}
	r.version()
	n := r.count(1 << 16)
	last := ""
	for i := range n {
		name := string(r.bytes(r.count(maxRouteName)))
		if i > 0 && name <= last {
			r.bad = true
		}
		last = name
		var c routeCount
		for j := range c.answers {
			c.answers[j] = int64(r.count(1 << 62))
		}
		c.credits = int64(r.count(1 << 62))
		if r.bad {
			break
		}
		if routes[name] == nil {
			routes[name] = &routeCount{}
		}
		routes[name].add(&c)
	}
	return r.end("usage")
}

// appendSeconds appends a minute's row of a rate window: version, and of each second that admitted something: the second
// of the minute and how often.
func appendSeconds(dst []byte, counts *[60]int) []byte {
	dst = append(dst, valueVersion)
	for s, n := range counts {
		if n > 0 {
			dst = binary.AppendUvarint(append(dst, byte(s)), uint64(n))
		}
	}
	return dst
}

// readSeconds returns a minute's row.
func readSeconds(v []byte) (counts [60]int, err error) {
	r := valueReader{b: v}
	r.version()
	next := 0
	for len(r.b) > 0 && !r.bad {
		s := int(r.bytes(1)[0])
		if s < next || s >= len(counts) {
			r.bad = true
			break
		}
		next = s + 1
		if counts[s] = int(r.count(noLimit)); counts[s] == 0 {
			r.bad = true
		}
	}
	return counts, r.end("rate window")
}

// appendTotal appends a month's row: version, credits used, credits reported as overage to whoever bills them.
func appendTotal(dst []byte, used int64) []byte {
	dst = binary.AppendUvarint(append(dst, valueVersion), uint64(max(used, 0)))
	return binary.AppendUvarint(dst, 0)
}

// readTotal returns the credits of a month's row.
func readTotal(v []byte) (used int64, err error) {
	r := valueReader{b: v}
	r.version()
	used = int64(r.count(1 << 62))
	r.count(1 << 62)
	return used, r.end("month total")
}

// valueReader takes a value apart; the first fault sticks.
type valueReader struct {
	b   []byte
	bad bool
}

func (r *valueReader) version() {
	if b := r.bytes(1); !r.bad && b[0] != valueVersion {
		r.bad = true
	}
}

// bytes returns the next n bytes, or one zero of a bad value.
func (r *valueReader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return make([]byte, 1)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// count reads a number of at most limit, in its shortest form.
func (r *valueReader) count(limit uint64) uint64 {
	if r.bad {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit || n > 1 && r.b[n-1] == 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *valueReader) end(what string) error {
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("read %s: %w", what, errValue)
	}
	return nil
}
