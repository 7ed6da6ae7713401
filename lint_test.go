package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of the architecture that a program can check. Each says in its
// message what to do. A rule that has to give way is changed here, in the same
// commit and with a reason, never worked around.

const module = "hyperlight"

// TestLint parses every Go file of the module once and runs each rule on it.
func TestLint(t *testing.T) {
	files := parseModule(t)
	t.Run("tree", func(t *testing.T) { lintTree(t, files) })
	t.Run("import direction", func(t *testing.T) { lintImportDirection(t, files) })
	t.Run("third-party imports", func(t *testing.T) { lintThirdParty(t, files) })
	t.Run("standard library bans", func(t *testing.T) { lintStandardBans(t, files) })
	t.Run("exact numbers", func(t *testing.T) { lintExactNumbers(t, files) })
	t.Run("clock is passed in", func(t *testing.T) { lintClock(t, files) })
	t.Run("file length", func(t *testing.T) { lintLength(t, files) })
	t.Run("package comments", func(t *testing.T) { lintPackageComments(t, files) })
	t.Run("exported comments", func(t *testing.T) { lintExportedComments(t, files) })
	t.Run("no open ends", func(t *testing.T) { lintOpenEnds(t, files) })
	t.Run("log lines", func(t *testing.T) { lintLogs(t, files) })
	t.Run("secrets", func(t *testing.T) { lintSecrets(t, files) })
	t.Run("headers", func(t *testing.T) { lintHeaders(t, files) })
	t.Run("no local traces", lintLocalTraces)
}

// reporter takes what a rule finds: the test, or the list of TestLintFindsFaults.
type reporter interface {
	Errorf(format string, args ...any)
}

// source is one parsed Go file.
type source struct {
	name  string // path from the root, with slashes
	pkg   string // import path below the module; "" is package main at the root
	test  bool
	lines int
	set   *token.FileSet
	file  *ast.File
}

func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.set.Position(n.Pos()).Line)
}

// imports calls fn with every import path of the file.
func (s *source) imports(fn func(spec *ast.ImportSpec, path string)) {
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			fn(spec, p)
		}
	}
}

// testPackages hold nothing but what tests of other packages use.
var testPackages = []string{"kvtest", "feedtest"}

// skipped are directories that hold nothing of the repository.
var skipped = []string{".git", "bin", "data", "node_modules", "dist"}

func parseModule(t *testing.T) []*source {
	t.Helper()
	var files []*source
	walk(t, func(name string, read func() []byte) {
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata/") {
			return
		}
		files = append(files, parseSource(t, name, read()))
	})
	if len(files) < 20 {
		t.Fatalf("found only %d Go files: the walk is broken", len(files))
	}
	return files
}

func parseSource(t *testing.T, name string, text []byte) *source {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	pkg := path.Dir(name)
	if pkg == "." {
		pkg = ""
	}
	return &source{
		name: name, pkg: pkg, lines: bytes.Count(text, []byte("\n")), set: set, file: file,
		test: strings.HasSuffix(name, "_test.go") || slices.Contains(testPackages, path.Base(pkg)),
	}
}

func walk(t *testing.T, fn func(name string, read func() []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(skipped, d.Name()) {
				return filepath.SkipDir
			}
			// A module of its own, with libraries that ours does not have.
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			fn(filepath.ToSlash(name), func() []byte {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// under tells whether a package is root or lies below it.
func under(pkg, root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }

func underAny(pkg string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return under(pkg, r) })
}

// topLevel are the directories that may stand at the root.
var topLevel = []string{"config", "kv", "engine", "http", "ws", "export", "bench", "deploy", "docs", "testdata", ".ci"}

func lintTree(t reporter, files []*source) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Errorf("read root: %v", err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(topLevel, e.Name()) && !slices.Contains(skipped, e.Name()) {
			t.Errorf("directory %s at the root: put the package below config, kv, engine, http, ws or export (architecture, section 2)", e.Name())
		}
	}
	vague := []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "lib"}
	for _, f := range files {
		if slices.Contains(vague, path.Base(f.pkg)) {
			t.Errorf("%s: a package named %s says nothing; put each helper beside its caller", f.name, path.Base(f.pkg))
		}
	}
}

