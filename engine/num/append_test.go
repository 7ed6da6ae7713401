package num

import (
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestEightDigits goes through every part of four digits in both halves, which is all that the steps below them see, and
// through random whole numbers.
func TestEightDigits(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, u uint64) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], eight(u))
		if want := fmt.Sprintf("%08d", u); string(b[:]) != want {
			t.Fatalf("%d is written as %q", u, b)
		}
	}
	for part := range uint64(10_000) {
		check(t, part)
		check(t, part*10_000)
		check(t, part*10_000+9_999-part)
	}
	check(t, 99_999_999)
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.Uint64Range(0, 99_999_999).Draw(t, "number")) })
}
