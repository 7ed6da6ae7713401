package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// The rules about what leaves the process: log lines, secrets, headers.

var (
	logReceiver = regexp.MustCompile(`(?i)(^|\.)(log|logger|slog)$`)
	secretName  = regexp.MustCompile(`(?i)(secret|passw(or)?d|passphrase|token|authorization|cookie|signature|private_?key|api_?key)$`)
	attrKey     = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

// logCall returns the arguments of a call on a logger: where the message is and where the attributes begin.
func logCall(c *ast.CallExpr) (message ast.Expr, attrs []ast.Expr, ok bool) {
	sel, isSel := c.Fun.(*ast.SelectorExpr)
	if !isSel || !logReceiver.MatchString(dotted(sel.X)) {
		return nil, nil, false
	}
	first := 0
	switch sel.Sel.Name {
	case "Debug", "Info", "Warn", "Error":
	case "DebugContext", "InfoContext", "WarnContext", "ErrorContext":
		first = 1
	case "Log", "LogAttrs":
		first = 2
	case "With":
		return nil, c.Args, true
	default:
		return nil, nil, false
	}
	if len(c.Args) <= first {
		return nil, nil, false
	}
	return c.Args[first], c.Args[first+1:], true
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

func lintLogs(t reporter, files []*source) {
	for _, f := range files {
		if f.test {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name := dotted(c.Fun); strings.HasPrefix(name, "slog.") && len(c.Args) == 2 {
				if key, ok := literal(c.Args[0]); ok {
					lintKey(t, f, c.Args[0], key)
				}
			}
			message, attrs, ok := logCall(c)
			if !ok {
				return true
			}
			lintMessage(t, f, c, message)
			for i := 0; i < len(attrs); i++ {
				if key, ok := literal(attrs[i]); ok {
					lintKey(t, f, attrs[i], key)
					i++
				} else if id, ok := attrs[i].(*ast.Ident); ok && !strings.HasPrefix(id.Name, "attr") {
					i++ // a key held in a constant
				}
			}
			return true
		})
	}
}

func lintMessage(t reporter, f *source, call *ast.CallExpr, message ast.Expr) {
	if message == nil {
		return
	}
	text, ok := literal(message)
	if !ok {
		if _, isName := message.(*ast.Ident); !isName {
			t.Errorf("%s: a log message is a constant; put values into attributes", f.at(call))
		}
		return
	}
	if text == "" || strings.ToLower(text[:1]) != text[:1] || strings.HasSuffix(text, ".") || strings.ContainsAny(text, "%\n") {
		t.Errorf("%s: log message %q must be lower case, without a full stop and without values", f.at(call), text)
	}
}

func lintKey(t reporter, f *source, at ast.Node, key string) {
	if !attrKey.MatchString(key) {
		t.Errorf("%s: log attribute %q must be snake_case", f.at(at), key)
	}
	if secretName.MatchString(key) {
		t.Errorf("%s: log attribute %q looks like a secret; log its prefix or nothing", f.at(at), key)
	}
}

// lintSecrets: secrets are compared in constant time, where callers' secrets are handled.
func lintSecrets(t reporter, files []*source) {
	for _, f := range files {
		if f.test || !underAny(f.pkg, "http", "ws", "engine/access", "engine/billing", "engine/signal") {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			b, ok := n.(*ast.BinaryExpr)
			if !ok || b.Op != token.EQL && b.Op != token.NEQ {
				return true
			}
			for _, side := range [][2]ast.Expr{{b.X, b.Y}, {b.Y, b.X}} {
				if secretName.MatchString(dotted(side[0])) && !isPlain(side[1]) {
					t.Errorf("%s: %s is compared with %s; use subtle.ConstantTimeCompare", f.at(n), dotted(side[0]), b.Op)
				}
			}
			return true
		})
	}
}

// isPlain tells whether an operand is a literal, nil or a length: comparing with it gives nothing away.
func isPlain(e ast.Expr) bool {
	switch v := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return v.Name == "nil" || v.Name == "true" || v.Name == "false"
	case *ast.CallExpr:
		return dotted(v.Fun) == "len"
	}
	return false
}

// lintHeaders: text made by fmt never goes into a header, where a line end would start a new one.
func lintHeaders(t reporter, files []*source) {
	for _, f := range files {
		if f.test {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := c.Fun.(*ast.SelectorExpr)
			if !ok || !strings.Contains(dotted(sel.X), "Header") {
				return true
			}
			for _, arg := range c.Args {
				if call, ok := arg.(*ast.CallExpr); ok && strings.HasPrefix(dotted(call.Fun), "fmt.Sprint") {
					t.Errorf("%s: fmt text in a header; append checked parts with strconv", f.at(n))
				}
			}
			return true
		})
	}
}
