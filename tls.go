package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"hyperlight/config"
)

// expiresSoon is how long before its end a certificate is warned of.
const expiresSoon = 14 * 24 * time.Hour

// serverTLS encrypts the server's listeners as tls.mode says. A nil one leaves them plain.
type serverTLS struct {
	config *tls.Config
	names  []string // of mode acme
	// current is the certificate of mode files; a reload swaps it for the next handshake.
	current atomic.Pointer[tls.Certificate]
	log     *slog.Logger
	now     func() time.Time
}

// openTLS reads the certificate of mode files, or prepares to get those of mode acme when a client first asks for one.
// It returns nil for mode off.
func openTLS(cfg *config.Config, log *slog.Logger, now func() time.Time) (*serverTLS, error) {
	t := &serverTLS{log: log.With("component", "tls"), now: now}
	switch cfg.TLS.Mode {
	case config.TLSFiles:
		if err := t.reload(cfg); err != nil {
			return nil, err
		}
		t.config = tlsConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.current.Load(), nil })
	case config.TLSACME:
		for _, d := range cfg.TLS.Domains {
			t.names = append(t.names, strings.ToLower(d))
		}
		manager := &autocert.Manager{
			Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.CertificateDir()),
			HostPolicy: autocert.HostWhitelist(t.names...), Email: cfg.TLS.Email,
		}
		t.config = tlsConfig(manager.GetCertificate)
		t.config.NextProtos = append(t.config.NextProtos, acme.ALPNProto) // the authority asks on the same port
	default:
		return nil, nil
	}
	return t, nil
}

func tlsConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // what the server speaks
		GetCertificate: certificate,
	}
}

// listen returns the listener that the server is given.
func (t *serverTLS) listen(ln net.Listener) net.Listener {
	if t == nil {
		return ln
	}
	return tls.NewListener(ln, t.config)
}

// scheme is how an address of the server begins.
func (t *serverTLS) scheme() string {
	if t == nil {
		return "http"
	}
	return "https"
}

// redirects are the hosts whose port 80 should lead to https; none but in mode acme.
func (t *serverTLS) redirects() []string {
	if t == nil {
		return nil
	}
	return t.names
}

// reload reads the files of mode files again; open connections keep what they have. After an error the certificate
// before stays in force. Mode acme renews by itself.
func (t *serverTLS) reload(cfg *config.Config) error {
	if t == nil || cfg.TLS.Mode != config.TLSFiles {
		return nil
	}
	next, err := readCertificate(cfg.TLS.CertFile, cfg.TLS.KeyFile)
	if err != nil {
		return err
	}
	t.current.Store(next)
	if left := next.Leaf.NotAfter.Sub(t.now()); left < expiresSoon {
		t.log.Warn("certificate expires soon", "file", cfg.TLS.CertFile, "not_after", next.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func readCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read tls.key_file: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		return nil, failf(exitRefused, "run chmod 600 on it", "tls.key_file %s can be read by everybody", keyFile)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		if e, ok := errors.AsType[*os.PathError](err); ok {
			return nil, fmt.Errorf("read certificate: %w", e)
		}
		return nil, failf(exitConfig, "give a certificate chain and its key, both PEM", "tls.cert_file %s with tls.key_file %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}
