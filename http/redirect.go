package http

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Redirect answers every plain request with the https address of the same path. It reads no body, looks at no
// credential, and leads only to hosts that it was told of.
type Redirect struct {
	hosts  []string
	server *fasthttp.Server
}

// NewRedirect leads requests for one of hosts to that host on port 443, and all others to the first one; there must be
// one. Hosts are compared without case.
func NewRedirect(hosts []string) *Redirect {
	r := &Redirect{}
	for _, h := range hosts {
		r.hosts = append(r.hosts, strings.ToLower(h))
	}
	r.server = &fasthttp.Server{
		Handler: r.answer, Name: "hyperlight", ReadBufferSize: maxURL, MaxRequestBodySize: 1, Concurrency: 1_000, MaxConnsPerIP: maxPerIP,
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, DisableKeepalive: true, NoDefaultContentType: true,
		Logger: silent{},
	}
	return r
}

func (r *Redirect) answer(ctx *fasthttp.RequestCtx) {
	host := strings.ToLower(string(ctx.Host()))
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	if !slices.Contains(r.hosts, host) {
		host = r.hosts[0]
	}
	target := string(ctx.RequestURI())
	if !strings.HasPrefix(target, "/") { // the absolute form, or *
		target = "/"
	}
	// The parser lets no line end into a target, so nothing can be written behind this header.
	ctx.Response.Header.Set("Location", "https://"+host+target)
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	ctx.SetStatusCode(fasthttp.StatusPermanentRedirect)
}

// Serve answers on a listener until Shutdown.
func (r *Redirect) Serve(ln net.Listener) error {
	if err := r.server.Serve(ln); err != nil {
		return fmt.Errorf("serve redirects: %w", err)
	}
	return nil
}

// Shutdown closes the listener and waits for running answers, no longer than ctx.
func (r *Redirect) Shutdown(ctx context.Context) error {
	if err := r.server.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("close redirects: %w", err)
	}
	return nil
}

// silent drops what fasthttp says of strangers' broken connections.
type silent struct{}

// Printf implements fasthttp.Logger.
func (silent) Printf(string, ...any) {}
