package access

import (
	"strings"

	"hyperlight/engine/model"
)

// Lengths of RFC 5321.
const (
	maxEmail = 254
	maxLocal = 64
	maxLabel = 63
)

// foldEmail writes an address as it is looked up: trimmed and in lower case.
func foldEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// parseEmail returns the folded address, or bad_request. It takes what mail is really sent to: a dot-atom, an @ and a
// domain name of two or more labels, in ASCII. Quoted local parts and address literals are refused.
func parseEmail(s string) (string, error) {
	s = foldEmail(s)
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > maxEmail || len(local) > maxLocal || !dotted(local, atom) || !dotted(domain, label) || !hostLike(domain) {
		return "", model.BadRequest("email", "email must be an address such as you@example.com")
	}
	return s, nil
}

// dotted tells whether s is parts that are all fine, with single dots between them.
func dotted(s string, fine func(part string) bool) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || !fine(part) {
			return false
		}
	}
	return true
}

func atom(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool {
		return !alphanumeric(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", c)
	}) < 0
}

func label(s string) bool {
	return len(s) <= maxLabel && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.IndexFunc(s, func(c rune) bool { return !alphanumeric(c) && c != '-' }) < 0
}

// hostLike tells a domain name from a bare host and from an IPv4 address.
func hostLike(domain string) bool {
	i := strings.LastIndexByte(domain, '.')
	return i >= 0 && strings.ContainsAny(domain[i:], "abcdefghijklmnopqrstuvwxyz")
}

func alphanumeric(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
