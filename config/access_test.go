package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestAccessRelayAndTLSFaults(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string
	}{
		{"registration", "access: {registration: close}\n",
			[]string{"access.registration: must be open or closed, did you mean closed? (from hyperlight.yaml:1:10)"}},
		{"token", "access:\n  token_lifetime: 1s\n", []string{"access.token_lifetime: must be from 1m to 365d (from hyperlight.yaml:2:3)"}},
		{"relay", "relay:\n  private_sockets: -1\n  cache: 1KiB\n", []string{
			"relay.private_sockets: must be from 0 to 100000 (from hyperlight.yaml:2:3)",
			"relay.cache: must be 0 or at least 1MiB (from hyperlight.yaml:3:3)",
		}},
		{"accounts", "accounts:\n  stale_after: 10ms\n  ready_bodies: 1KiB\n", []string{
			"accounts.stale_after: must be at least 1s (from hyperlight.yaml:2:3)",
			"accounts.ready_bodies: must be 0 or at least 1MiB (from hyperlight.yaml:3:3)",
		}},
		{"mode", "tls:\n  mode: file\n", []string{"tls.mode: must be off, files or acme, did you mean files? (from hyperlight.yaml:2:3)"}},
		{"files", "tls:\n  mode: files\n", []string{
			"tls.cert_file: must name the certificate where tls.mode is files",
			"tls.key_file: must name the private key where tls.mode is files",
		}},
		{"acme", "tls:\n  mode: acme\n", []string{"tls.domains: must name at least one domain where tls.mode is acme"}},
		{"domains", "tls:\n  mode: acme\n  domains: ['*.example.com', 10.0.0.1, localhost, data.example.com]\n  email: nobody\n", []string{
			"tls.domains: *.example.com is no name of a host as data.example.com; wildcards and addresses cannot be had this way (from hyperlight.yaml:3:3)",
			"tls.domains: 10.0.0.1 is no name of a host as data.example.com; wildcards and addresses cannot be had this way (from hyperlight.yaml:3:3)",
			"tls.domains: localhost is no name of a host as data.example.com; wildcards and addresses cannot be had this way (from hyperlight.yaml:3:3)",
			"tls.email: must be an address as admin@example.com, or empty (from hyperlight.yaml:4:3)",
		}},
		{"listeners", "server: {listen: '127.0.0.1:80', sockets_listen: '127.0.0.1:80', control: " + strings.Repeat("x", 104) + "}\n", []string{
			"server.sockets_listen: must differ from server.listen, which serves the sockets too (from hyperlight.yaml:1:34)",
			"server.control: must be a path of at most 103 bytes, as the system asks of a socket (from hyperlight.yaml:1:66)",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := faultsOf(t, Source{File: write(t, tt.file)}); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestPathsBelowTheDataDirectory(t *testing.T) {
	c := Default()
	c.Storage.Dir = "d"
	if c.ControlPath() != filepath.Join("d", "control.sock") || c.CertificateDir() != filepath.Join("d", "certificates") {
		t.Errorf("%s, %s", c.ControlPath(), c.CertificateDir())
	}
	c.Server.Control, c.TLS.CacheDir = "/run/c", "/var/c"
	if c.ControlPath() != "/run/c" || c.CertificateDir() != "/var/c" {
		t.Errorf("%s, %s", c.ControlPath(), c.CertificateDir())
	}
}

func TestTLSWarnings(t *testing.T) {
	warned := func(change func(*Config)) []string {
		c := Default()
		c.Metrics.Token = "x"
		change(c)
		var paths []string
		for _, w := range c.Warnings() {
			paths = append(paths, w.Path)
		}
		return paths
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"loopback":       {func(*Config) {}, nil},
		"open":           {func(c *Config) { c.Server.Listen = ":8080" }, []string{"tls.mode"}},
		"proxy in front": {func(c *Config) { c.Server.Listen, c.Server.PublicURL = ":8080", "https://a.example.com" }, nil},
		"files":          {func(c *Config) { c.Server.Listen, c.TLS.Mode = ":8443", TLSFiles }, nil},
		"plain URL with TLS": {func(c *Config) {
			c.Server.Listen, c.Server.PublicURL, c.TLS.Mode = ":443", "http://a.example.com", TLSFiles
		},
			[]string{"server.public_url"}},
		"acme elsewhere": {func(c *Config) {
			c.Server.Listen, c.Server.PublicURL, c.TLS.Mode, c.TLS.Domains = ":8443", "https://a.example.com", TLSACME, List{"b.example.com"}
		}, []string{"server.listen", "tls.domains"}},
	} {
		if got := warned(tt.change); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: warns of %v, want %v", name, got, tt.want)
		}
	}
}

func TestChangesOfLiveKeys(t *testing.T) {
	running, next := Default(), Default()
	next.Plans = append(Plans(nil), next.Plans...)
	if applied, restart := Changes(running, next); applied != nil || restart != nil {
		t.Errorf("equal tables differ: %v, %v", applied, restart)
	}
	next.Plans[1].Signals++
	next.Server.TrustedProxies = List{"10.0.0.0/8"}
	next.TLS.CertFile, next.TLS.Mode = "c.pem", TLSFiles
	applied, restart := Changes(running, next)
	if !reflect.DeepEqual(applied, []string{"server.trusted_proxies", "tls.cert_file", "plans"}) || !reflect.DeepEqual(restart, []string{"tls.mode"}) {
		t.Errorf("applied %v, restart %v", applied, restart)
	}
	running.Apply(next)
	if running.Plans[1].Signals != next.Plans[1].Signals || running.TLS.CertFile != "c.pem" || running.TLS.Mode != TLSOff {
		t.Errorf("after apply: %+v", running.TLS)
	}
}
