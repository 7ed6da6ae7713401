package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"hyperlight/engine/model"
)

// Values of the families u, k, e and h: a version first, then fields as varints and strings. Fields are only ever added
// at the end under a new version. No value holds a plain key, a password or a token.
const (
	userVersion    = 1
	keyVersion     = 1
	pointerVersion = 1
)

var errRecord = errors.New("corrupt record")

// userRecord is a stored user.
type userRecord struct {
	email    string
	phc      string // the password's argon2id hash; "" cannot sign in. Stripped in memory
	tier     string
	operator bool
	disabled bool
	created  model.Millis
	terms    model.Millis
	version  uint32 // of its sessions
}

// keyRecord is a stored API key.
type keyRecord struct {
	hash     [32]byte
	prefix   string
	name     string
	tier     string // "": follows the user's
	allowed  []netip.Prefix
	disabled bool
	created  model.Millis
	expires  model.Millis
	used     model.Millis
	revoked  model.Millis // 0: it is a key; else what is left of one, for its usage: the hash is zero
}

const (
	flagDisabled = 1 << iota
	flagOperator
	flagRevoked
)

func appendUser(dst []byte, u *userRecord) []byte {
	var flags byte
	if u.disabled {
		flags |= flagDisabled
	}
	if u.operator {
		flags |= flagOperator
	}
	dst = append(dst, userVersion, flags)
	dst = appendText(appendText(appendText(dst, u.email), u.phc), u.tier)
	dst = binary.AppendVarint(binary.AppendVarint(dst, int64(u.created)), int64(u.terms))
	return binary.AppendUvarint(dst, uint64(u.version))
}

func decodeUser(b []byte) (userRecord, error) {
	r := openRecord(b, userVersion)
	flags := r.byte()
	r.bad = r.bad || flags&^(flagDisabled|flagOperator) != 0
	u := userRecord{disabled: flags&flagDisabled != 0, operator: flags&flagOperator != 0}
	u.email, u.phc, u.tier = r.text(), r.text(), r.text()
	u.created, u.terms = model.Millis(r.varint()), model.Millis(r.varint())
	version := r.uvarint()
	u.version = uint32(version)
	r.bad = r.bad || version>>32 != 0
	if err := r.end("user"); err != nil {
		return userRecord{}, err
	}
	return u, nil
}

func appendKey(dst []byte, k *keyRecord) []byte {
	var flags byte
	if k.disabled {
		flags |= flagDisabled
	}
	if k.revoked != 0 {
		flags |= flagRevoked
	}
	dst = append(append(dst, keyVersion, flags), k.hash[:]...)
	dst = appendText(appendText(appendText(dst, k.prefix), k.name), k.tier)
	dst = binary.AppendUvarint(dst, uint64(len(k.allowed)))
	for _, p := range k.allowed {
		dst = append(dst, byte(p.Addr().BitLen()/8), byte(p.Bits()))
		dst = append(dst, p.Addr().AsSlice()...)
	}
	for _, t := range [...]model.Millis{k.created, k.expires, k.used} {
		dst = binary.AppendVarint(dst, int64(t))
	}
	if k.revoked != 0 {
		dst = binary.AppendVarint(dst, int64(k.revoked))
	}
	return dst
}

func decodeKey(b []byte) (keyRecord, error) {
	r := openRecord(b, keyVersion)
	flags := r.byte()
	r.bad = r.bad || flags&^(flagDisabled|flagRevoked) != 0
	k := keyRecord{disabled: flags&flagDisabled != 0}
	copy(k.hash[:], r.bytes(uint64(len(k.hash))))
	k.prefix, k.name, k.tier = r.text(), r.text(), r.text()
	for range r.count(2 + 4) {
		k.allowed = append(k.allowed, r.prefix())
	}
	for _, t := range [...]*model.Millis{&k.created, &k.expires, &k.used} {
		*t = model.Millis(r.varint())
	}
	if flags&flagRevoked != 0 {
		k.revoked = model.Millis(r.varint())
		r.bad = r.bad || k.revoked == 0 || k.hash != [32]byte{}
	}
	if err := r.end("API key"); err != nil {
		return keyRecord{}, err
	}
	return k, nil
}

// appendPointer encodes what an e-mail's row (a user) or a hash's row (a user and a key) leads to.
func appendPointer(dst []byte, ids ...[16]byte) []byte {
	dst = append(dst, pointerVersion)
	for _, id := range ids {
		dst = append(dst, id[:]...)
	}
	return dst
}

// decodePointer fills ids and refuses a value of another length.
func decodePointer(b []byte, ids ...*[16]byte) error {
	r := openRecord(b, pointerVersion)
	for _, id := range ids {
		copy(id[:], r.bytes(16))
	}
	return r.end("pointer")
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// recordReader takes a value apart; after a fault it reads zeros.
type recordReader struct {
	b       []byte
	bad     bool
	unknown bool // a version of a later build
}

func openRecord(b []byte, version byte) recordReader {
	if len(b) == 0 {
		return recordReader{bad: true}
	}
	return recordReader{b: b[1:], bad: b[0] != version, unknown: b[0] > version}
}

func (r *recordReader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *recordReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *recordReader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *recordReader) skip(n int) {
	if n <= 0 {
		r.bad, n = true, 0
	}
	r.b = r.b[n:]
}

func (r *recordReader) text() string { return string(r.bytes(r.uvarint())) }

// count reads a number of things of at least size bytes; more than the rest can hold is a fault.
func (r *recordReader) count(size int) int {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.b)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}

// prefix reads an allowed block, which is always written masked and never mapped from IPv4.
func (r *recordReader) prefix() netip.Prefix {
	size, bits := r.byte(), r.byte()
	if size != 4 && size != 16 {
		r.bad = true
		return netip.Prefix{}
	}
	a, ok := netip.AddrFromSlice(r.bytes(uint64(size)))
	p := netip.PrefixFrom(a, int(bits))
	r.bad = r.bad || !ok || !p.IsValid() || p != p.Masked() || a.Is4In6()
	return p
}

func (r *recordReader) end(what string) error {
	switch {
	case r.unknown:
		return fmt.Errorf("decode %s: %w: it has a version that this program does not know", what, errRecord)
	case r.bad || len(r.b) != 0:
		return fmt.Errorf("decode %s: %w", what, errRecord)
	}
	return nil
}
