package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strconv"

	"hyperlight/engine/model"
)

// position names a place in a sorted series: the row that was sent last.
type position struct {
	Time   int64 // of the row, in the unit the series is sorted by
	Market model.MarketID
	ID     uint64
}

// A cursor is base64url of: version, position, the start of the range it walks, a hash of the filters, and a MAC over all
// of it. The start is in it because a range that was asked without one begins 24 h before "now", and "now" moves while
// the walk goes on.
const (
	cursorVersion = 1
	cursorHash    = 8
	cursorMAC     = 16
	cursorBody    = 1 + 8 + 4 + 8 + 8 + cursorHash
)

var errCursor = model.BadRequest("cursor", "cursor must be the next_cursor of an answer to the same query")

// filterHash condenses what a walk asked for: a cursor only continues the same question.
type filterHash [cursorHash]byte

// filterHasher collects the parameters of a query in a fixed order.
type filterHasher struct{ h hash.Hash }

func newFilterHasher(route string) *filterHasher {
	f := &filterHasher{sha256.New()}
	return f.add(route)
}

func (f *filterHasher) add(s string) *filterHasher {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(s)))
	f.h.Write(n[:])
	f.h.Write([]byte(s))
	return f
}

func (f *filterHasher) addInt(n int64) *filterHasher { return f.add(strconv.FormatInt(n, 10)) }

func (f *filterHasher) sum() (out filterHash) {
	copy(out[:], f.h.Sum(nil))
	return out
}

// encodeCursor returns the opaque text that continues a walk after p.
func encodeCursor(key []byte, p position, start model.Millis, filter filterHash) string {
	var b [cursorBody + cursorMAC]byte
	b[0] = cursorVersion
	binary.BigEndian.PutUint64(b[1:], uint64(p.Time))
	binary.BigEndian.PutUint32(b[9:], uint32(p.Market))
	binary.BigEndian.PutUint64(b[13:], p.ID)
	binary.BigEndian.PutUint64(b[21:], uint64(start))
	copy(b[29:], filter[:])
	mac := hmac.New(sha256.New, key)
	mac.Write(b[:cursorBody])
	copy(b[cursorBody:], mac.Sum(nil))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// decodedCursor is a cursor whose MAC was right. Whether it belongs to the query is told by its filter hash.
type decodedCursor struct {
	Position position
	Start    model.Millis
	Filter   filterHash
}

// decodeCursor checks a cursor's form and MAC.
func decodeCursor(key []byte, text []byte) (decodedCursor, error) {
	var b [cursorBody + cursorMAC]byte
	if len(text) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return decodedCursor{}, errCursor
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(b[:], text); err != nil || n != len(b) || b[0] != cursorVersion {
		return decodedCursor{}, errCursor
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(b[:cursorBody])
	if !hmac.Equal(mac.Sum(nil)[:cursorMAC], b[cursorBody:]) {
		return decodedCursor{}, errCursor
	}
	d := decodedCursor{
		Position: position{
			Time:   int64(binary.BigEndian.Uint64(b[1:])),
			Market: model.MarketID(binary.BigEndian.Uint32(b[9:])),
			ID:     binary.BigEndian.Uint64(b[13:]),
		},
		Start: model.Millis(binary.BigEndian.Uint64(b[21:])),
	}
	copy(d.Filter[:], b[29:])
	return d, nil
}
