package http

import (
	"net/url"
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

func TestHonestPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/": true, "/api/v1/deposit/history": true, "/a.b": true, "/...": true, "/.a": true, "/a..": true, "/a%2Db": true, "/a%20b": true, "/a:b@c": true, "": true,
		"//": false, "//a": false, "/a//": false, "/a//b": false, "/.": false, "/..": false, "/a/./b": false, "/a/../b": false, "/a/..": false, "/%2e%2e/a": false, "/.%2E": false,
		"/a%2fb": false, "/a%5cb": false, "/a\\b": false, "/a;b": false, "/a%3bb": false, "/%252e": false, "/a%": false, "/a%2": false, "/a%zz": false, "/a%00": false, "/a%0d%0a": false,
		"/%c0%ae": false, "/\xff": false, "/a%7f": false,
	} {
		if honestPath([]byte(path)) != want {
			t.Errorf("honestPath(%q) is %v", path, !want)
		}
	}
	// What passes is what the router sees: nothing is put in order on the way.
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + rapid.StringOf(rapid.SampledFrom([]rune("a./%2eEfF5c;\\ \x00"))).Draw(t, "path")
		var u fasthttp.URI
		if err := u.Parse([]byte("localhost"), []byte(path)); err != nil || !honestPath(u.PathOriginal()) {
			return
		}
		want, err := url.PathUnescape(string(u.PathOriginal()))
		if err != nil || string(u.Path()) != want {
			t.Fatalf("%q is honest, and routed as %q", path, u.Path())
		}
	})
}
