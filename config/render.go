package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
)

// Template returns the commented file with the given values, which `config init` writes.
func (c *Config) Template() []byte {
	var b strings.Builder
	b.WriteString("# Configuration of hyperlight. Every key may be left out: the value then is the one shown here.\n")
	b.WriteString("# Stronger than this file are variables (server.listen is HYPERLIGHT_SERVER_LISTEN), then flags.\n")
	b.WriteString("# Times are written 10s, 1h30m, 90d; sizes 64MiB. `hyperlight config check` checks the file.\n")
	c.render(&b, true, nil)
	return []byte(b.String())
}

// YAML returns the values without comments, secrets masked. With origins, each line says where its value came from.
func (c *Config) YAML(origins map[string]Origin) []byte {
	var b strings.Builder
	c.render(&b, false, origins)
	return []byte(b.String())
}

func (c *Config) render(b *strings.Builder, comments bool, origins map[string]Origin) {
	fields, sections := c.walk()
	docs := map[string]string{}
	for _, s := range sections {
		docs[s.Path] = s.Doc
	}
	written := map[string]bool{}
	comment := func(depth int, doc string) {
		if comments {
			fmt.Fprintf(b, "%*s# %s\n", depth*2, "", doc)
		}
	}
	for _, f := range fields {
		names := strings.Split(f.Path, ".")
		for depth := range len(names) - 1 {
			path := strings.Join(names[:depth+1], ".")
			if written[path] {
				continue
			}
			written[path] = true
			if comments {
				b.WriteString("\n")
			}
			comment(depth, docs[path])
			fmt.Fprintf(b, "%*s%s:\n", depth*2, "", names[depth])
		}
		depth := len(names) - 1
		if depth == 0 && comments {
			b.WriteString("\n")
		}
		comment(depth, f.Doc)
		table, isTable := f.value.Interface().(Plans)
		line := fmt.Sprintf("%*s%s: %s", depth*2, "", names[depth], f.yaml())
		if isTable {
			line = names[depth] + ":"
		}
		if origins != nil {
			line = fmt.Sprintf("%-60s # %s", line, origins[f.Path])
		}
		b.WriteString(line + "\n")
		if isTable {
			table.render(b, comments)
		}
	}
}

// yaml writes the value on one line.
func (f Field) yaml() string {
	switch v := f.value.Interface().(type) {
	case string:
		return scalar(v)
	case Secret:
		return scalar(v.String())
	case List:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = scalar(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case Markets:
		if v.All() {
			return "all"
		}
		return "[" + strings.ReplaceAll(v.String(), ",", ", ") + "]"
	case Retention, WhaleMarkets:
		return "{" + strings.NewReplacer("=", ": ", ",", ", ").Replace(f.Text()) + "}"
	default:
		return f.Text()
	}
}

func scalar(s string) string {
	b, err := yaml.MarshalWithOptions(s, yaml.JSON())
	if err != nil { // a plain string always encodes
		panic(fmt.Sprintf("encode %q: %v", s, err))
	}
	return strings.TrimSpace(string(b))
}

// Tree returns the values as nested maps, for JSON; secrets are masked.
func (c *Config) Tree(origins map[string]Origin) map[string]any {
	root := map[string]any{}
	for _, f := range c.Fields() {
		names := strings.Split(f.Path, ".")
		m := root
		for _, n := range names[:len(names)-1] {
			next, ok := m[n].(map[string]any)
			if !ok {
				next = map[string]any{}
				m[n] = next
			}
			m = next
		}
		m[names[len(names)-1]] = f.leaf(origins)
	}
	return root
}

func (f Field) leaf(origins map[string]Origin) any {
	value := any(f.Text())
	switch v := f.value.Interface().(type) {
	case bool, int, int64:
		value = v
	case List:
		value = append(List{}, v...)
	case Retention:
		value = v
	case Plans:
		value = v.tree()
	}
	if list, ok := value.(List); ok {
		value = []string(list)
	}
	if origins == nil {
		return value
	}
	return map[string]any{"value": value, "origin": origins[f.Path].String()}
}
