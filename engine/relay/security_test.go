package relay

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
)

const (
	secretKey = "hlt_0123456789abcdef0123456789abcdef0123456789abcdef"
	secretJWT = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJoeXBlcmxpZ2h0In0.c2lnbmF0dXJl"
)

// escaped spells every byte of a text as an escape, n times over.
func escaped(text string, n int) string {
	for range n {
		var b strings.Builder
		for i := range len(text) {
			b.WriteString("%" + string("0123456789ABCDEF"[text[i]>>4]) + string("0123456789abcdef"[text[i]&15]))
		}
		text = b.String()
	}
	return text
}

// ourQueries carry credentials of ours in every spelling that some decoder understands. kept is what has to leave.
var ourQueries = []struct{ query, kept string }{
	{"api_key=" + secretKey, ""},
	{"a=1&api_key=" + secretKey, "a=1"},
	{"api_key=" + secretKey + "&a=1", "a=1"},
	{"a=1&api_key=" + secretKey + "&b=2", "a=1&b=2"},
	{"a=1&api_key=x&api_key=y&b=2&api_key", "a=1&b=2"},
	{"a=1&&api_key=x&&b=%zz&", "a=1&&&b=%zz&"},
	{"%61pi_key=" + secretKey + "&a=1", "a=1"},
	{"a=1&api%5fkey=" + secretKey, "a=1"},
	{"a=1&api%5Fkey=" + secretKey, "a=1"},
	{escaped("api_key", 1) + "=" + secretKey, ""},
	{escaped("api_key", 2) + "=" + secretKey, ""},
	{escaped("api_key", 3) + "=x&a=1", "a=1"},
	{"API_KEY=x&Api_Key=x&a=1", "a=1"},
	{"+api_key=x&%20api_key%00=x&a=1", "a=1"},
	{"api_key[]=x&api_key[0]=x&api_key%5B%5D=x&a=1", "a=1"},
	{"api.key=x&api+key=x&a=1", "a=1"},
	{"%u0061pi_key=x&a=1", "a=1"},
	{"a=1;api_key=" + secretKey, "a=1"},
	{"a=1;api_key=" + secretKey + ";b=2&c=3", "a=1;b=2&c=3"},
	{"apikey=" + secretKey + "&a=1", "a=1"},
	{"auth=" + secretKey, ""},
	{"auth=" + secretJWT, ""},
	{"auth=" + escaped(secretJWT, 1), ""},
	{"x=" + escaped(secretKey, 2) + "&a=1", "a=1"},
	{secretKey, ""},
	{"a=%26api_key%3D" + secretKey, ""},
}

// nativeQueries have nothing of ours and leave as they are.
var nativeQueries = []string{
	"", "a", "a=", "=b", "&", "a=1&a=2", "b=1&a=2", "auth=1777000000:123:4:ABCdef0123", "auth=ro:5:all:1777000000:abcdef",
	"account_index=1&api_key_index=255", "x=hlt_short", "api_keys=1", "xapi_key=1", "key=api_key", "a=%zz&b=%", "a=1;b=2", "a=+%20",
	"cursor=eyJpbmRleCI6MX0%3D", "cursor=eyJpbmRleCI6MX0", "x=\xff\xfe", "a=b=c=d", "q='\"<>|{}^`\\",
}

func TestCredentialsNeverLeave(t *testing.T) {
	v := newFakeVenue(t, numbered)
	r := newTestRelay(t, Options{BaseURL: v.url()})
	do := func(q *Request) heard {
		t.Helper()
		r.must(t, q)
		calls := v.calls()
		return calls[len(calls)-1]
	}
	for _, c := range ourQueries {
		for _, q := range []*Request{get("/api/v1/nextNonce"), post("/api/v1/sendTx", "a=1")} {
			q.Query = []byte(c.query)
			h := do(q)
			want := string(q.Path)
			if c.kept != "" {
				want += "?" + c.kept
			}
			if h.target() != want {
				t.Errorf("%s: %q left as %q, want %q", q.Method, c.query, h.target(), want)
			}
		}
	}
	for _, query := range nativeQueries {
		if bytes.ContainsAny([]byte(query), " ") {
			t.Fatalf("%q cannot stand in a request line", query)
		}
		h := do(&Request{Method: "GET", Path: []byte("/api/v1/nextNonce"), Query: []byte(query)})
		if want := strings.TrimSuffix("/api/v1/nextNonce?"+query, "?"); h.target() != want {
			t.Errorf("%q left as %q", query, h.target())
		}
	}
	for _, value := range []string{
		"Bearer " + secretKey, "bearer " + secretKey, "BEARER\t" + secretKey, "Bearer  " + secretKey, "Bearer" + secretKey, secretKey,
		"Bearer " + secretJWT, "Bearer eyJx.y.z", secretJWT, "Basic " + secretKey, "Bearer whatever", "Bearer", "Bearer ", " Bearer x",
		"Bearer " + secretKey + ":1:2:3", "Bearer 1:2:3:" + secretKey, "Bearer hlt_short", "Token " + escaped(secretKey, 1), "hlt_short",
	} {
		q := get("/api/v1/nextNonce")
		q.Authorization = []byte(value)
		if got, n := do(q).header("Authorization"); n != 0 {
			t.Errorf("Authorization %q left as %q", value, got)
		}
	}
	for _, value := range []string{
		"1777000000:123:4:ABCdef0123", "ro:5:all:1777000000:abcdef", "ro:5:single:1777000000:abcdef", "Bearer 1777000000:123:4:ab",
	} {
		q := get("/api/v1/nextNonce")
		q.Authorization = []byte(value)
		if got, n := do(q).header("Authorization"); n != 1 || got != value {
			t.Errorf("native token %q left as %q", value, got)
		}
	}
	for _, h := range v.calls() {
		raw := h.line + h.head + h.body
		if strings.Contains(raw, secretKey[4:]) || strings.Contains(raw, "hlt_0") || strings.Contains(raw, secretJWT) {
			t.Errorf("a credential left: %q", raw)
		}
	}
}

