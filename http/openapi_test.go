package http

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/goccy/go-yaml"

	"hyperlight/engine/access"
)

var update = flag.Bool("update", false, "write the answers of the server into the examples of openapi.yaml")

// operation is what the tests read of a described operation.
type operation struct {
	ID        string `yaml:"operationId"`
	Summary   string `yaml:"summary"`
	Request   string `yaml:"x-example-request"`
	Body      string `yaml:"x-example-body"`
	Caller    string `yaml:"x-example-credential"` // key or token; the local caller where empty
	Compare   string `yaml:"x-example-compare"`
	Responses map[string]struct {
		Content map[string]struct {
			Example any `yaml:"example"`
		} `yaml:"content"`
	} `yaml:"responses"`
}

func described(t *testing.T, source []byte) map[string]map[string]operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]operation `yaml:"paths"`
	}
	if err := yaml.Unmarshal(source, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Paths
}

// Checklist 206: the route table and the description name the same routes.
func TestOpenAPIMatchesTheRouteTable(t *testing.T) {
	f := newFixture(t, testOptions{})
	var table, text []string
	for _, r := range f.routes {
		table = append(table, r.method+" "+r.pattern)
	}
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(openapiSource, &doc); err != nil {
		t.Fatal(err)
	}
	for path, operations := range doc.Paths {
		for method, o := range operations {
			text = append(text, strings.ToUpper(method)+" "+path)
			i := slices.IndexFunc(f.routes, func(r *route) bool { return r.pattern == path && strings.EqualFold(r.method, method) })
			if i < 0 {
				continue
			}
			security, special := o.(map[string]any)["security"]
			want := map[authClass]string{authNone: "[]", authSigned: "[]", authSocket: "[]", authJWT: "[map[bearer:[]]]"}[f.routes[i].auth]
			if special != (want != "") || special && fmt.Sprint(security) != want {
				t.Errorf("%s %s: the description and the table disagree on who may call it", method, path)
			}
		}
	}
	slices.Sort(table)
	slices.Sort(text)
	if !slices.Equal(table, text) {
		t.Errorf("table:\n%s\ndescription:\n%s", strings.Join(table, "\n"), strings.Join(text, "\n"))
	}
}

func TestOpenAPI30Validates(t *testing.T) {
	f := newFixture(t, testOptions{})
	r := f.do(t, "GET", "/openapi-3.0.yaml")
	doc, err := openapi3.NewLoader().LoadFromData(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.0.3" {
		t.Errorf("version is %s", doc.OpenAPI)
	}
	// The answers' examples are held against their schemas as well.
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
	newer, err := openapi3.NewLoader().LoadFromData(openapiSource)
	if err != nil {
		t.Fatal(err)
	}
	if err := newer.Validate(context.Background()); err != nil {
		t.Errorf("3.1: %v", err)
	}
}

// The rules of conventions 1.13, and what a 3.1 document needs beside the 3.0 validation.
func TestOpenAPI31Structure(t *testing.T) {
	var doc map[string]any
	if err := yaml.Unmarshal(openapiSource, &doc); err != nil {
		t.Fatal(err)
	}
	if v := fmt.Sprint(doc["openapi"]); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("version is %s", v)
	}
	if strings.Contains(string(openapiSource), "nullable:") {
		t.Error("nullable does not exist in 3.1")
	}
	ids := map[string]bool{}
	for path, operations := range described(t, openapiSource) {
		for method, o := range operations {
			if o.ID == "" || ids[o.ID] || o.Summary == "" || o.Request == "" {
				t.Errorf("%s %s: operationId must be there once, with a summary and an example", method, path)
			}
			ids[o.ID] = true
		}
	}
	used := map[string]bool{}
	var walk func(node any, at string)
	walk = func(node any, at string) {
		switch n := node.(type) {
		case map[string]any:
			if ref, ok := n["$ref"].(string); ok {
				used[ref] = true
				if resolve(doc, ref) == nil {
					t.Errorf("%s: %s leads nowhere", at, ref)
				}
			}
			for _, banned := range []string{"enum", "allOf", "additionalProperties"} {
				if _, ok := n[banned]; ok && !strings.HasPrefix(at, "/paths") {
					t.Errorf("%s: %s closes what may grow", at, banned)
				}
			}
			for k, v := range n {
				walk(v, at+"/"+k)
			}
		case []any:
			for i, v := range n {
				walk(v, fmt.Sprintf("%s/%d", at, i))
			}
		}
	}
	walk(doc, "")
	components := doc["components"].(map[string]any)
	for section, members := range components {
		if section == "securitySchemes" {
			continue
		}
		for name := range members.(map[string]any) {
			if !used["#/components/"+section+"/"+name] {
				t.Errorf("components/%s/%s is not used", section, name)
			}
		}
	}
}

func resolve(doc map[string]any, ref string) any {
	var node any = doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = m[part]
	}
	return node
}

// exampleSignal is the id of the signal that the examples show.
const exampleSignal = "7b0c1c8e-8a55-4d0e-9b2f-0c6f1c1f2a10"

// exampleKey is the id that the examples show.
const exampleKey = "2f9d1a52-7e34-4e9f-8f3a-0a8a52d5c111"

