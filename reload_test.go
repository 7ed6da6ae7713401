package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hyperlight/config"
)

func TestLiveParts(t *testing.T) {
	var live liveParts
	var called []string
	part := func(name string, err error) func(*config.Config) error {
		return func(*config.Config) error {
			called = append(called, name)
			return err
		}
	}
	live.add("plans", part("plans", errors.New("no room")), "plans")
	live.add("proxies", part("proxies", nil), "server.trusted_proxies")
	live.add("certificate", part("certificate", nil))
	var log bytes.Buffer
	var refused []string
	apply := func(changed ...string) string {
		called = nil
		refused = live.apply(config.Default(), changed, slog.New(slog.NewTextHandler(&log, nil)))
		return strings.Join(called, " ")
	}
	if got := apply(); got != "certificate" {
		t.Errorf("nothing changed: %s", got)
	}
	if got := apply("logging.level", "server.trusted_proxies"); got != "proxies certificate" {
		t.Errorf("proxies changed: %s", got)
	}
	if got := apply("plans"); got != "plans certificate" || !slices.Equal(refused, []string{"plans"}) || !strings.Contains(log.String(), `part=plans error="no room"`) {
		t.Errorf("plans changed: %s, log %s", got, log.String())
	}
}

// A part that is opened while a reload goes on was opened with the old configuration, and must not keep it.
func TestReloadBeforeAPartIsOpen(t *testing.T) {
	var live liveParts
	log := slog.New(slog.DiscardHandler)
	var got string
	take := func(c *config.Config) error { got = c.Access.PlansFile; return nil }
	live.add("early", take, "plans")
	if got != "" {
		t.Error("nothing was reloaded yet")
	}
	next := config.Default()
	next.Access.PlansFile = "next.yaml"
	live.apply(next, []string{"access.plans_file"}, log)
	live.add("late", take, "access.plans_file")
	if got != "next.yaml" {
		t.Errorf("the late part has %q", got)
	}
}

// Every fault of a reload is told at once, also within the minute in which repeats of a message fold; a change that a part refused is
// tried again at the next signal.
func TestReloadTellsEveryFault(t *testing.T) {
	dir := alone(t)
	file := filepath.Join(dir, "c.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out syncBuffer
	a := &app{configFile: file, stderr: &out}
	hup, done := make(chan os.Signal), make(chan struct{})
	defer close(done)
	live := new(liveParts)
	live.add("proxies", func(c *config.Config) error { return fmt.Errorf("no %s", c.Server.TrustedProxies) }, "server.trusted_proxies")
	go a.watchReload(hup, done, *config.Default(), live, new(slog.LevelVar), newLogger(&out, "json", slog.LevelInfo))
	for _, step := range []struct{ text, want string }{
		{"server: {lisen: x}\n", "did you mean server.listen"},
		{"logging: {level: wran}\n", "did you mean warn"},
		{"server: {trusted_proxies: [10.0.0.1]}\n", `"error":"no 10.0.0.1"`},
		{"server: {trusted_proxies: [10.0.0.2]}\n", `"error":"no 10.0.0.2"`},
		{"server: {trusted_proxies: [10.0.0.2], listen: 127.0.0.1:7}\n", `"keys":["server.listen"]`},
		{"server: {trusted_proxies: [10.0.0.2], control: x}\n", `"keys":["server.control"]`},
	} {
		write(step.text)
		hup <- syscall.SIGHUP
		for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), step.want); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s in\n%s", step.want, out.String())
			}
		}
	}
	if strings.Contains(out.String(), `"applied":["server.trusted_proxies"`) {
		t.Errorf("what was refused counts as applied:\n%s", out.String())
	}
}
