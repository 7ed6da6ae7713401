package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// abuse are bodies that no control route may take, with what is wrong about them.
var abuse = map[string]*model.Error{
	`{"name":"a"`:                  errBodyJSON,
	`{"name":"a"}}`:                errBodyJSON,
	`{"name":"a"} x`:               errBodyJSON,
	`{"name":"a"}{"name":"b"}`:     errBodyJSON,
	"\xef\xbb\xbf{\"name\":\"a\"}": errBodyJSON,
	"{\"name\":\"\xff\"}":          errBodyJSON,
	"{\"name\":\"\xc0\xaf\"}":      errBodyJSON,
	"{\"name\":\"\xed\xa0\x80\"}":  errBodyJSON,
	"{\"\xff\":1}":                 errBodyJSON,
	"{\"name\":\"a\nb\"}":          errBodyJSON,
	"{\"name\":\"a\x00b\"}":        errBodyJSON,
	"\x00":                         errBodyJSON,
	`{'name':'a'}`:                 errBodyJSON,
	`{name:"a"}`:                   errBodyJSON,
	`{"name":"a",}`:                errBodyJSON,
	`{"name":"a"/**/}`:             errBodyJSON,
	`{"name":NaN}`:                 errBodyJSON,
	`{"name":01}`:                  errBodyJSON,
	`{"name":"\x41"}`:              errBodyJSON,
	`null`:                         errBodyJSON,
	`[]`:                           errBodyJSON,
	`"name"`:                       errBodyJSON,
	` `:                            errBodyJSON,
	`name=a`:                       errBodyJSON,
	`{"name":"a","name":"b"}`:      errBodyDouble,
	`{"name":"a","n\u0061me":"b"}`: errBodyDouble,
	`{"x":{"y":1,"y":2}}`:          errBodyDouble,
	`{"x":[{"y":1,"y":2}]}`:        errBodyDouble,
	`{"":1,"":2}`:                  errBodyDouble,
	strings.Repeat(`{"x":`, 33) + `1` + strings.Repeat(`}`, 33):                 errBodyDepth,
	`{"x":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`: errBodyDepth,
	`{"x":` + strings.Repeat(`[`, 500_000):                                      errBodyDepth,
}

func TestBodyAbuse(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "growth")
	for body, want := range abuse {
		if err := checkJSON([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%.60q: got %v, want %v", body, err, want)
		}
		r := a.send(t, "POST", "/api/v1/keys", body, "X-Api-Key", key)
		if e := r.envelope(t); r.Status != 400 || e.Data["code"] != "bad_request" || e.Data["message"] != want.Message {
			t.Errorf("%.60q: got %d %s", body, r.Status, r.Body)
		}
	}
	for body, field := range map[string]string{
		`{"expires_at":1e400}`: "expires_at", `{"expires_at":` + strings.Repeat("9", 100_000) + `}`: "expires_at", `{"expires_at":-1}`: "expires_at", `{"expires_at":1.5}`: "expires_at",
		`{"expires_at":{}}`: "expires_at", `{"name":1e999999}`: "name", `{"name":{"a":1}}`: "name", `{"allowed_ips":{"0":"127.0.0.1"}}`: "allowed_ips",
	} {
		r := a.send(t, "POST", "/api/v1/keys", body, "X-Api-Key", key)
		if details, _ := r.envelope(t).Data["details"].(map[string]any); r.Status != 400 || details["field"] != field {
			t.Errorf("%.60q: got %d %s", body, r.Status, r.Body)
		}
	}
	if list := a.do(t, "GET", "/api/v1/keys", "X-Api-Key", key).envelope(t).list("keys"); len(list) != 1 {
		t.Errorf("abuse made %d keys", len(list)-1)
	}
	// Whatever the Content-Type, and names in another case are other names.
	for _, media := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		r := a.send(t, "POST", "/api/v1/keys", `{"Name":7,"name":"b","unknown":[1,{"x":null}]}`, "X-Api-Key", key, "Content-Type", media)
		if d := r.envelope(t).Data; r.Status != 201 || d["name"] != "b" {
			t.Errorf("%q: got %d %s", media, r.Status, r.Body)
		}
	}
	if r := a.send(t, "POST", "/api/v1/keys", "", "X-Api-Key", key); r.Status != 201 || r.envelope(t).Data["name"] != "default" {
		t.Errorf("no body: %d %s", r.Status, r.Body)
	}
}

// What the reader takes is what the standard decoder takes, less what is ambiguous; members read as they were written.
func TestObjectReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "members")
		body, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var ctx fasthttp.RequestCtx
		ctx.Request.SetBody(body)
		o := (&call{ctx: &ctx}).object()
		if o.err != nil {
			t.Fatalf("%s: %v", body, o.err)
		}
		for name, text := range want {
			if got, given := o.text(name); !given || got != text {
				t.Fatalf("%s: %q is %q", body, name, got)
			}
		}
	})
}

// FuzzBody: no body may panic or be taken that encoding/json refuses.
func FuzzBody(f *testing.F) {
	for body := range abuse {
		if len(body) < 1000 {
			f.Add([]byte(body))
		}
	}
	f.Add([]byte(`{"name":"a","allowed_ips":["127.0.0.1"],"expires_at":null,"x":[[[{}]]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var ctx fasthttp.RequestCtx
		ctx.Request.SetBody(body)
		o := (&call{ctx: &ctx}).object()
		o.text("name")
		o.texts("allowed_ips")
		o.moment("expires_at")
		o.flag("enabled")
		if o.members == nil {
			return
		}
		var into map[string]any
		if err := json.Unmarshal(body, &into); err != nil || fmt.Sprint(len(into)) != fmt.Sprint(len(o.members)) {
			t.Fatalf("%q was taken: %v", body, err)
		}
	})
}
