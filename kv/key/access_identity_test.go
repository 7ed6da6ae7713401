package key

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// identity are the families of users and API keys: each key is the family and its parts as they are.
var identity = []struct {
	family Family
	parts  int
	build  func(p []byte) []byte
	parse  func(k []byte) ([]byte, error)
}{
	{Users, IDSize, func(p []byte) []byte { return User(nil, [IDSize]byte(p)) },
		func(k []byte) ([]byte, error) { v, err := ParseUser(k); return v[:], err }},
	{Emails, HashSize, func(p []byte) []byte { return Email(nil, [HashSize]byte(p)) },
		func(k []byte) ([]byte, error) { v, err := ParseEmail(k); return v[:], err }},
	{APIKeys, 2 * IDSize, func(p []byte) []byte { return APIKey(nil, [IDSize]byte(p), [IDSize]byte(p[IDSize:])) },
		func(k []byte) ([]byte, error) { v, err := ParseAPIKey(k); return append(v.User[:], v.ID[:]...), err }},
	{KeyHashes, HashSize, func(p []byte) []byte { return KeyHash(nil, [HashSize]byte(p)) },
		func(k []byte) ([]byte, error) { v, err := ParseKeyHash(k); return v[:], err }},
}

func TestIdentityKeysParseAndSort(t *testing.T) {
	for _, l := range identity {
		t.Run(string(byte(l.family)), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a := rapid.SliceOfN(rapid.Byte(), l.parts, l.parts).Draw(t, "a")
				b := rapid.SliceOfN(rapid.Byte(), l.parts, l.parts).Draw(t, "b")
				ka, kb := l.build(a), l.build(b)
				if again, err := l.parse(ka); err != nil || !bytes.Equal(again, a) {
					t.Fatalf("%x came back as %x, %v", a, again, err)
				}
				if bytes.Compare(ka, kb) != bytes.Compare(a, b) {
					t.Fatalf("%x and %x: keys sort otherwise than their parts", a, b)
				}
				if !All(l.family).Contains(ka) {
					t.Fatalf("key %x is not in its family", ka)
				}
			})
			k := l.build(make([]byte, l.parts))
			for what, k := range map[string][]byte{"empty": nil, "short": k[:len(k)-1], "long": append(slices.Clone(k), 0),
				"another family": append([]byte{'z'}, k[1:]...)} {
				if _, err := l.parse(k); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
