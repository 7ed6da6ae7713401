package config

import (
	"net"
	"net/url"
	"slices"
)

// Warnings returns what is allowed but probably not meant.
func (c *Config) Warnings() []Fault {
	var found []Fault
	warn := func(path, message string) { found = append(found, Fault{Path: path, Message: message}) }

	host, _, _ := net.SplitHostPort(c.Server.Listen)
	open := !isLoopback(host)
	if u, err := url.Parse(c.Server.PublicURL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) && c.TLS.Mode == TLSOff {
		warn("server.public_url", "is plain http: keys travel readable; put TLS in front and use https")
	}
	if open && c.TLS.Mode == TLSOff && c.Server.PublicURL == "" {
		warn("tls.mode", "is off while the server listens beyond this machine: keys travel readable; set tls.mode, or server.public_url to the https address of the proxy in front")
	}
	if u, err := url.Parse(c.Server.PublicURL); err == nil && u.Scheme == "http" && c.TLS.Mode != TLSOff {
		warn("server.public_url", "is plain http although tls.mode is "+c.TLS.Mode+": links that are handed out will not work")
	}
	if _, port, err := net.SplitHostPort(c.Server.Listen); err == nil && c.TLS.Mode == TLSACME && port != "443" {
		warn("server.listen", "is not port 443, where the certificate authority looks: something must lead that port here")
	}
	if c.TLS.Mode == TLSACME && len(c.TLS.Domains) > 0 {
		if u, err := url.Parse(c.Server.PublicURL); err == nil && u.Host != "" && !slices.Contains(c.TLS.Domains, u.Hostname()) {
			warn("tls.domains", "lacks "+u.Hostname()+", the host of server.public_url")
		}
	}
	if open && c.Metrics.Token == "" {
		warn("metrics.token", "is empty while the server listens beyond this machine: everybody can read /metrics")
	}
	for _, p := range c.Server.TrustedProxies {
		n, err := ParseNetwork(p)
		if err == nil && (n.Addr().Is4() && n.Bits() < 8 || n.Addr().Is6() && n.Bits() < 32) {
			warn("server.trusted_proxies", p+" is very wide: anybody inside can claim any client address")
		}
	}
	if !c.Venues.Lighter.Enabled && !c.Demo.Enabled {
		warn("venues.lighter.enabled", "is false: only what is recorded already will be served")
	}
	return found
}
