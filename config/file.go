package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// readFile applies those keys of a YAML file that are given, with an origin of that level. The text is parsed into its tree and not
// straight into the struct, so that every fault is found in one go and every
// value knows its line.
func (l *loader) readFile(name string, data []byte, keys map[string]Field, level Level) {
	file, err := parser.ParseBytes(bytes.TrimPrefix(data, []byte("\ufeff")), 0) // without the byte order mark that editors of Windows add
	if err != nil {
		l.syntaxFault(name, err)
		return
	}
	r := fileReader{loader: l, name: name, keys: keys, level: level, anchors: map[string]ast.Node{}}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			r.faultAt(doc.Body, "the file holds more than one document; keep one")
			return
		}
		body = doc.Body
	}
	if body != nil {
		r.section("", body)
	}
}

func (l *loader) syntaxFault(name string, err error) {
	where, message := name, err.Error()
	if e, ok := err.(yaml.Error); ok { //nolint:errorlint // the parser returns it bare
		message = e.GetMessage()
		if t := e.GetToken(); t != nil {
			where = position(name, t)
		}
	}
	l.fault("", where, "not valid YAML: "+message)
}

type fileReader struct {
	*loader
	name    string
	keys    map[string]Field // what the file may hold, by path
	level   Level
	anchors map[string]ast.Node
}

func position(name string, t *token.Token) string {
	return fmt.Sprintf("%s:%d:%d", name, t.Position.Line, t.Position.Column)
}

func (r *fileReader) faultAt(n ast.Node, message string) {
	r.fault("", position(r.name, n.GetToken()), message)
}

// resolve follows anchors, aliases and tags to the value behind them. An alias
// can name only an anchor that is complete, so there are no cycles.
func (r *fileReader) resolve(n ast.Node) ast.Node {
	switch v := n.(type) {
	case *ast.AnchorNode:
		value := r.resolve(v.Value)
		r.anchors[v.Name.GetToken().Value] = value
		return value
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		value, ok := r.anchors[name]
		if !ok {
			r.faultAt(v, "alias *"+name+" names no anchor above it")
		}
		return value
	case *ast.TagNode:
		return r.resolve(v.Value)
	}
	return n
}

// section reads a mapping of keys below path; "" is the top.
func (r *fileReader) section(path string, n ast.Node) {
	at := n
	switch m := r.resolve(n).(type) {
	case *ast.NullNode, nil: // a section whose keys are all commented out
	case *ast.MappingNode:
		for _, v := range m.Values {
			r.entry(path, v)
		}
	case *ast.MappingValueNode:
		r.entry(path, m)
	default:
		what := path
		if what == "" {
			what = "the file"
		}
		r.faultAt(at, what+" must hold keys with values")
	}
}

func (r *fileReader) entry(section string, v *ast.MappingValueNode) {
	key := v.Key.GetToken().Value
	path := strings.TrimPrefix(section+"."+key, ".")
	if f, ok := r.keys[path]; ok {
		r.value(f, v)
		return
	}
	below := path + "."
	for p := range r.keys {
		if strings.HasPrefix(p, below) {
			r.section(path, v.Value)
			return
		}
	}
	t := v.Key.GetToken()
	message := fmt.Sprintf("unknown key %s at %d:%d", path, t.Position.Line, t.Position.Column)
	if near := r.suggest(section, key); near != "" {
		message += ", did you mean " + near + "?"
	}
	r.fault("", r.name, message)
}

// suggest returns the path that was probably meant: a key of the same section
// with a like name, else a like name anywhere.
func (r *fileReader) suggest(section, key string) string {
	siblings, anywhere := map[string]string{}, map[string]string{}
	for p := range r.keys {
		rest, ok := strings.CutPrefix(p, section+".")
		if section == "" {
			rest, ok = p, true
		}
		if ok {
			head, _, _ := strings.Cut(rest, ".")
			siblings[head] = strings.TrimPrefix(section+"."+head, ".")
		}
		last := p[strings.LastIndexByte(p, '.')+1:]
		if other, taken := anywhere[last]; !taken || p < other {
			anywhere[last] = p
		}
	}
	for _, names := range []map[string]string{siblings, anywhere} {
		if n := nearest(key, slices.Collect(maps.Keys(names))); n != "" {
			return names[n]
		}
	}
	return ""
}

func (r *fileReader) value(f Field, v *ast.MappingValueNode) {
	if f.Env == "" {
		r.planTable(f.Path, v)
		return
	}
	where := position(r.name, v.Key.GetToken())
	text, ok := r.text(f, v.Value)
	if !ok {
		r.fault(f.Path, where, "must be "+withArticle(f.Type()))
		return
	}
	if text == nil { // a key without a value keeps its default
		return
	}
	r.assign(f.Path, *text, Origin{r.level, where})
}

// text turns a node into the one text form that all sources share. Nil is YAML's null.
func (r *fileReader) text(f Field, n ast.Node) (*string, bool) {
	n = r.resolve(n)
	var parts []string
	switch v := n.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.LiteralNode:
		return &v.Value.Value, true
	case *ast.SequenceNode:
		switch f.value.Interface().(type) {
		case List, Markets:
		default:
			return nil, false
		}
		for _, item := range v.Values {
			t, ok := r.scalar(item)
			if !ok || strings.Contains(t, ",") {
				return nil, false
			}
			parts = append(parts, t)
		}
	case *ast.MappingNode:
		for _, item := range v.Values {
			parts = append(parts, r.pair(item))
		}
	case *ast.MappingValueNode:
		parts = append(parts, r.pair(v))
	default:
		t, ok := r.scalar(n)
		return &t, ok
	}
	if n.Type() != ast.SequenceType && !isMap(f.value.Interface()) {
		return nil, false
	}
	if _, kept := f.value.Interface().(Retention); kept && len(parts) == 0 {
		return nil, true
	}
	joined := strings.Join(parts, ",")
	return &joined, true
}

func (r *fileReader) pair(v *ast.MappingValueNode) string {
	value, _ := r.scalar(v.Value)
	return v.Key.GetToken().Value + "=" + value
}

func (r *fileReader) scalar(n ast.Node) (string, bool) {
	switch v := r.resolve(n).(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value, true
	}
	return "", false
}
