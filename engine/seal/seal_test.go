package seal

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// A secret opens with its key at its place alone, and not once a bit of it has changed; the same secret never looks the same.
func TestBox(t *testing.T) {
	t.Parallel()
	box, err := New(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	other, _ := New(NewKey())
	rapid.Check(t, func(t *rapid.T) {
		secret, place := rapid.SliceOf(rapid.Byte()).Draw(t, "secret"), rapid.SliceOf(rapid.Byte()).Draw(t, "place")
		sealed := box.Seal(secret, place)
		if got, err := box.Open(sealed, place); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("got %x, %v", got, err)
		}
		if bytes.Equal(sealed, box.Seal(secret, place)) {
			t.Fatal("the same secret looks the same")
		}
		_, e1 := other.Open(sealed, place)
		_, e2 := box.Open(sealed, append(place, 0))
		_, e3 := box.Open(sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")], place)
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		_, e4 := box.Open(sealed, place)
		for _, err := range []error{e1, e2, e3, e4} {
			if !errors.Is(err, ErrSealed) {
				t.Fatalf("got %v", err)
			}
		}
	})
	if _, err := New([]byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}
