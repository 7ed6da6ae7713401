package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// unlimited is how Unlimited may also be written in a file.
const unlimited = "unlimited"

// planFields returns the keys of a plan and the number of the struct field of each, in order.
func planFields() (names []string, index map[string]int) {
	t := reflect.TypeFor[Plan]()
	index = make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		names, index[name] = append(names, name), i
	}
	return names, index
}

// readPlansFile takes the table from the file that access.plans_file names; it is stronger than a plans section.
func (l *loader) readPlansFile() {
	const path = "access.plans_file"
	name := l.Config.Access.PlansFile
	if name == "" {
		return
	}
	data, err := os.ReadFile(name)
	if err != nil {
		l.fault(path, l.Origins[path].Name, "cannot be read: "+cause(err).Error())
		return
	}
	before := len(l.faults)
	l.Origins["plans"] = Origin{}
	l.readFile(name, data, map[string]Field{"plans": l.fields["plans"]}, l.Origins[path].Level)
	if l.Origins["plans"].Level == FromDefault && len(l.faults) == before {
		l.fault(path, l.Origins[path].Name, fmt.Sprintf("%s has no plans list", name))
	}
}

// cause cuts the operation and the name, which the fault tells already, from an error of the file system.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// planTable reads a list of plans, which replaces the table as a whole.
func (r *fileReader) planTable(path string, v *ast.MappingValueNode) {
	where := position(r.name, v.Key.GetToken())
	n := r.resolve(v.Value)
	if _, null := n.(*ast.NullNode); null || n == nil {
		return
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(path, where, "must be a list of plans, each after a dash")
		return
	}
	table := make(Plans, len(list.Values))
	for p := range r.places {
		if strings.HasPrefix(p, path+"[") {
			delete(r.places, p)
		}
	}
	for i, item := range list.Values {
		r.plan(fmt.Sprintf("%s[%d]", path, i), item, &table[i])
	}
	r.Config.Plans = table
	r.Origins[path] = Origin{r.level, where}
}

// plan reads one plan. What it leaves out it does not have; only the two limits on history that nobody thinks of when
// writing a plan are lifted.
func (r *fileReader) plan(path string, n ast.Node, p *Plan) {
	*p = Plan{HistoryDepthDays: Unlimited, MaxRangeDays: Unlimited}
	r.places[path] = position(r.name, n.GetToken())
	var entries []*ast.MappingValueNode
	switch m := r.resolve(n).(type) {
	case *ast.MappingNode:
		entries = m.Values
		if len(entries) > 0 { // the node's own token is a colon
			r.places[path] = position(r.name, entries[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		entries = append(entries, m)
		r.places[path] = position(r.name, m.Key.GetToken())
	default:
		r.fault(path, r.places[path], "must hold keys with values")
		return
	}
	names, index := planFields()
	for _, e := range entries {
		key := e.Key.GetToken()
		i, known := index[key.Value]
		if !known {
			message := fmt.Sprintf("unknown key %s.%s at %d:%d", path, key.Value, key.Position.Line, key.Position.Column)
			if near := nearest(key.Value, names); near != "" {
				message += ", did you mean " + near + "?"
			}
			r.fault("", r.name, message)
			continue
		}
		at, where := path+"."+key.Value, position(r.name, key)
		r.places[at] = where
		value := r.resolve(e.Value)
		if _, null := value.(*ast.NullNode); null || value == nil {
			continue
		}
		text, ok := r.scalar(value)
		if !ok {
			r.fault(at, where, "must be one value")
			continue
		}
		if err := setPlanValue(reflect.ValueOf(p).Elem().Field(i), key.Value, text); err != nil {
			r.fault(at, where, err.Error())
		}
	}
}

// offByZero are the counts of which 0 lifts the limit, so that unlimited is written 0 in them.
var offByZero = []string{"subscribe_ops_per_second"}

// setPlanValue gives a field of a plan the value that text stands for.
func setPlanValue(v reflect.Value, key, text string) error {
	if d, ok := v.Addr().Interface().(*Duration); ok {
		if text == unlimited {
			text = "0"
		}
		return d.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		v.SetBool(text == "true")
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("must be a number")
		}
		v.SetFloat(f)
	default:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if text == unlimited {
			n, err = Unlimited, nil
		}
		if err != nil {
			return errors.New("must be a whole number or unlimited")
		}
		if n == Unlimited && slices.Contains(offByZero, key) {
			n = 0
		}
		v.SetInt(n)
	}
	return nil
}
