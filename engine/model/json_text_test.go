package model

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestPlainText holds the fast look at a string against a look at each byte: it must never call one plain that is not, and
// never miss an ordinary one.
func TestPlainText(t *testing.T) {
	special := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= utf8.RuneSelf || r == '"' || r == '\\' })
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.StringMatching(`[ -~]{0,40}`), rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		plain := plainText(s)
		if plain && special(s) {
			t.Fatalf("%q is called plain", s)
		}
		if hex := strings.Trim(s, "0123456789abcdef") == ""; hex && !plain {
			t.Fatalf("%q is not called plain", s)
		}
	})
}
