package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// client makes calls. It follows no redirects, knows no proxies and keeps no cookies.
type client struct {
	http  *http.Client
	guard *Guard
	agent string
	now   func() time.Time
	total time.Duration // a call's time
}

func newClient(g *Guard, version string, now func() time.Time) *client {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: g.Control, Resolver: g.resolver}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    totalTimeout,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1: one call at a time needs no more
		DisableCompression:     true,
		MaxIdleConns:           4 * Workers,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{http: &http.Client{Transport: t, CheckRedirect: refuse}, guard: g, agent: "Hyperlight-Webhook/" + version, now: now, total: totalTimeout}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what an attempt came to.
type answer struct {
	status int    // 0: none
	text   string // what to tell the owner of a failure
	ok     bool
	retry  bool
	gone   bool
	after  time.Duration // what the receiver asked to wait
}

// call makes one attempt.
func (c *client) call(ctx context.Context, url string, secrets Secrets, id uuid.UUID, attempt int, body []byte) answer {
	if _, _, ok := c.guard.parse(url); !ok { // what was allowed once need not be now
		return answer{text: ErrURL.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, c.total)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer{text: ErrURL.Error()}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", c.agent)
	sign(r.Header, secrets, id, attempt, c.now(), body)
	res, err := c.http.Do(r)
	if err != nil {
		return refused(err)
	}
	defer func() { _ = res.Body.Close() }()
	head, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	a := classify(res.StatusCode)
	if err != nil && a.ok {
		return a // a receiver that said yes and then failed has it
	}
	if !a.ok {
		a.text = "status " + strconv.Itoa(a.status)
		if line := strings.TrimSpace(firstLine(head)); line != "" {
			a.text += ": " + line
		}
		a.after = retryAfter(res.Header.Get("Retry-After"), c.now())
	}
	return a
}

// refused tells the owner what kind of failure it was, but nothing of addresses or of this machine.
func refused(err error) answer {
	timeout := interface{ Timeout() bool }(nil)
	certificate := (*tls.CertificateVerificationError)(nil)
	switch {
	case errors.Is(err, ErrURL):
		return answer{text: ErrURL.Error()}
	case errors.As(err, &certificate):
		return answer{text: "the certificate is not valid", retry: true}
	case errors.As(err, &timeout) && timeout.Timeout():
		return answer{text: "timed out", retry: true}
	}
	return answer{text: "no connection", retry: true}
}

// classify says what a status means, section 4.5 of the contract.
func classify(status int) answer {
	a := answer{status: status}
	switch {
	case status >= 200 && status < 300:
		a.ok = true
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500 && status < 600:
		a.retry = true
	case status == http.StatusGone:
		a.gone = true
	}
	return a
}

// retryAfter reads the header in either form; more than maxRetryAfter counts as that.
func retryAfter(text string, now time.Time) time.Duration {
	if text == "" {
		return 0
	}
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// firstLine returns the printable start of an answer's first line, maxKept bytes at most.
func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	line = line[:min(len(line), maxKept)]
	for len(line) > 0 && !utf8.Valid(line[max(0, len(line)-utf8.UTFMax):]) && len(line) > maxKept-utf8.UTFMax {
		line = line[:len(line)-1]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(line))
}
