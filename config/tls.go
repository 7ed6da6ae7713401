package config

import (
	"net/netip"
	"regexp"
	"strings"
)

// The values of tls.mode.
const (
	TLSOff   = "off"
	TLSFiles = "files"
	TLSACME  = "acme"
)

var domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)

// tls checks the keys of the mode in force; those of the others are left alone, so that a mode can be tried.
func (v *validator) tls(t *TLS) {
	v.oneOf("tls.mode", t.Mode, TLSOff, TLSFiles, TLSACME)
	switch t.Mode {
	case TLSFiles:
		v.check(t.CertFile != "", "tls.cert_file", "must name the certificate where tls.mode is files")
		v.check(t.KeyFile != "", "tls.key_file", "must name the private key where tls.mode is files")
	case TLSACME:
		v.check(len(t.Domains) > 0, "tls.domains", "must name at least one domain where tls.mode is acme")
		for _, d := range t.Domains {
			_, err := netip.ParseAddr(d)
			v.check(err != nil && domainForm.MatchString(strings.ToLower(d)) && len(d) <= 253, "tls.domains",
				d+" is no name of a host as data.example.com; wildcards and addresses cannot be had this way")
		}
		at := strings.IndexByte(t.Email, '@')
		v.check(t.Email == "" || at > 0 && at < len(t.Email)-1 && !strings.ContainsAny(t.Email, " \r\n\t,"), "tls.email", "must be an address as admin@example.com, or empty")
	}
}
