package config

import "strings"

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Path    string // the key; "" when it is none
	Where   string // file:line:column, variable or flag; "" for a default
	Message string
}

// String writes the fault on one line.
func (f Fault) String() string {
	s := f.Message
	if f.Path != "" {
		s = f.Path + ": " + s
	}
	if f.Where != "" {
		s += " (from " + f.Where + ")"
	}
	return s
}

// Error holds every fault of a configuration; it is what Load fails with.
type Error struct{ Faults []Fault }

// Error writes one line per fault.
func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}
