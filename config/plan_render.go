package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// render writes the list below its key. The comments stand at the first plan only.
func (p Plans) render(b *strings.Builder, comments bool) {
	t := reflect.TypeFor[Plan]()
	for i := range p {
		lead := "  - "
		if comments && i > 0 {
			b.WriteString("\n")
		}
		for j := range t.NumField() {
			tag := t.Field(j).Tag
			if comments && i == 0 {
				indent := "    "
				if j == 0 {
					indent = "  "
				}
				fmt.Fprintf(b, "%s# %s\n", indent, tag.Get("doc"))
			}
			fmt.Fprintf(b, "%s%s: %s\n", lead, tag.Get("yaml"), planText(reflect.ValueOf(p[i]).Field(j)))
			lead = "    "
		}
	}
}

// planText writes the value of a key of a plan as YAML.
func planText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return scalar(x)
	case int, int64:
		if v.Int() == Unlimited {
			return unlimited
		}
		return strconv.FormatInt(v.Int(), 10)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}

// tree returns the table for JSON, with -1 where a number is unlimited.
func (p Plans) tree() []map[string]any {
	t := reflect.TypeFor[Plan]()
	list := make([]map[string]any, len(p))
	for i := range p {
		list[i] = make(map[string]any, t.NumField())
		for j := range t.NumField() {
			list[i][t.Field(j).Tag.Get("yaml")] = reflect.ValueOf(p[i]).Field(j).Interface()
		}
	}
	return list
}