// mayImport lists, for a package and all below it, which of our packages it may
// import. The longest matching entry counts.
var mayImport = map[string][]string{
	"config":         {},
	"kv":             {"config", "kv/key"},
	"kv/key":         {},
	"kv/kvtest":      {"config", "kv"},
	"engine/num":     {},
	"engine/model":   {"engine/num"},
	"engine/archive": {"engine/num", "engine/model"},
	"engine/book":    {"engine/num", "engine/model"},
	"engine/record":  {"engine/num", "engine/model", "engine/book"},
	"engine/risk":    {"engine/num", "engine/model", "engine/book"},
	"engine":         {"config", "kv", "engine"},
	"http": {"config", "engine", "engine/num", "engine/model", "engine/book", "engine/record", "engine/history",
		"engine/replay", "engine/access", "engine/market", "engine/relay", "engine/exchange",
		"engine/account", "engine/fills", "engine/risk", "engine/exposure", "engine/attribution", "engine/lake", "engine/signal", "http"},
	"ws": {"config", "engine", "engine/num", "engine/model", "engine/book", "engine/record", "engine/history",
		"engine/replay", "engine/access", "engine/market", "engine/relay", "engine/feed/lighter", "engine/attribution", "ws"},
	"export": {"config", "engine", "export"},
	"bench":  {"config", "kv", "engine", "http", "ws", "export", "bench"},
}

// exactly are packages of which an entry of mayImport means only the package itself, not what lies below it.
var exactly = []string{"engine", "kv"}

func lintImportDirection(t reporter, files []*source) {
	for _, f := range files {
		if f.test || f.pkg == "" {
			continue
		}
		key := f.pkg
		for mayImport[key] == nil && key != "." {
			key = path.Dir(key)
		}
		allowed, known := mayImport[key]
		if !known {
			t.Errorf("%s: package %s has no line in mayImport; say there what it may import", f.name, f.pkg)
			continue
		}
		f.imports(func(spec *ast.ImportSpec, p string) {
			p, ours := strings.CutPrefix(p, module+"/")
			if !ours {
				return
			}
			ok := slices.ContainsFunc(allowed, func(a string) bool {
				if key != a && slices.Contains(exactly, a) && (key == "http" || key == "ws") {
					return p == a
				}
				return under(p, a)
			})
			switch {
			case !ok:
				t.Errorf("%s: %s must not import %s: imports point down only (architecture, section 2); "+
					"declare a small interface where it is used and let main pass the value", f.at(spec), f.pkg, p)
			case p == "engine" && key == "engine" && f.pkg != "engine":
				t.Errorf("%s: a part of the engine must not import the facade; engine wires the parts", f.at(spec))
			case slices.Contains(testPackages, path.Base(p)):
				t.Errorf("%s: %s is for tests only", f.at(spec), p)
			}
		})
	}
}

