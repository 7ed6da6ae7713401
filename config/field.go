package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// envPrefix starts the name of every variable of ours.
const envPrefix = "HYPERLIGHT_"

// Field is one key of the tree.
type Field struct {
	Path   string // server.listen
	Env    string // HYPERLIGHT_SERVER_LISTEN; "" for a key that only a file can give
	Doc    string
	Secret bool

	value reflect.Value
}

// Text returns the value in the form that every source accepts; a secret is masked, of plans only the names are told.
func (f Field) Text() string { return fmt.Sprint(f.value.Interface()) }

// Type returns the kind of value in words.
func (f Field) Type() string {
	switch f.value.Interface().(type) {
	case Duration:
		return "duration"
	case Size:
		return "size"
	case Secret:
		return "secret"
	case List:
		return "list"
	case Markets:
		return "all or ids"
	case Retention:
		return "datasets with durations"
	case WhaleMarkets:
		return "ids with numbers"
	case Plans:
		return "list of plans"
	case bool:
		return "true or false"
	case int, int64:
		return "whole number"
	default:
		return "text"
	}
}

// section is a group of keys.
type section struct{ Path, Doc string }

// Fields returns every key in the order of the tree. A Field reads the live value of c.
func (c *Config) Fields() []Field {
	fields, _ := c.walk()
	return fields
}

func (c *Config) walk() (fields []Field, sections []section) {
	var visit func(v reflect.Value, path, variable string)
	visit = func(v reflect.Value, path, variable string) {
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag
			name := tag.Get("yaml")
			p := strings.TrimPrefix(path+"."+name, ".")
			if v.Field(i).Kind() == reflect.Struct {
				sections = append(sections, section{Path: p, Doc: tag.Get("doc")})
				visit(v.Field(i), p, variable+tag.Get("envPrefix"))
				continue
			}
			_, secret := v.Field(i).Interface().(Secret)
			f := Field{Path: p, Env: variable + strings.ToUpper(name), Doc: tag.Get("doc"), Secret: secret, value: v.Field(i)}
			if tag.Get("env") == "-" {
				f.Env = ""
			}
			fields = append(fields, f)
		}
	}
	visit(reflect.ValueOf(c).Elem(), "", envPrefix)
	return fields, sections
}

// set gives a key the value that text stands for.
func (c *Config) set(f Field, text string) error {
	if f.Env == "" {
		return errors.New("is a table: write it in a file and name that with access.plans_file")
	}
	if text == "" { // the library takes empty for unset; for us it overrides a source below
		switch f.value.Kind() {
		case reflect.String, reflect.Slice:
			if _, ok := f.value.Interface().(Markets); !ok {
				f.value.SetZero()
				return nil
			}
		case reflect.Map:
			if _, ok := f.value.Interface().(WhaleMarkets); ok {
				f.value.Set(reflect.ValueOf(WhaleMarkets{}))
				return nil
			}
		}
		return fmt.Errorf("must not be empty: want %s", f.Type())
	}
	switch f.value.Interface().(type) {
	case int, int64: // the library cuts int to 32 bits
		n, err := strconv.ParseInt(text, 10, f.value.Type().Bits())
		if err != nil {
			return fmt.Errorf("must be %s", withArticle(f.Type()))
		}
		f.value.SetInt(n)
		return nil
	}
	err := env.ParseWithOptions(c, env.Options{
		Environment:           map[string]string{f.Env: text},
		Prefix:                envPrefix,
		UseFieldNameByDefault: true,
	})
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[env.ParseError](err); ok {
		if f.value.Kind() == reflect.Bool {
			return fmt.Errorf("must be %s", withArticle(f.Type()))
		}
		return p.Err
	}
	return err
}

func withArticle(kind string) string {
	if kind == "true or false" {
		return kind
	}
	return "a " + kind
}