// askExample sends an operation's example as the caller that it names.
func (a *accounts) askExample(t *testing.T, method string, o operation, key access.Key, plain, token string) reply {
	headers := []string{"X-Request-Id", testRequestID}
	switch o.Caller {
	case "key":
		headers = append(headers, "X-Api-Key", plain)
	case "token":
		headers = append(headers, "Authorization", "Bearer "+token)
	}
	body := o.Body
	if strings.Contains(body, `"SETUP"`) {
		fresh := newAccounts(t, accountsOptions{})
		setup, _ := fresh.rules.SetupToken()
		return fresh.send(t, method, o.Request, strings.Replace(body, "SETUP", setup, 1), headers...)
	}
	path := strings.NewReplacer(exampleKey, key.ID.String(), "@style", setupStyle.name).Replace(o.Request)
	if strings.Contains(path, "/signals") && method != "POST" {
		path = strings.Replace(path, exampleSignal, a.signalOf(t, strings.ToLower(o.ID)+"@example.com").String(), 1)
	}
	return a.send(t, method, path, body, headers...)
}

// Every operation's example is what the server answers: to the letter, or, where it holds what is drawn at random, in the
// names and kinds of its members.
func TestOpenAPIExamples(t *testing.T) {
	f := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "enterprise"}})
	if *update {
		writeExamples(t, f.fixture)
	}
	_, token := f.member(t, "someone@example.com", "", "")
	var key access.Key
	var plain string
	for path, operations := range described(t, openapiSource) {
		for method, o := range operations {
			if o.Caller == "key" {
				key, plain = f.user(t, o.ID+"@example.com", "growth", access.KeySpec{Name: "prod"})
			}
			r := f.askExample(t, strings.ToUpper(method), o, key, plain, token)
			status := fmt.Sprint(r.Status)
			answer, ok := o.Responses[status]
			if !ok {
				t.Errorf("%s %s: %s is not described: %s", method, path, status, r.Body)
				continue
			}
			media, _, _ := strings.Cut(r.Header["Content-Type"], ";")
			switch o.Compare {
			case "status":
				continue
			case "media":
				if _, ok := answer.Content[media]; !ok {
					t.Errorf("%s: %s is not described", path, media)
				}
				continue
			}
			var got any
			if err := json.Unmarshal(r.Body, &got); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(answer.Content[media].Example)
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if o.Compare == "shape" {
				got, want = shape(got), shape(want)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: got\n%s\nwant\n%s", method, path, r.Body, text)
			}
		}
	}
}

// shape replaces every value by its kind, and lists by their first element. What may be null has no kind.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			if strings.HasSuffix(name, "_at") || name == "endpoints" {
				member = nil
			}
			out[name] = shape(member)
		}
		return out
	case []any:
		return "list"
	case nil:
		return nil
	}
	return reflect.TypeOf(v).String()
}

// writeExamples puts the answers of the fixture into the source. JSON on one line is YAML, too.
func writeExamples(t *testing.T, f *fixture) {
	t.Helper()
	text := string(openapiSource)
	request := regexp.MustCompile(`(?m)^      x-example-request: "?([^"\n]+)"?$`)
	example := regexp.MustCompile(`(?m)^              example: .*$`)
	for _, at := range slices.Backward(request.FindAllStringSubmatchIndex(text, -1)) {
		if strings.HasPrefix(text[at[1]:], "\n      x-example-") {
			continue // it is compared in another way
		}
		body := f.do(t, "GET", text[at[2]:at[3]], "X-Request-Id", testRequestID).Body
		rest := text[at[1]:]
		if next := request.FindStringIndex(rest); next != nil {
			rest = rest[:next[0]]
		}
		if i := example.FindStringIndex(rest); i != nil {
			text = text[:at[1]+i[0]] + "              example: " + string(body) + text[at[1]+i[1]:]
		}
	}
	openapiSource = []byte(text)
	if err := os.WriteFile("openapi.yaml", openapiSource, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAPIValidators(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.PublicURL = "https://api.example.org" }})
	r := f.do(t, "GET", "/openapi.yaml")
	if !strings.Contains(string(r.Body), "  - url: https://api.example.org\n") || r.Header["Etag"] == "" || r.Header["Cache-Control"] != "no-cache" {
		t.Errorf("got %v", r.Header)
	}
	for match, want := range map[string]int{r.Header["Etag"]: 304, "W/" + r.Header["Etag"]: 304, `"x", ` + r.Header["Etag"]: 304, "*": 304, `"x"`: 200, "": 200} {
		if got := f.do(t, "GET", "/openapi.yaml", "If-None-Match", match); got.Status != want || want == 304 && len(got.Body) != 0 {
			t.Errorf("%s: got %d, want %d", match, got.Status, want)
		}
	}
	if _, err := deriveOpenAPI30([]byte("openapi: 3.0.0\n")); err == nil {
		t.Error("only 3.1 can be derived from")
	}
	if _, err := deriveOpenAPI30([]byte("openapi: 3.1.0\ntype: [\"null\", string]\n")); err == nil {
		t.Error("another spelling of a null type must not pass unseen")
	}
}
