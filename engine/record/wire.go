package record

import (
	"encoding/binary"
	"fmt"
)

// sealedBit in the version byte tells a sealed segment from a hot block; the bits below count versions.
const sealedBit = 0x80

func appendUvarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// zigzag maps small numbers of either sign to small unsigned ones.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func appendVarint(dst []byte, v int64) []byte { return appendUvarint(dst, zigzag(v)) }

func appendString(dst []byte, s string) []byte {
	return append(appendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// reader takes a value apart. After a fault it reads zeros and bad is set, so that callers check once.
type reader struct {
	b   []byte
	i   int
	bad bool
}

func (r *reader) left() int { return len(r.b) - r.i }

func (r *reader) uvarint() uint64 {
	if r.i < len(r.b) {
		if c := r.b[r.i]; c < 0x80 {
			r.i++
			return uint64(c)
		}
	}
	return r.longUvarint()
}

func (r *reader) longUvarint() uint64 {
	// Two and three bytes are what prices, sizes and times take most.
	if b := r.b[r.i:]; len(b) >= 3 {
		if b[1] < 0x80 {
			r.i += 2
			return uint64(b[0]&0x7f) | uint64(b[1])<<7
		}
		if b[2] < 0x80 {
			r.i += 3
			return uint64(b[0]&0x7f) | uint64(b[1]&0x7f)<<7 | uint64(b[2])<<14
		}
	}
	v, n := binary.Uvarint(r.b[r.i:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.i += n
	return v
}

// uvarints reads a column of numbers, one for each place in dst. A loop of its own takes half the time of as many calls.
func (r *reader) uvarints(dst []uint64) {
	b, i := r.b, r.i
	for n := range dst {
		// Three bytes ahead there is no end to look for; longer numbers are rare.
		if i+3 <= len(b) {
			v := uint64(b[i])
			if v < 0x80 {
				dst[n] = v
				i++
				continue
			}
			v = v&0x7f | uint64(b[i+1])<<7
			if b[i+1] < 0x80 {
				dst[n] = v
				i += 2
				continue
			}
			v = v&(1<<14-1) | uint64(b[i+2])<<14
			if b[i+2] < 0x80 {
				dst[n] = v
				i += 3
				continue
			}
		}
		r.i = i
		dst[n] = r.uvarint()
		i = r.i
	}
	r.i = i
}

func (r *reader) varint() int64 { return unzigzag(r.uvarint()) }

func (r *reader) byte() byte {
	if r.i >= len(r.b) {
		r.fail()
		return 0
	}
	c := r.b[r.i]
	r.i++
	return c
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(r.left()) {
		r.fail()
		return nil
	}
	b := r.b[r.i : r.i+int(n)]
	r.i += int(n)
	return b
}

func (r *reader) string() string { return string(r.bytes(r.uvarint())) }

func (r *reader) bool() bool { return r.byte() != 0 }

// count reads a number of things that take at least size bytes each; more of them than the rest can hold is a fault, so
// that no count makes anybody allocate.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(r.left()/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) fail() {
	r.bad = true
	r.i = len(r.b)
}

// end reports a fault, or bytes left over.
func (r *reader) end(what string) error {
	if r.bad || r.left() != 0 {
		return corrupt(what)
	}
	return nil
}

func corrupt(what string) error { return fmt.Errorf("decode %s: %w", what, ErrCorrupt) }

// openValue checks the version, the first byte of every value.
func openValue(b []byte, what string, version byte) (reader, error) {
	if len(b) == 0 {
		return reader{}, corrupt(what)
	}
	if b[0] != version {
		return reader{}, fmt.Errorf("decode %s: %w %d", what, ErrVersion, b[0])
	}
	return reader{b: b, i: 1}, nil
}