// thirdParty lists every module we use and where; nil is everywhere, an empty list only in tests.
var thirdParty = map[string][]string{
	"github.com/cockroachdb/pebble/v2":               {"kv", "bench"},
	"github.com/valyala/fasthttp":                    {"http", "ws", "engine/feed", "engine/sim", "engine/relay", "bench"},
	"github.com/fasthttp/websocket":                  {"ws", "engine/feed", "engine/sim", "bench"},
	"github.com/goccy/go-yaml":                       {"config"},
	"github.com/caarlos0/env/v11":                    {"config"},
	"github.com/spf13/cobra":                         {"main"},
	"github.com/jedib0t/go-pretty/v6":                {"main"},
	"github.com/google/renameio/v2":                  nil,
	"github.com/google/uuid":                         nil,
	"github.com/golang-jwt/jwt/v5":                   {"engine/access"},
	"github.com/alexedwards/argon2id":                {"engine/access"},
	"golang.org/x/crypto":                            {"engine/access", "main"},
	"github.com/klauspost/compress":                  nil,
	"github.com/cenkalti/backoff/v5":                 {"engine"},
	"github.com/parquet-go/parquet-go":               {"export"},
	"github.com/hamba/avro/v2":                       {"export"},
	"github.com/minio/minio-go/v7":                   {"export"},
	"code.dny.dev/ssrf":                              {"engine/signal/delivery"},
	"github.com/VictoriaMetrics/metrics":             nil,
	"golang.org/x/sys":                               {"main", "kv"},
	"golang.org/x/net":                               {},
	"github.com/standard-webhooks/standard-webhooks": {},
	"github.com/cockroachdb/apd/v3":                  {},
	"github.com/getkin/kin-openapi":                  {},
	"github.com/prometheus/common":                   {},
	"github.com/prometheus/client_model":             {},
	"github.com/rogpeppe/go-internal":                {},
	"go.uber.org/goleak":                             {},
	"pgregory.net/rapid":                             {},
}

func lintThirdParty(t reporter, files []*source) {
	for _, f := range files {
		f.imports(func(spec *ast.ImportSpec, p string) {
			first, _, _ := strings.Cut(p, "/")
			if !strings.Contains(first, ".") {
				return
			}
			best := ""
			for m := range thirdParty {
				if under(p, m) && len(m) > len(best) {
					best = m
				}
			}
			where, known := thirdParty[best]
			pkg := f.pkg
			if pkg == "" {
				pkg = "main"
			}
			switch {
			case !known:
				t.Errorf("%s: %s is new: give it a line in the conventions' list of libraries (need, size, licence) and in thirdParty", f.at(spec), p)
			case f.test || where == nil:
			case len(where) == 0:
				t.Errorf("%s: %s is for tests only", f.at(spec), p)
			case !underAny(pkg, where...):
				t.Errorf("%s: %s may be imported only by %s; call that package instead", f.at(spec), best, strings.Join(where, ", "))
			}
		})
	}
}

func lintStandardBans(t reporter, files []*source) {
	banned := []struct {
		path  string
		where []string // where it is allowed all the same
		test  bool     // allowed in tests
		why   string
	}{
		{"C", nil, false, "the binary is static: no cgo"},
		{"math/rand", nil, true, "use math/rand/v2 with a seed that is passed in, or crypto/rand"},
		{"math/rand/v2", []string{"engine/sim", "engine/feed", "http/call.go", "http/server.go", "bench"}, true,
			"keys, tokens and ids come from crypto/rand (request ids and the choice of a counter's shard are no secrets)"},
		{"net/http", []string{"main", "engine/signal", "engine/billing", "engine/feed/socket.go", "export", "bench"}, true,
			"servers and venue clients use fasthttp (the dialer of fasthttp/websocket alone takes an http.Header, the client of object stores an http.Transport)"},
		{"log", nil, false, "log with log/slog"},
		{"io/ioutil", nil, false, "use io and os"},
		{"encoding/gob", nil, false, "stored bytes have a version: use engine/record"},
	}
	for _, f := range files {
		pkg := f.pkg
		if pkg == "" {
			pkg = "main"
		}
		f.imports(func(spec *ast.ImportSpec, p string) {
			for _, b := range banned {
				if p == b.path && !(f.test && b.test) && !underAny(pkg, b.where...) && !slices.Contains(b.where, f.name) {
					t.Errorf("%s: %s is not used here: %s", f.at(spec), p, b.why)
				}
			}
			if under(p, "net/http") && pkg == "main" && !f.test && f.name != "cmd_health.go" && f.name != "debug.go" {
				t.Errorf("%s: of package main only cmd_health.go (a client) and debug.go (pprof) use net/http; move it there", f.at(spec))
			}
		})
		ast.Inspect(f.file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && !f.test {
				switch name := dotted(s); name {
				case "http.DefaultClient", "http.Get", "http.Post", "http.PostForm", "http.Head", "http.DefaultTransport":
					t.Errorf("%s: %s has no timeout and follows redirects; make a client", f.at(n), name)
				}
			}
			return true
		})
	}
}

