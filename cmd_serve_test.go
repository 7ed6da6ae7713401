package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// serveDemo runs serve with a small demo in the background. It returns the
// address printed, and a function that ends the server and returns its exit code and its log.
func serveDemo(t *testing.T, args ...string) (address string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{
			"serve", "--listen", "127.0.0.1:0", "--local-plan", "enterprise", "--set", "demo.enabled=true",
			"--set", "demo.markets=2", "--set", "demo.accounts=50", "--set", "demo.rate=50",
		}, args...), io.Discard, writer)
		writer.Close()
	}()
	listening, ended := make(chan string, 1), make(chan struct{})
	var log bytes.Buffer
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			if a, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				listening <- a
			}
			log.WriteString(lines.Text() + "\n")
		}
	}()
	stop = func() (int, string) {
		cancel()
		<-ended
		return <-code, log.String()
	}
	select {
	case address = <-listening:
		return address, stop
	case <-ended:
	case <-time.After(time.Minute):
	}
	_, text := stop()
	t.Fatalf("the server does not listen:\n%s", text)
	return "", nil
}

// forPeople are the beginnings of the lines that are no log: where the server is, and how to get in.
var forPeople = []string{"listening on ", "Open ", "make a key with: "}

func TestServe(t *testing.T) {
	dir := alone(t)
	address, stop := serveDemo(t)
	ended := false
	defer func() {
		if !ended {
			stop()
		}
	}()
	code, stdout, stderr := runHere(t, t.Context(), "health", "-o", "json", address)
	if code != exitOK || !strings.Contains(stdout, `"version": "`+version+`"`) {
		t.Errorf("health: exit %d %s%s", code, stdout, stderr)
	}

	// What a second process is told: one line and the exit code of its reason.
	host := strings.TrimPrefix(address, "http://")
	for _, tt := range []struct {
		line   []string
		code   int
		stderr string
	}{
		{[]string{"serve", "--listen", host, "--storage-dir", filepath.Join(dir, "other"), "--set", "venues.lighter.enabled=false"},
			exitFailure, "address already in use; stop what listens there, or choose another address with --listen"},
		{[]string{"serve", "--listen", "127.0.0.1:0", "--set", "venues.lighter.enabled=false"}, exitRefused, "choose another directory with --storage-dir"},
		{[]string{"check"}, exitOK, "is sound"}, // of a copy
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		code, _, stderr := runHere(t, ctx, tt.line...)
		cancel()
		last := lastLine(stderr)
		if code != tt.code || !strings.Contains(last, tt.stderr) {
			t.Errorf("%v: exit %d with %q, want %d with %q", tt.line, code, last, tt.code, tt.stderr)
		}
	}

	ended = true
	code, log := stop()
	if code != exitOK {
		t.Errorf("stopped server ends with %d", code)
	}
	if strings.Count(log, "listening on ") != 1 {
		t.Errorf("the address is not printed once:\n%s", log)
	}
	for line := range strings.Lines(log) {
		if slices.ContainsFunc(forPeople, func(start string) bool { return strings.HasPrefix(line, start) }) {
			continue
		}
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil || m["msg"] == nil || m["level"] == nil {
			t.Errorf("no log line: %q", line)
		}
		if m["level"] == "error" {
			t.Errorf("a plain start and stop logs an error: %s", line)
		}
	}
	// The store is free again and sound.
	if code, _, stderr := runHere(t, t.Context(), "check", "--deep"); code != exitOK {
		t.Errorf("check after stop: exit %d %s", code, stderr)
	}
}

func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}
