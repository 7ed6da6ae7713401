package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"

	"hyperlight/config"
	"hyperlight/engine/check"
	"hyperlight/engine/record"
	"hyperlight/kv"
)

func TestReport(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, inUse := listen(l.Addr().String(), "--listen")
	_, socketsInUse := listen(l.Addr().String(), "server.sockets_listen")
	_, foreign := listen("192.0.2.1:0", "--listen")
	tests := []struct {
		err  error
		code int
		text string
	}{
		{socketsInUse, exitFailure, "listen on " + l.Addr().String() + ": bind: address already in use; stop what listens there, or choose another address with server.sockets_listen\n"},
		{foreign, exitFailure, "choose an address of this machine with --listen\n"},
		{fmt.Errorf("listen: %w", inUse), exitFailure, "address already in use; stop what listens there, or choose another address with --listen\n"},
		{fmt.Errorf("open store: %w: /data", kv.ErrLocked), exitRefused, "hyperlight serve: open store: store is in use: /data; stop the process that uses it, or choose another directory with --storage-dir\n"},
		{fmt.Errorf("open store: %w", kv.ErrNewerFormat), exitConfig, "open store: store has a newer format; run that version or a later one"},
		{fmt.Errorf("open store: %w", kv.ErrForeign), exitConfig, "choose another directory"},
		{fmt.Errorf("read trades: %w", record.ErrCorrupt), exitDamage, "hyperlight check --deep"},
		{fmt.Errorf("open store: %w", &fs.PathError{Op: "open", Path: "/x", Err: os.ErrPermission}), exitRefused, "check its owner and mode"},
		{errors.New("two\nlines\n"), exitFailure, "hyperlight serve: two; lines\n"},
		{fmt.Errorf("wrapped: %w", failf(exitRefused, "do that", "cannot")), exitRefused, "wrapped: cannot; do that\n"},
		{&config.Error{Faults: []config.Fault{{Path: "a.b", Message: "is bad"}, {Message: "c", Where: "--d"}}}, exitConfig,
			"hyperlight serve: configuration: a.b: is bad\nhyperlight serve: configuration: c (from --d)\n"},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		if code := report(&b, "hyperlight serve", tt.err); code != tt.code || !strings.Contains(b.String(), tt.text) {
			t.Errorf("%v: exit %d with %q, want %d with %q", tt.err, code, b.String(), tt.code, tt.text)
		}
	}
}

// A signal that stops a long look at a store is told as that, not as what the library made of it.
func TestInterruptedLook(t *testing.T) {
	a := &app{stderr: io.Discard}
	_, err := a.look(false, func(check.Options) (*check.Report, error) {
		return nil, fmt.Errorf("check tables: %w", context.Canceled)
	})
	var b bytes.Buffer
	if code := report(&b, "hyperlight check", err); code != exitFailure || b.String() != "hyperlight check: it was interrupted; run it again\n" {
		t.Errorf("exit %d with %q", code, b.String())
	}
}