// TestTargets: nothing climbs out of the base, and nothing ends the request line early.
func TestTargets(t *testing.T) {
	v := newFakeVenue(t, numbered)
	r := newTestRelay(t, Options{BaseURL: v.url() + "/base/"})
	for _, path := range []string{
		"", "x", "//", "/api", "/api/v1", "/api/v1/", "/api/v2/account", "/infox", "/info/", "/admin", "*", "/API/v1/account",
		"/api/v1/..", "/api/v1/../admin", "/api/v1/account/..", "/api/v1/account/../../../admin", "/api/v1/./account", "/api/v1/.",
		"/api/v1/%2e%2e/admin", "/api/v1/.%2e/admin", "/api/v1/%2E./admin", "/api/v1/%2e", "/api/v1/...", "/api/v1/%252e%252e/admin",
		"/api/v1/%252e", "/api/v1/..%2fadmin", "/api/v1/..%5cadmin", "/api/v1/..\\admin", "/api/v1/a\\b", "/api/v1/a%2fb", "/api/v1/a%2Fb",
		"/api/v1/..;/admin", "/api/v1/a;x=1", "/api/v1/a%3bx", "/api/v1//account", "/api/v1/account//x", "/api/v1/a/b//", "//evil.example/api/v1/x",
		"http://evil.example/api/v1/account", "/api/v1/http://evil.example/", "/api/v1/a%00", "/api/v1/a%0d%0aX:%20y", "/api/v1/a%0a", "/api/v1/a%7f",
		"/api/v1/a b", "/api/v1/a\tb", "/api/v1/a\r\nX: y", "/api/v1/a\nb", "/api/v1/a\x00", "/api/v1/a%", "/api/v1/a%2", "/api/v1/a%zz", "/api/v1/a#b",
		"/api/v1/a%23", "/api/v1/a%3f", "/api/v1/a?b", "/api/v1/\xff", "/api/v1/a\x7f", "/api/v1/a|b", "/api/v1/a\"b", "/api/v1/<a>", "/api/v1/a/b/c/d/e",
		"/api/v1/%u002e%u002e/x", "/./api/v1/account", "/api/../api/v1/account", "/%61pi/v1/account",
	} {
		_, err := r.Do(t.Context(), &Request{Method: "GET", Path: []byte(path)})
		wantCode(t, err, model.CodeBadRequest, "path")
	}
	for _, query := range []string{"a b", "a\r\nX: y", "a\n", "a\r", "a\x00", "a#b", "a\tb", "a\x7f", "a HTTP/1.1\r\n\r\nGET /api/v1/x"} {
		_, err := r.Do(t.Context(), &Request{Method: "GET", Path: []byte("/api/v1/account"), Query: []byte(query)})
		wantCode(t, err, model.CodeBadRequest, "query")
	}
	if n := len(v.calls()); n != 0 {
		t.Fatalf("%d of them left: %v", n, v.calls())
	}
	for _, target := range []string{
		"/", "/info", "/api/v1/account", "/api/v1/a.b", "/api/v1/..a", "/api/v1/a..", "/api/v1/a%20b", "/api/v1/a%C3%A9", "/api/v1/a%3ab%7E%41", "/api/v1/account/",
		"/api/v1/referral/kickback/update", "/api/v1/a:b@c", "/api/v1/x?u=http://evil.example/../..", "/api/v1/x?u=//evil&%2e%2e/", "/?x=1",
		"/api/v1/x??", "/api/v1/x?%0d%0aX:y", "/api/v1/new/thing/x/",
	} {
		r.must(t, get(target))
		calls := v.calls()
		if h := calls[len(calls)-1]; h.target() != "/base"+target {
			t.Errorf("%s left as %s", target, h.target())
		}
	}
}

