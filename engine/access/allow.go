package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hyperlight/engine/model"
)

// maxAllowed bounds the allow list of a key.
const maxAllowed = 100

// parseAllowed reads an allow list of addresses and CIDR blocks. An address mapped from IPv4 is that IPv4 address, bits
// below a block's mask are cut, and doubles count once.
func parseAllowed(list []string) ([]netip.Prefix, error) {
	if len(list) > maxAllowed {
		return nil, &model.Error{Code: model.CodeBadRequest, Message: fmt.Sprintf("allowed_ips must have at most %d entries", maxAllowed),
			Details: map[string]any{"field": "allowed_ips", "limit": maxAllowed, "received": len(list)}}
	}
	var out []netip.Prefix
	for _, s := range list {
		p, ok := parseBlock(strings.TrimSpace(s))
		if !ok {
			return nil, model.BadRequest("allowed_ips", "allowed_ips must hold addresses and CIDR blocks such as 203.0.113.7 or 2001:db8::/32")
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

func parseBlock(s string) (netip.Prefix, bool) {
	var p netip.Prefix
	if strings.Contains(s, "/") {
		var err error
		if p, err = netip.ParsePrefix(s); err != nil {
			return netip.Prefix{}, false
		}
	} else {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 { // holds more than the mapped addresses, which no caller has
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// allows tells whether an address is on a list; an empty list allows all.
func allows(list []netip.Prefix, client netip.Addr) bool {
	if len(list) == 0 {
		return true
	}
	for _, p := range list {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

// Allowed returns the allow list as text: a block of one address without its mask. It is never nil.
func (k *Key) Allowed() []string {
	out := make([]string, len(k.AllowedIPs))
	for i, p := range k.AllowedIPs {
		if out[i] = p.String(); p.IsSingleIP() {
			out[i] = p.Addr().String()
		}
	}
	return out
}
