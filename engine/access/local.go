package access

import (
	"net/netip"
	"net/url"
	"strings"
)

// isLocal applies contract 9.5: a web page, a rebound name or a proxy in front gets nothing.
func (a *Access) isLocal(r *Request) bool {
	if !r.Peer.Addr().Unmap().IsLoopback() || r.Forwarded {
		return false
	}
	host := hostname(r.Host)
	if !a.localHost(host) {
		return false
	}
	if r.Origin == "" {
		return true
	}
	if a.origins[strings.ToLower(r.Origin)] {
		return true
	}
	// Our own origin without a public URL is the very host that was asked.
	u, err := url.Parse(r.Origin)
	return err == nil && a.localHost(strings.ToLower(u.Hostname())) && strings.EqualFold(u.Host, r.Host)
}

func (a *Access) localHost(host string) bool {
	if host == "localhost" || (a.publicHost != "" && host == a.publicHost) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hostname cuts the port and the brackets of an IPv6 literal. It does not allocate for the usual lower-case host.
func hostname(hostport string) string {
	h := hostport
	if i := strings.LastIndexByte(h, ':'); i >= 0 && (strings.IndexByte(h, ':') == i || strings.HasSuffix(h[:i], "]")) {
		h = h[:i]
	}
	h = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
	return strings.ToLower(strings.TrimSuffix(h, "."))
}
