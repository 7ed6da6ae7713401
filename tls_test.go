package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
)

var tlsNow = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// writeCertificate makes a self-signed certificate with its key.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "data.example.com"}, DNSNames: []string{"data.example.com"},
		NotBefore: tlsNow.Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func tlsFiles(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.TLS = config.TLS{Mode: config.TLSFiles, CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem")}
	writeCertificate(t, cfg.TLS.CertFile, cfg.TLS.KeyFile, 1, tlsNow.AddDate(1, 0, 0))
	return cfg
}

func openTestTLS(t *testing.T, cfg *config.Config, log *slog.Logger) *serverTLS {
	t.Helper()
	s, err := openTLS(cfg, log, func() time.Time { return tlsNow })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shake connects and returns the serial number of the certificate shown.
func shake(t *testing.T, address string, version uint16) (int64, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", address, &tls.Config{
		ServerName: "data.example.com", MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"},
		InsecureSkipVerify: true, // it is self-signed; what it is, the test looks at
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("protocol %q is agreed on, which the server does not speak", p)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestTLSFromFiles(t *testing.T) {
	cfg := tlsFiles(t)
	var log bytes.Buffer
	s := openTestTLS(t, cfg, slog.New(slog.NewTextHandler(&log, nil)))
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := s.listen(plain)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // what the client sees of it is what counts
			conn.Close()
		}
	}()
	defer func() { ln.Close(); <-ended }()
	expect := func(serial int64) {
		t.Helper()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if got, err := shake(t, plain.Addr().String(), version); err != nil || got != serial {
				t.Errorf("certificate %d, %v; want %d", got, err, serial)
			}
		}
	}
	expect(1)
	if _, err := shake(t, plain.Addr().String(), tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is let in")
	}

	writeCertificate(t, cfg.TLS.CertFile, cfg.TLS.KeyFile, 2, tlsNow.AddDate(0, 0, 3))
	expect(1) // not before it is asked to
	if err := s.reload(cfg); err != nil {
		t.Fatal(err)
	}
	expect(2)
	if !strings.Contains(log.String(), "certificate expires soon") {
		t.Errorf("three days before its end the log says %q", log.String())
	}

	// Whatever is wrong with the next one, the last one stays.
	if err := os.WriteFile(cfg.TLS.CertFile, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(cfg); err == nil {
		t.Error("a broken certificate is taken")
	}
	if err := os.Remove(cfg.TLS.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing key gives %v", err)
	}
	expect(2)
}

func TestTLSRefusesFilesAtStart(t *testing.T) {
	cfg := tlsFiles(t)
	other := tlsFiles(t)
	for name, tt := range map[string]struct {
		change func()
		code   int
		want   string
	}{
		"another key": {func() { cfg.TLS.KeyFile = other.TLS.KeyFile }, exitConfig, "does not match"},
		"open key": {func() {
			if err := os.Chmod(cfg.TLS.KeyFile, 0o644); err != nil {
				t.Fatal(err)
			}
		}, exitRefused, "can be read by everybody"},
		"no key":  {func() { cfg.TLS.KeyFile += "x" }, exitFailure, "no such file"},
		"no cert": {func() { cfg.TLS.CertFile += "x" }, exitFailure, "no such file"},
	} {
		saved := cfg.TLS
		tt.change()
		_, err := openTLS(cfg, slog.New(slog.DiscardHandler), time.Now)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		} else if code, _ := classify(err); code != tt.code {
			t.Errorf("%s: exit code %d, want %d", name, code, tt.code)
		}
		cfg.TLS = saved
		if err := os.Chmod(cfg.TLS.KeyFile, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLSOff(t *testing.T) {
	s := openTestTLS(t, config.Default(), slog.New(slog.DiscardHandler))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if s != nil || s.listen(ln) != ln || s.scheme() != "http" || s.redirects() != nil || s.reload(config.Default()) != nil {
		t.Error("mode off is not plain")
	}
}

// The authority itself is not asked: what would be asked of it, and for whom, is looked at.
func TestTLSFromAuthority(t *testing.T) {
	cfg := config.Default()
	cfg.Storage.Dir = t.TempDir()
	cfg.TLS = config.TLS{Mode: config.TLSACME, Domains: config.List{"Data.example.com", "b.example.com"}}
	s := openTestTLS(t, cfg, slog.New(slog.DiscardHandler))
	if !slices.Equal(s.redirects(), []string{"data.example.com", "b.example.com"}) || s.scheme() != "https" {
		t.Errorf("redirects %v", s.redirects())
	}
	if s.config.MinVersion != tls.VersionTLS12 || !slices.Equal(s.config.NextProtos, []string{"http/1.1", "acme-tls/1"}) {
		t.Errorf("version %x, protocols %v", s.config.MinVersion, s.config.NextProtos)
	}
	for _, name := range []string{"evil.example.org", "", "10.0.0.1", "data.example.com.evil.org"} {
		if _, err := s.config.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err == nil {
			t.Errorf("a certificate for %q would be asked for", name)
		}
	}
	if err := s.reload(cfg); err != nil {
		t.Error(err)
	}
}
