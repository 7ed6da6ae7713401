package access

import (
	"errors"
	"testing"

	"hyperlight/engine/model"
)

// Whatever is shown as a credential, nobody gets in with what was not handed out, and nothing panics.
func FuzzAuthenticate(f *testing.F) {
	h := newHouse(f)
	s := h.register(f, "you@example.com", "free")
	f.Add(s.PlainKey, "", "")
	f.Add("", s.PlainKey, "")
	f.Add("", s.Token, "")
	f.Add("", "", s.PlainKey)
	f.Add(s.PlainKey+"0", s.PlainKey, s.PlainKey)
	f.Add("hlt_", "eyJhbGciOiJub25lIn0.e30.", "\x00")
	f.Add("", handmade(testSecret, `{"alg":"HS256","kid":"`+h.tokens.kid+`"}`, `{"iss":"hyperlight","sv":0,"exp":1e999,"sub":"x"}`), "")
	f.Fuzz(func(t *testing.T, header, bearer, query string) {
		p, err := h.Authenticate(Request{APIKey: header, Bearer: bearer, Query: query})
		first := header
		if first == "" {
			first = bearer
		}
		if first == "" {
			first = query
		}
		good := first == s.PlainKey || header == "" && bearer == s.Token
		if good != (err == nil) || good != (p != nil) {
			t.Fatalf("%q: got %+v, %v", first, p, err)
		}
		if e, ok := errors.AsType[*model.Error](err); err != nil && (!ok || e.Code != model.CodeUnauthorized || e.Err != nil) {
			t.Fatalf("%q: got %v", first, err)
		}
	})
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"you@example.com", " A@B.C ", "a..b@c.de", "\x00@\xff.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseEmail(s)
		if err != nil {
			return
		}
		if again, err := parseEmail(got); err != nil || again != got {
			t.Fatalf("%q became %q, which became %q, %v", s, got, again, err)
		}
		for _, c := range []byte(got) {
			if c <= ' ' || c >= 0x7f || c >= 'A' && c <= 'Z' {
				t.Fatalf("%q holds %q", got, c)
			}
		}
	})
}