// dotted writes a chain of selectors as a.b.c; anything else inside is left out.
func dotted(e ast.Expr) string {
	switch v := e.(type) {
	case *ast.Ident:
		return v.Name
	case *ast.SelectorExpr:
		if x := dotted(v.X); x != "" {
			return x + "." + v.Sel.Name
		}
		return v.Sel.Name
	case *ast.CallExpr:
		return dotted(v.Fun)
	case *ast.StarExpr:
		return dotted(v.X)
	}
	return ""
}

func lintExactNumbers(t reporter, files []*source) {
	exact := []string{"engine/num", "engine/model", "engine/book", "engine/record", "engine/risk", "engine/history"}
	for _, f := range files {
		if f.test || !underAny(f.pkg, exact...) {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			switch v := n.(type) {
			case *ast.Ident:
				if v.Name == "float64" || v.Name == "float32" {
					t.Errorf("%s: %s holds exact numbers; use the types of engine/num instead of %s", f.at(n), f.pkg, v.Name)
				}
			case *ast.BasicLit:
				if v.Kind == token.FLOAT && strings.ContainsAny(v.Value, ".-p") { // 1e6 is a whole number
					t.Errorf("%s: %s holds exact numbers; %s is a binary float", f.at(n), f.pkg, v.Value)
				}
			}
			return true
		})
	}
}

// lintClock forbids reading the clock below main, except where no time of ours
// is made: as a socket's deadline, and to measure how long something took
// (`start := time.Now()` that nothing but time.Since(start) uses). The function
// value time.Now is fine anywhere: it is the default of an option named Now.
func lintClock(t reporter, files []*source) {
	for _, f := range files {
		if f.test || !underAny(f.pkg, "engine", "kv", "http", "ws", "export") {
			continue
		}
		for _, d := range f.file.Decls {
			fine := map[ast.Node]bool{}
			markDeadlines(d, fine)
			markMeasures(d, fine)
			ast.Inspect(d, func(n ast.Node) bool {
				if isClock(n, "Now", "Since", "Until") && !fine[n] {
					t.Errorf("%s: call of %s; take `now func() time.Time` as an option (default time.Now) and call that, so that tests own the clock",
						f.at(n), dotted(n.(*ast.CallExpr).Fun))
				}
				return true
			})
		}
	}
}

func isClock(n ast.Node, names ...string) bool {
	c, ok := n.(*ast.CallExpr)
	return ok && slices.ContainsFunc(names, func(name string) bool { return dotted(c.Fun) == "time."+name })
}

// markDeadlines marks what is read for x.SetDeadline, SetReadDeadline and SetWriteDeadline.
func markDeadlines(d ast.Node, fine map[ast.Node]bool) {
	ast.Inspect(d, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok || !strings.HasSuffix(dotted(c.Fun), "Deadline") {
			return true
		}
		for _, arg := range c.Args {
			ast.Inspect(arg, func(n ast.Node) bool {
				fine[n] = isClock(n, "Now")
				return true
			})
		}
		return true
	})
}

// markMeasures marks `x := time.Now()` and time.Since(x) where x has no other use.
func markMeasures(d ast.Node, fine map[ast.Node]bool) {
	starts, uses, since := map[string]ast.Node{}, map[string]int{}, map[string][]ast.Node{}
	ast.Inspect(d, func(n ast.Node) bool {
		switch v := n.(type) {
		case *ast.AssignStmt:
			if len(v.Lhs) == 1 && len(v.Rhs) == 1 && v.Tok == token.DEFINE && isClock(v.Rhs[0], "Now") {
				starts[dotted(v.Lhs[0])] = v.Rhs[0]
				uses[dotted(v.Lhs[0])]-- // the definition itself
			}
		case *ast.CallExpr:
			if isClock(v, "Since") && len(v.Args) == 1 {
				since[dotted(v.Args[0])] = append(since[dotted(v.Args[0])], v)
			}
		case *ast.Ident:
			uses[v.Name]++
		}
		return true
	})
	for name, start := range starts {
		if uses[name] == len(since[name]) {
			fine[start] = true
			for _, n := range since[name] {
				fine[n] = true
			}
		}
	}
}

