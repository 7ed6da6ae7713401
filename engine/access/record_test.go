package access

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"testing"
)

func goldenKey() *keyRecord {
	return &keyRecord{
		hash: [32]byte{1, 2, 31: 0xff}, prefix: "hlt_00000000", name: "prod", tier: "starter", disabled: true,
		allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		created: 1706745600000, expires: 1706832000000, used: 1706745600001,
	}
}

func goldenUser() *userRecord {
	return &userRecord{email: "you@example.com", phc: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5", tier: "free", operator: true,
		created: 1706745600000, terms: 1706745600000, version: 3}
}

// The bytes of a version never change: stores of users hold them.
func TestGoldenRecords(t *testing.T) {
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"user":    {appendUser(nil, goldenUser()), goldenUserHex},
		"key":     {appendKey(nil, goldenKey()), goldenKeyHex},
		"pointer": {appendPointer(nil, [16]byte{1}, [16]byte{2}), "0101000000000000000000000000000000" + "02000000000000000000000000000000"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
	u, err := decodeUser(unhex(t, goldenUserHex))
	if err != nil || !reflect.DeepEqual(&u, goldenUser()) {
		t.Errorf("user: got %+v, %v", u, err)
	}
	k, err := decodeKey(unhex(t, goldenKeyHex))
	if err != nil || !reflect.DeepEqual(&k, goldenKey()) {
		t.Errorf("key: got %+v, %v", k, err)
	}
	gone := goldenKey()
	gone.hash, gone.revoked = [32]byte{}, 1706832000001
	if k, err := decodeKey(appendKey(nil, gone)); err != nil || !reflect.DeepEqual(&k, gone) {
		t.Errorf("revoked key: got %+v, %v", k, err)
	}
	gone.hash[0] = 1
	if _, err := decodeKey(appendKey(nil, gone)); err == nil {
		t.Error("a revoked key must not keep its hash")
	}
}

const (
	goldenUserHex = "01020f796f75406578616d706c652e636f6d2a246172676f6e32696424763d3139246d3d31393435362c743d322c703d31246332467364412461" +
		"325635046672656580e0b89fac6380e0b89fac6303"
	goldenKeyHex = "010101020000000000000000000000000000000000000000000000000000000000ff0c686c745f3030303030303030" +
		"0470726f6407737461727465720204080a000000102020010db800000000000000000000000080e0b89fac6380d0ebf1ac6382e0b89fac63"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordsRefuse(t *testing.T) {
	decoders := map[string]struct {
		value  []byte
		decode func(b []byte) error
	}{
		"user":    {appendUser(nil, goldenUser()), func(b []byte) error { _, err := decodeUser(b); return err }},
		"key":     {appendKey(nil, goldenKey()), func(b []byte) error { _, err := decodeKey(b); return err }},
		"pointer": {appendPointer(nil, [16]byte{1}), func(b []byte) error { var id [16]byte; return decodePointer(b, &id) }},
	}
	for name, c := range decoders {
		if err := c.decode(c.value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n := range c.value {
			if c.decode(c.value[:n]) == nil {
				t.Errorf("%s: %d of %d bytes were taken", name, n, len(c.value))
			}
		}
		if c.decode(append(bytes.Clone(c.value), 0)) == nil {
			t.Errorf("%s: a byte too many was taken", name)
		}
		later := bytes.Clone(c.value)
		later[0]++
		if c.decode(later) == nil {
			t.Errorf("%s: a later version was taken", name)
		}
	}
}

func FuzzDecodeRecords(f *testing.F) {
	f.Add(appendUser(nil, goldenUser()))
	f.Add(appendKey(nil, goldenKey()))
	f.Add(appendPointer(nil, [16]byte{1}, [16]byte{2}))
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := decodeUser(b); err == nil {
			if again, err := decodeUser(appendUser(nil, &u)); err != nil || again != u {
				t.Fatalf("user %+v came back as %+v, %v", u, again, err)
			}
		}
		if k, err := decodeKey(b); err == nil {
			if again, err := decodeKey(appendKey(nil, &k)); err != nil || !reflect.DeepEqual(again, k) {
				t.Fatalf("key %+v came back as %+v, %v", k, again, err)
			}
		}
		var user, id [16]byte
		if err := decodePointer(b, &user, &id); err == nil && !bytes.Equal(appendPointer(nil, user, id), b) {
			t.Fatal("a pointer came back otherwise")
		}
	})
}
