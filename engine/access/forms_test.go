package access

import (
	"net/netip"
	"strings"
	"testing"

	"hyperlight/engine/model"
)

func TestParseEmail(t *testing.T) {
	for in, want := range map[string]string{
		"you@example.com": "you@example.com", " You.And+Me@EXAMPLE.co.uk\t": "you.and+me@example.co.uk",
		"a@xn--bcher-kva.example": "a@xn--bcher-kva.example", "o'brien!#$%&*-/=?^_`{|}~@a1.b2c": "o'brien!#$%&*-/=?^_`{|}~@a1.b2c",
		strings.Repeat("x", 64) + "@example.com": strings.Repeat("x", 64) + "@example.com",
	} {
		if got, err := parseEmail(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", " ", "@", "a", "a@", "@example.com", "a@b", "a@b@example.com", "a b@example.com", "a@exa mple.com", "a@example.com,b@example.com",
		"You <you@example.com>", `"a b"@example.com`, "a@[127.0.0.1]", "a@127.0.0.1", ".a@example.com", "a.@example.com", "a..b@example.com",
		"a@.example.com", "a@example..com", "a@example.com.", "a@-example.com", "a@example-.com", "a@exam_ple.com", "ä@example.com", "a@bücher.example",
		"a\x00@example.com", "a@example.com\r\nBcc: b@example.com", "a@example.\x7fcom", "a@example.com\u200b", "ａ@example.com",
		strings.Repeat("x", 65) + "@example.com", "a@" + strings.Repeat("x", 64) + ".com", "a@" + strings.Repeat("abcdefg.", 32) + "com",
	} {
		got, err := parseEmail(in)
		refused(t, in, err, model.CodeBadRequest, "")
		if got != "" || field(err) != "email" {
			t.Errorf("%q: got %q, field %v", in, got, field(err))
		}
	}
}

func TestParseAllowed(t *testing.T) {
	got, err := parseAllowed([]string{"10.1.2.3/8", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "0.0.0.0/0", "::/0", "2001:DB8::1"})
	if err != nil {
		t.Fatal(err)
	}
	k := Key{AllowedIPs: got}
	if text := strings.Join(k.Allowed(), " "); text != "10.0.0.0/8 192.0.2.1 192.0.2.0/24 0.0.0.0/0 ::/0 2001:db8::1" {
		t.Error(text)
	}
	for client, want := range map[string]bool{"192.0.2.1": true, "2001:db8::2": false, "": false} {
		addr, _ := netip.ParseAddr(client)
		list, _ := parseAllowed([]string{"192.0.2.1", "2001:db8::1"})
		if allows(list, addr) != want {
			t.Errorf("%q: want %v", client, want)
		}
		if !allows(nil, addr) {
			t.Errorf("%q: an empty list refused it", client)
		}
	}
}
