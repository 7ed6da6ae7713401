package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/caarlos0/env/v11"
)

// Every key must be complete: a name, a comment, and the same variable name in our walk and in the library.
func TestTreeIsComplete(t *testing.T) {
	c := Default()
	params, err := env.GetFieldParamsWithOptions(c, env.Options{Prefix: envPrefix, UseFieldNameByDefault: true})
	if err != nil {
		t.Fatal(err)
	}
	library := map[string]bool{}
	for _, p := range params {
		library[p.Key] = true
	}
	fields, sections := c.walk()
	seen := map[string]bool{}
	for _, f := range fields {
		if f.Env == "" && f.Path == "plans" {
			f.Env = "none" // a table comes from a file only
		} else if !library[f.Env] {
			t.Errorf("%s: the library does not know %s; set the env tag", f.Path, f.Env)
		}
		if seen[f.Env] || seen[f.Path] {
			t.Errorf("%s or %s is there twice", f.Path, f.Env)
		}
		seen[f.Env], seen[f.Path] = true, true
		checkDoc(t, f.Path, f.Doc)
		if f.Secret && !strings.HasSuffix(f.Path, "_file") {
			if !hasField(fields, f.Path+"_file") {
				t.Errorf("secret %s lacks %s_file", f.Path, f.Path)
			}
		}
	}
	for _, s := range sections {
		checkDoc(t, s.Path, s.Doc)
	}
}

func hasField(fields []Field, path string) bool {
	for _, f := range fields {
		if f.Path == path {
			return true
		}
	}
	return false
}

func checkDoc(t *testing.T, path, doc string) {
	t.Helper()
	if doc == "" || !strings.HasSuffix(doc, ".") && !strings.Contains(doc, ". ") {
		t.Errorf("%s: doc %q is no sentence", path, doc)
	}
	for _, r := range doc {
		if r == '\n' || !unicode.IsPrint(r) {
			t.Errorf("%s: doc holds %q", path, r)
		}
	}
}

func TestTemplateLoadsToDefault(t *testing.T) {
	l := load(t, Source{File: write(t, string(Default().Template()))})
	if !reflect.DeepEqual(l.Config, Default()) {
		t.Errorf("the generated file gives\n%s", l.Config.YAML(nil))
	}
	for path, o := range l.Origins {
		if o.Level != FromFile {
			t.Errorf("the generated file lacks %s", path)
		}
	}
}

// The template is also kept as a golden file, so that a change of any default or comment is seen in review.
func TestTemplateGolden(t *testing.T) {
	c := Default()
	c.Storage.Dir = "/var/lib/hyperlight"
	const golden = "testdata/default.yaml"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, c.Template(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, c.Template()) {
		t.Errorf("%s differs from the struct; look at the change, then run UPDATE_GOLDEN=1 go test ./config", golden)
	}
}

func TestYAMLRoundTrip(t *testing.T) {
	c := Default()
	c.Server.PublicURL = "https://a.example"
	c.Storage.Dir = `a "dir" # with: everything, [odd]`
	c.Server.TrustedProxies = List{"10.0.0.0/8", "::1"}
	c.Venues.Lighter.Markets = Markets{1, 2}
	c.History.Retention["books"] = 31 * day
	l := load(t, Source{File: write(t, string(c.YAML(nil)))})
	if !reflect.DeepEqual(l.Config, c) {
		t.Errorf("got\n%s\nwant\n%s", l.Config.YAML(nil), c.YAML(nil))
	}
}

func TestYAMLShowsOrigins(t *testing.T) {
	l := load(t, Source{Environ: []string{"HYPERLIGHT_LOGGING_LEVEL=debug"}})
	text := string(l.Config.YAML(l.Origins))
	for _, want := range []string{"  level: \"debug\"", "# HYPERLIGHT_LOGGING_LEVEL\n", "# default\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	tree := l.Config.Tree(l.Origins)["logging"].(map[string]any)["level"].(map[string]any)
	if tree["value"] != "debug" || tree["origin"] != "HYPERLIGHT_LOGGING_LEVEL" {
		t.Errorf("tree has %v", tree)
	}
}

func TestSecretIsMaskedEverywhere(t *testing.T) {
	const plain = "s3cr3t-value"
	c := Default()
	c.Metrics.Token = plain
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", c.Metrics.Token, "metrics", c.Metrics)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := json.Marshal(c.Tree(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"yaml": string(c.YAML(nil)), "template": string(c.Template()), "log": log.String(), "json": string(asJSON), "tree": string(tree),
		"%v": fmt.Sprintf("%v", c.Metrics), "%+v": fmt.Sprintf("%+v", *c), "%#v": fmt.Sprintf("%#v", c.Metrics), "%s": fmt.Sprintf("<%s>", c.Metrics.Token),
		"%q": fmt.Sprintf("%q", c.Metrics.Token),
	} {
		if strings.Contains(text, plain) {
			t.Errorf("%s shows the secret: %s", name, text)
		}
	}
}

func TestChanges(t *testing.T) {
	running, next := Default(), Default()
	next.Logging.Level, next.Server.Listen = "debug", "127.0.0.1:9"
	next.History.Retention["books"] = 91 * day
	applied, restart := Changes(running, next)
	if !reflect.DeepEqual(applied, []string{"logging.level"}) || !reflect.DeepEqual(restart, []string{"server.listen", "history.retention"}) {
		t.Errorf("applied %v, restart %v", applied, restart)
	}
	running.Apply(next)
	if running.Logging.Level != "debug" || running.Server.Listen != Default().Server.Listen {
		t.Errorf("after apply: %+v %+v", running.Logging, running.Server)
	}
}

func TestWarnings(t *testing.T) {
	if w := Default().Warnings(); len(w) != 0 {
		t.Errorf("the default warns: %v", w)
	}
	c := Default()
	c.Server = Server{Listen: ":8080", PublicURL: "http://data.example.com", TrustedProxies: List{"0.0.0.0/0", "10.0.0.0/8"}}
	c.Venues.Lighter.Enabled = false
	var paths []string
	for _, w := range c.Warnings() {
		paths = append(paths, w.Path)
	}
	want := []string{"server.public_url", "metrics.token", "server.trusted_proxies", "venues.lighter.enabled"}
	if !reflect.DeepEqual(paths, want) {
		t.Errorf("got %v, want %v", paths, want)
	}
}
