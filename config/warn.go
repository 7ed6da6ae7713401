package config

import (
	"net"
	"net/url"
)

// Warnings returns what is allowed but probably not meant.
func (c *Config) Warnings() []Fault {
	var found []Fault
	warn := func(path, message string) { found = append(found, Fault{Path: path, Message: message}) }

	host, _, _ := net.SplitHostPort(c.Server.Listen)
	open := !isLoopback(host)
	if u, err := url.Parse(c.Server.PublicURL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		warn("server.public_url", "is plain http: keys travel readable; put TLS in front and use https")
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
