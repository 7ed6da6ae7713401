package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Level orders the places a value can come from; a higher one wins.
type Level uint8

// The levels, weakest first.
const (
	FromDefault Level = iota
	FromFile
	FromEnvironment
	FromFlag
)

// Origin says where a value came from.
type Origin struct {
	Level Level
	Name  string // file:line:column, variable or flag
}

// String names the origin.
func (o Origin) String() string {
	if o.Level == FromDefault {
		return "default"
	}
	return o.Name
}

// Flag is a key given on the command line.
type Flag struct{ Path, Name, Text string }

// Source says what a configuration is made from.
type Source struct {
	File    string   // the file named by the user; "" searches
	Environ []string // as os.Environ returns it
	Flags   []Flag
	// Check adds faults that need knowledge from above this package; may be nil.
	Check func(*Config) []Fault
}

// Loaded is a valid configuration and how it came about.
type Loaded struct {
	Config  *Config
	File    string            // the file read; "" if there was none
	Origins map[string]Origin // by path, of every key
}

// exempt variables carry our prefix and are no keys: the first is read by Load, the others by tests.
var exempt = []string{"HYPERLIGHT_CONFIG", "HYPERLIGHT_RECORDINGS", "HYPERLIGHT_SOAK"}

// Load reads file, environment and flags over the defaults, in that order of
// rising precedence, and validates the result. It fails with an *Error that
// holds every fault found.
func Load(s Source) (*Loaded, error) {
	variables := environment(s.Environ)
	l := newLoader()
	path, data, err := findFile(s.File, variables)
	if err != nil {
		l.fault("", "", err.Error())
	} else if path != "" {
		l.File = path
		l.readFile(path, data, l.fields, FromFile)
	}
	l.readEnvironment(variables)
	for _, f := range s.Flags {
		l.assign(f.Path, f.Text, Origin{FromFlag, f.Name})
	}
	l.readSecrets(variables["CREDENTIALS_DIRECTORY"])
	l.readPlansFile()
	l.Config.Server.PublicURL = strings.TrimRight(l.Config.Server.PublicURL, "/") // paths are added to it
	l.validate(s.Check)
	if len(l.faults) > 0 {
		return nil, &Error{Faults: l.faults}
	}
	return &l.Loaded, nil
}

type loader struct {
	Loaded
	fields map[string]Field
	places map[string]string // by path, where a part of a table stands
	faults []Fault
}

// newLoader returns a loader that holds the defaults.
func newLoader() *loader {
	l := &loader{
		Loaded: Loaded{Config: Default(), Origins: map[string]Origin{}},
		fields: map[string]Field{},
		places: map[string]string{},
	}
	for _, f := range l.Config.Fields() {
		l.fields[f.Path] = f
		l.Origins[f.Path] = Origin{}
	}
	return l
}

func (l *loader) fault(path, where, message string) {
	l.faults = append(l.faults, Fault{Path: path, Where: where, Message: message})
}

// assign sets a key that a source above the present one names.
func (l *loader) assign(path, text string, o Origin) {
	f, ok := l.fields[path]
	if !ok {
		l.fault("", o.Name, unknownName("key", path, slices.Collect(maps.Keys(l.fields))).Error())
		return
	}
	if err := l.Config.set(f, text); err != nil {
		l.fault(path, o.Name, err.Error())
		return
	}
	l.Origins[path] = o
}

func (l *loader) readEnvironment(variables map[string]string) {
	paths := map[string]string{}
	for path, f := range l.fields {
		if f.Env != "" {
			paths[f.Env] = path
		}
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(exempt, name) {
			continue
		}
		path, ok := paths[name]
		if name == envPrefix+"PLANS" {
			l.fault("", "", "environment variable "+name+": plans is a table: write it in a file and name that with "+envPrefix+"ACCESS_PLANS_FILE")
			continue
		}
		if !ok {
			known := append(slices.Collect(maps.Keys(paths)), exempt...)
			l.fault("", "", unknownName("environment variable", name, known).Error())
			continue
		}
		l.assign(path, variables[name], Origin{FromEnvironment, name})
	}
}

func (l *loader) validate(more func(*Config) []Fault) {
	found := l.Config.faults()
	if more != nil {
		found = append(found, more(l.Config)...)
	}
	read := l.faults[:len(l.faults):len(l.faults)]
	for _, f := range found {
		plan, _, inPlan := strings.Cut(f.Path, "].")
		if inPlan && slices.ContainsFunc(read, func(e Fault) bool { return e.Path == f.Path || e.Path == plan+"]" }) {
			continue // what could not be read was left at nothing, which is not worth a second line
		}
		if f.Where == "" {
			f.Where = l.whereIs(f.Path)
		}
		l.faults = append(l.faults, f)
	}
}

// whereIs returns the place that gave a key its value; of what a plan leaves out it is that of the plan.
func (l *loader) whereIs(path string) string {
	if o := l.Origins[path]; o.Level != FromDefault {
		return o.Name
	}
	if where, ok := l.places[path]; ok {
		return where
	}
	plan, _, _ := strings.Cut(path, "].")
	return l.places[plan+"]"]
}

func environment(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			m[name] = value
		}
	}
	return m
}

// SearchPath returns where a configuration file is looked for when none is named.
func SearchPath(getenv func(string) string) []string {
	var paths []string
	if d := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		paths = append(paths, filepath.Join(d, "hyperlight", "config.yaml"))
	} else if h := getenv("HOME"); filepath.IsAbs(h) {
		paths = append(paths, filepath.Join(h, ".config", "hyperlight", "config.yaml"))
	}
	return append(paths, "/etc/hyperlight/config.yaml")
}

// findFile reads the named file, which must be there, or the first of the search path that is.
func findFile(named string, variables map[string]string) (path string, data []byte, err error) {
	if named == "" {
		named = variables["HYPERLIGHT_CONFIG"]
	}
	if named != "" {
		data, err = os.ReadFile(named)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", nil, fmt.Errorf("configuration file %s does not exist; hyperlight config init %s writes one", named, named)
		case err != nil:
			return "", nil, fmt.Errorf("read configuration file: %w", err)
		}
		return named, data, nil
	}
	for _, p := range SearchPath(func(name string) string { return variables[name] }) {
		data, err = os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("read configuration file: %w", err)
		}
		return p, data, nil
	}
	return "", nil, nil
}
