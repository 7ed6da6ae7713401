package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

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
	apply := func(changed ...string) string {
		called = nil
		live.apply(config.Default(), changed, slog.New(slog.NewTextHandler(&log, nil)))
		return strings.Join(called, " ")
	}
	if got := apply(); got != "certificate" {
		t.Errorf("nothing changed: %s", got)
	}
	if got := apply("logging.level", "server.trusted_proxies"); got != "proxies certificate" {
		t.Errorf("proxies changed: %s", got)
	}
	if got := apply("plans"); got != "plans certificate" || !strings.Contains(log.String(), `part=plans error="no room"`) {
		t.Errorf("plans changed: %s, log %s", got, log.String())
	}
}
