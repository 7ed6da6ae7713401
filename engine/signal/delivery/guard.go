package delivery

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// maxURL is the longest address that is taken.
const maxURL = 2048

// lookupTimeout bounds how long a name is looked up when an address is given.
const lookupTimeout = 2 * time.Second

var defaultPorts = []uint16{443, 8443}

// platform is where one cloud tells its machines their secrets. It looks public, and is refused also where private addresses
// are allowed: no receiver is there.
var platform = netip.MustParsePrefix("168.63.129.16/32")

// Prefixes beyond the library's: 6to4 and Teredo carry IPv4 addresses inside, so that a relay would lead back to where the
// guard forbids to go.
var (
	deniedV4 = []netip.Prefix{platform, netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("224.0.0.0/4")}
	deniedV6 = []netip.Prefix{netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("3fff::/20")}
)

// Guard decides which addresses may be called: roughly when somebody names one, and for certain when a connection is made.
type Guard struct {
	policy   Policy
	ports    []uint16
	guardian *ssrf.Guardian
	resolver *net.Resolver
}

// NewGuard returns a guard; a nil resolver is the system's.
func NewGuard(p Policy, resolver *net.Resolver) *Guard {
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	g := &Guard{policy: p, ports: p.Ports, resolver: resolver}
	if len(g.ports) == 0 {
		g.ports = defaultPorts
	}
	g.guardian = ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(deniedV4...), ssrf.WithDeniedV6Prefixes(deniedV6...))
	return g
}

// Control is asked by the dialer before each connection, with the address that the name resolved to.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return ErrURL
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !slices.Contains(g.ports, at.Port()) || !g.allowed(at) {
		return ErrURL
	}
	return nil
}

// allowed tells whether a connection to an address may be made.
func (g *Guard) allowed(at netip.AddrPort) bool {
	addr := at.Addr().Unmap()
	if addr.Zone() != "" && !g.policy.AllowPrivate {
		return false
	}
	if g.own(netip.AddrPortFrom(addr.WithZone(""), at.Port())) {
		return false
	}
	if g.policy.AllowPrivate {
		return !addr.IsUnspecified() && !addr.IsMulticast() && !platform.Contains(addr)
	}
	return g.guardian.SafeAddr(addr) == nil
}

// own tells whether one of our listeners is at an address.
func (g *Guard) own(at netip.AddrPort) bool {
	for _, o := range g.policy.Own {
		if o.Port() != at.Port() {
			continue
		}
		a := o.Addr().Unmap()
		if a == at.Addr() || (!a.IsValid() || a.IsUnspecified()) && onThisMachine(at.Addr()) {
			return true
		}
	}
	return false
}

func onThisMachine(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return true // nothing is known of this machine's addresses: no listener is worth a guess
	}
	return slices.ContainsFunc(interfaces, func(i net.Addr) bool {
		p, err := netip.ParsePrefix(i.String())
		return err == nil && p.Addr().Unmap() == addr
	})
}

// CheckURL tells, with ErrURL or nil, whether an address that somebody names may be called as far as can be said now. A
// name that does not resolve is taken: the answer that counts is the one when a connection is made.
func (g *Guard) CheckURL(ctx context.Context, text string) error {
	host, port, ok := g.parse(text)
	if !ok {
		return ErrURL
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if !g.allowed(netip.AddrPortFrom(addr, port)) {
			return ErrURL
		}
		return nil
	}
	if !g.validName(host) {
		return ErrURL
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if !g.allowed(netip.AddrPortFrom(a, port)) {
			return ErrURL
		}
	}
	return nil
}

// parse takes an address apart that every reader reads alike; anything unusual is refused.
func (g *Guard) parse(text string) (host string, port uint16, ok bool) {
	if text == "" || len(text) > maxURL || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return "", 0, false
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" || strings.ContainsAny(u.Host, "@%") {
		return "", 0, false
	}
	switch {
	case u.Scheme == "https":
		port = 443
	case u.Scheme == "http" && g.policy.AllowHTTP:
		port = 80
	default:
		return "", 0, false
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return "", 0, false
		}
		port = uint16(n)
	} else if strings.HasSuffix(u.Host, ":") {
		return "", 0, false
	}
	return u.Hostname(), port, slices.Contains(g.ports, port)
}

// validName tells whether a host is a name of the public DNS; names of this machine and of local networks only where
// private addresses are allowed. What ends in a number is an address in a form of old (2130706433, 0x7f.1, 017700000001).
func (g *Guard) validName(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.ContainsFunc(l, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) {
			return false
		}
	}
	last := labels[len(labels)-1]
	if last[0] >= '0' && last[0] <= '9' {
		return false
	}
	if g.policy.AllowPrivate {
		return true
	}
	local := []string{"localhost", "local", "internal", "localdomain", "lan", "home", "corp", "intranet", "private", "arpa", "onion"}
	return len(labels) > 1 && !slices.Contains(local, last)
}
