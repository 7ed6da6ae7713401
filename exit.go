package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"hyperlight/config"
	"hyperlight/engine/backup"
	"hyperlight/engine/record"
	"hyperlight/kv"
)

// The exit codes of every command.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
	exitDamage      = 5
	exitRefused     = 6
)

// failure is an error that knows its exit code and what to try.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usagef makes an error of a wrong command line.
func usagef(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// failf makes an error with an exit code and a hint; hint may be empty.
func failf(code int, hint, format string, args ...any) error {
	return &failure{code: code, err: fmt.Errorf(format, args...), hint: hint}
}

// errInterrupted is the end of a command that a signal stopped.
var errInterrupted = failf(exitFailure, "run it again", "it was interrupted")

// causes maps what lower layers report to an exit code and a hint. The first match counts.
var causes = []struct {
	is   error
	code int
	hint string
}{
	{kv.ErrLocked, exitRefused, "stop the process that uses it, or choose another directory with --storage-dir"},
	{kv.ErrNewerFormat, exitConfig, "run that version or a later one, or choose another directory with --storage-dir"},
	{kv.ErrForeign, exitConfig, "choose another directory with --storage-dir"},
	{kv.ErrStaged, exitRefused, "restart the server to take the restored store, or run hyperlight restore --cancel"},
	{kv.ErrDamaged, exitDamage, "keep a copy of the directory, then restore a backup"},
	{backup.ErrDamaged, exitDamage, "restore another backup"},
	{backup.ErrNoBackup, exitFailure, "hyperlight backup list shows what there is"},
	{kv.ErrReadOnly, exitFailure, "free disk space, or lower storage.min_free"},
	{record.ErrVersion, exitConfig, "run a later version"},
	{record.ErrCorrupt, exitDamage, "run hyperlight check --deep to see what is damaged"},
	{syscall.ENOSPC, exitFailure, "free disk space"},
	{syscall.ENOTDIR, exitFailure, "check the path"},
	{syscall.EMFILE, exitFailure, "raise the limit of open files (ulimit -n)"},
	{fs.ErrPermission, exitRefused, "check its owner and mode, or choose another place"},
	{fs.ErrNotExist, exitFailure, "check the path"},
}

// classify returns the exit code of an error and what to try.
func classify(err error) (code int, hint string) {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code, f.hint
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitConfig, ""
	}
	for _, c := range causes {
		if errors.Is(err, c.is) {
			return c.code, c.hint
		}
	}
	return exitFailure, ""
}

// report prints an error on one line (a configuration: one line per fault) and returns the exit code.
func report(w io.Writer, command string, err error) int {
	code, hint := classify(err)
	if e, ok := errors.AsType[*config.Error](err); ok {
		for _, f := range e.Faults {
			fmt.Fprintf(w, "%s: configuration: %s\n", command, f)
		}
		return code
	}
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
	if hint != "" {
		text += "; " + hint
	}
	fmt.Fprintf(w, "%s: %s\n", command, text)
	return code
}
