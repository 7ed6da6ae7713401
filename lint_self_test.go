package main

import (
	"fmt"
	"strings"
	"testing"
)

// findings is a reporter that keeps what it is told.
type findings []string

func (f *findings) Errorf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// TestLintFindsFaults gives each rule a file that breaks it and one that keeps it.
func TestLintFindsFaults(t *testing.T) {
	const doc = "// Package %s owns a thing and must not do anything else, not even for a friend.\npackage %s\n"
	tests := []struct {
		rule      func(reporter, []*source)
		name      string
		bad, good string
	}{
		{lintTree, "kv/util/x.go", "", ""},
		{lintImportDirection, "kv/x.go", `import _ "hyperlight/engine"`, `import _ "hyperlight/kv/key"`},
		{lintImportDirection, "engine/book/x.go", `import _ "hyperlight/kv"`, `import _ "hyperlight/engine/num"`},
		{lintImportDirection, "engine/sim/x.go", `import _ "hyperlight/engine"`, `import _ "hyperlight/engine/feed/lighter"`},
		{lintImportDirection, "http/x.go", `import _ "hyperlight/ws"`, `import _ "hyperlight/engine/history"`},
		{lintImportDirection, "ws/x.go", `import _ "hyperlight/kv/key"`, `import _ "hyperlight/engine"`},
		{lintImportDirection, "ws/x.go", `import _ "hyperlight/engine/sim"`, `import _ "hyperlight/engine/replay"`},
		{lintImportDirection, "engine/x.go", `import _ "hyperlight/kv/kvtest"`, `import _ "hyperlight/kv"`},
		{lintImportDirection, "novel/x.go", "", ""},
		{lintThirdParty, "engine/history/x.go", `import _ "github.com/cockroachdb/pebble/v2"`, `import _ "github.com/VictoriaMetrics/metrics"`},
		{lintThirdParty, "kv/x.go", `import _ "github.com/spf13/cobra"`, `import _ "github.com/cockroachdb/pebble/v2/vfs"`},
		{lintThirdParty, "http/x.go", `import _ "pgregory.net/rapid"`, `import _ "github.com/valyala/fasthttp"`},
		{lintThirdParty, "kv/x_test.go", `import _ "example.com/new"`, `import _ "pgregory.net/rapid"`},
		{lintStandardBans, "http/x.go", `import _ "net/http"`, `import _ "net"`},
		{lintStandardBans, "log_other.go", `import _ "net/http"`, ``},
		{lintStandardBans, "engine/access/x.go", `import _ "math/rand/v2"`, `import _ "crypto/rand"`},
		{lintStandardBans, "kv/x.go", `import "C"`, ``},
		{lintStandardBans, "engine/billing/x.go", "import \"net/http\"\nvar c = http.DefaultClient", "import \"net/http\"\nvar c http.Client"},
		{lintExactNumbers, "engine/book/x.go", `var x float64`, `var x int64 = 1e6`},
		{lintExactNumbers, "engine/history/x.go", `const x = 0.5`, `const x = 5`},
		{lintClock, "kv/x.go", `func f() { x := time.Now(); use(x, time.Since(x)) }`, `func f() { x := time.Now(); use(time.Since(x)) }`},
		{lintClock, "ws/x.go", `func f() { g(time.Now().Add(5)) }`, `func f() { c.SetReadDeadline(time.Now().Add(5)) }`},
		{lintClock, "engine/x.go", `var t = time.Until(u)`, `var now = time.Now`},
		{lintLength, "kv/x.go", strings.Repeat("\n", 501), strings.Repeat("\n", 400)},
		{lintExportedComments, "kv/x.go", `func F() {}`, "// F is fine.\nfunc F() {}"},
		{lintExportedComments, "kv/x.go", `type T struct{}`, "type T struct{} // T is fine"},
		{lintOpenEnds, "kv/x.go", "// TO" + "DO later\nvar x int", "// done\nvar x int"},
		{lintLogs, "kv/x.go", `func f() { log.Info("Opened.") }`, `func f() { log.Info("opened") }`},
		{lintLogs, "kv/x.go", `func f() { s.log.Warn("x", "api_key", k) }`, `func f() { s.log.Warn("x", "key_prefix", k) }`},
		{lintLogs, "kv/x.go", `func f() { logger.Error("x " + y) }`, `func f() { logger.Error("x", "y", y) }`},
		{lintLogs, "kv/x.go", `var a = slog.String("userName", u)`, `var a = slog.String("user_name", u)`},
		{lintSecrets, "http/x.go", `var x = r.token == given`, `var x = r.token == ""`},
		{lintHeaders, "http/x.go", `func f() { r.Header.Set("a", fmt.Sprintf("%s", x)) }`, `func f() { r.Header.Set("a", x) }`},
	}
	for i, tt := range tests {
		pkg := tt.name[:max(strings.LastIndexByte(tt.name, '/'), 0)]
		pkg = pkg[strings.LastIndexByte(pkg, '/')+1:]
		if pkg == "" {
			pkg = "main"
		}
		head := fmt.Sprintf(doc, pkg, pkg)
		var bad, good findings
		tt.rule(&bad, []*source{parseSource(t, tt.name, []byte(head+tt.bad+"\n"))})
		if len(bad) == 0 {
			t.Errorf("%d: the rule does not see %q in %s", i, tt.bad, tt.name)
		}
		if tt.bad == tt.good { // the name alone is the fault
			continue
		}
		tt.rule(&good, []*source{parseSource(t, tt.name, []byte(head+tt.good+"\n"))})
		if len(good) > 0 {
			t.Errorf("%d: the rule complains about %q: %s", i, tt.good, good[0])
		}
	}
	var bare findings
	lintPackageComments(&bare, []*source{parseSource(t, "kv/x.go", []byte("package kv\n"))})
	if len(bare) == 0 {
		t.Error("a package without comment is not seen")
	}
}