// FuzzClean: no decoder finds api_key in what is left, and everything else stands as it stood.
func FuzzClean(f *testing.F) {
	for _, c := range ourQueries {
		f.Add([]byte(c.query))
	}
	for _, q := range nativeQueries {
		f.Add([]byte(q))
	}
	f.Fuzz(func(t *testing.T, query []byte) {
		before := bytes.Clone(query)
		got := clean(query)
		if !bytes.Equal(before, query) {
			t.Fatal("the query was changed in place")
		}
		if naive := cleanNaively(string(query)); string(got) != naive {
			t.Fatalf("%q left as %q, want %q", query, got, naive)
		}
		var args fasthttp.Args
		args.ParseBytes(got)
		if args.Has("api_key") {
			t.Fatalf("fasthttp finds api_key in %q", got)
		}
		text := strings.ReplaceAll(string(got), ";", "&")
		for range 3 {
			values, _ := url.ParseQuery(text)
			for name, all := range values {
				if strings.EqualFold(strings.TrimSpace(name), "api_key") {
					t.Fatalf("net/url finds %q in %q", name, got)
				}
				for _, v := range all {
					if strings.Contains(v, secretKey) {
						t.Fatalf("a key is left in %q", got)
					}
				}
			}
			pieces := strings.Split(text, "&")
			for i := range pieces {
				name, value, _ := strings.Cut(pieces[i], "=")
				name, err := url.QueryUnescape(name)
				if err != nil {
					return
				}
				pieces[i] = strings.NewReplacer("&", "_", "=", "_").Replace(name) + "=" + value
			}
			text = strings.Join(pieces, "&")
		}
		if again := clean(got); !bytes.Equal(again, got) {
			t.Fatalf("cleaning twice: %q, then %q", got, again)
		}
		q := ParseQuery(got)
		if string(q.raw) != string(got) || q.Plain() && q.appendKey(nil) == nil && len(got) > 0 {
			t.Fatalf("parsed %q as %q", got, q.raw)
		}
	})
}

// cleanNaively decides piece by piece; a piece that stays keeps the separator in front of it, but for the first.
func cleanNaively(query string) string {
	var out strings.Builder
	kept, before := 0, ""
	for rest := query; ; {
		i := strings.IndexAny(rest, "&;")
		piece := rest
		if i >= 0 {
			piece = rest[:i]
		}
		name, value, _ := strings.Cut(piece, "=")
		if !isName([]byte(name), "api_key") && !isOurs([]byte(value)) && !isOurs([]byte(name)) {
			if kept > 0 {
				out.WriteString(before)
			}
			out.WriteString(piece)
			kept++
		}
		if i < 0 {
			return out.String()
		}
		before, rest = rest[i:i+1], rest[i+1:]
	}
}

// FuzzTarget: whatever path is accepted decodes, as often as one likes, to a path below the API.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/info", "/api/v1/a%20b/..c", "/api/v1/%2e%2e", "/api/v1/a/%2E/b", "/api/v1/x/"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		if checkPath(path) != nil {
			return
		}
		text := string(path)
		for range 3 {
			for _, segment := range strings.Split(text[1:], "/") {
				if segment == "." || segment == ".." || strings.ContainsAny(segment, "\\?#;\x00\r\n") {
					t.Fatalf("%q reads as %q", path, text)
				}
			}
			if text != "/" && text != "/info" && !strings.HasPrefix(text, "/api/v1/") || strings.Contains(text[:len(text)-1], "//") {
				t.Fatalf("%q reads as %q", path, text)
			}
			decoded, err := url.PathUnescape(text)
			if err != nil {
				t.Fatalf("%q does not decode: %v", path, err)
			}
			text = decoded
		}
	})
}

func TestSplitHeaderNeverLeaves(t *testing.T) {
	v := newFakeVenue(t, numbered)
	r := newTestRelay(t, Options{BaseURL: v.url()})
	q := post("/api/v1/sendTx", "GET /api/v1/x HTTP/1.1\r\nHost: y\r\n\r\n")
	if _, err := r.Do(context.Background(), q); err != nil {
		t.Fatal(err)
	}
	if calls := v.calls(); len(calls) != 1 || calls[0].body != string(q.Body) {
		t.Errorf("heard %v", calls)
	}
}