func lintLength(t reporter, files []*source) {
	for _, f := range files {
		if !f.test && f.lines > 500 {
			t.Errorf("%s has %d lines; split it by task, at most 500", f.name, f.lines)
		}
	}
}

func lintPackageComments(t reporter, files []*source) {
	found, all := map[string]string{}, map[string]*source{}
	for _, f := range files {
		if f.test {
			continue
		}
		all[f.pkg] = f
		if f.file.Doc != nil {
			found[f.pkg] = f.file.Doc.Text()
		}
	}
	for pkg, f := range all {
		text := found[pkg]
		if name := f.file.Name.Name; name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
			t.Errorf("package %s has no comment `// Package %s ...` that says what it owns and what it must not do", pkg, name)
		} else if len(text) < 60 {
			t.Errorf("the comment of package %q is too short to say what it owns and must not do", pkg)
		}
	}
}

func lintExportedComments(t reporter, files []*source) {
	for _, f := range files {
		if f.test || f.pkg == "" {
			continue
		}
		for _, d := range f.file.Decls {
			switch v := d.(type) {
			case *ast.FuncDecl:
				if v.Name.IsExported() && v.Doc == nil && (v.Recv == nil || receiverExported(v)) {
					t.Errorf("%s: %s is exported and has no comment; state a fact its signature does not", f.at(v), v.Name.Name)
				}
			case *ast.GenDecl:
				if v.Tok == token.IMPORT || v.Doc != nil {
					continue
				}
				for _, s := range v.Specs {
					lintSpec(t, f, s)
				}
			}
		}
	}
}

func lintSpec(t reporter, f *source, s ast.Spec) {
	switch v := s.(type) {
	case *ast.TypeSpec:
		if v.Name.IsExported() && v.Doc == nil && v.Comment == nil {
			t.Errorf("%s: type %s is exported and has no comment", f.at(v), v.Name.Name)
		}
	case *ast.ValueSpec:
		if v.Names[0].IsExported() && v.Doc == nil && v.Comment == nil {
			t.Errorf("%s: %s is exported and has no comment", f.at(v), v.Names[0].Name)
		}
	}
}

func receiverExported(d *ast.FuncDecl) bool {
	typ := d.Recv.List[0].Type
	if s, ok := typ.(*ast.StarExpr); ok {
		typ = s.X
	}
	if i, ok := typ.(*ast.IndexExpr); ok {
		typ = i.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func lintOpenEnds(t reporter, files []*source) {
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`)
	for _, f := range files {
		for _, g := range f.file.Comments {
			for _, c := range g.List {
				if m := marks.FindString(c.Text); m != "" {
					t.Errorf("%s: %s in a comment; do it, or open an issue", f.at(c), m)
				}
			}
		}
	}
}

// lintLocalTraces looks for what belongs to one machine in every file of the repository.
func lintLocalTraces(t *testing.T) {
	everywhere := []string{"/wo" + "rk/", "/fa" + "rm/", "proxy.gol" + "ang.org", "sum.gol" + "ang.org", "registry.npm" + "js.org", "pypi" + ".org"}
	walk(t, func(name string, read func() []byte) {
		text := read()
		if len(text) > 4<<20 || bytes.IndexByte(text, 0) >= 0 {
			return
		}
		found := everywhere
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			found = append(slices.Clone(found), `"/t`+`mp`)
		}
		for _, trace := range found {
			if i := bytes.Index(text, []byte(trace)); i >= 0 {
				line := 1 + bytes.Count(text[:i], []byte("\n"))
				t.Errorf("%s:%d names %s, which belongs to one machine; take it from a setting, the environment or os.TempDir", name, line, trace)
			}
		}
	})
}
