package http

import (
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// The short way gives what the library's parser gives, for any target.
func TestPlainTargets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := "/" + rapid.StringOf(rapid.SampledFrom([]rune("aZ0_-//.%2?#:@ é\\"))).Draw(t, "target")
		if rapid.Bool().Draw(t, "no slash first") {
			target = target[1:]
		}
		var req, parsed fasthttp.Request
		req.Header.SetHost("localhost")
		req.Header.SetRequestURI(target)
		req.CopyTo(&parsed)
		var ctx fasthttp.RequestCtx
		ctx.Init(&req, nil, nil)
		path, query := string(requestPath(&ctx)), string(queryString(&ctx))
		if wantPath, wantQuery := string(parsed.URI().Path()), string(parsed.URI().QueryString()); path != wantPath || query != wantQuery {
			t.Fatalf("%q is path %q and query %q, want %q and %q", target, path, query, wantPath, wantQuery)
		}
	})
	for target, want := range map[string]bool{
		"/api/v1/orderbook/0": true, "/health": true, "/": true, "": false, "//a": false, "/a//b": false, "/a?": false, "/a%2f": false,
		"/../a": false, "http://h/a": false, "*": false,
	} {
		if plainTarget([]byte(target)) != want {
			t.Errorf("plainTarget(%q) is %v", target, !want)
		}
	}
}
