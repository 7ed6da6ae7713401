package engine_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/relay"
)

// A line of the relay names its component once: an object that names a member twice is read differently by every program.
func TestRelayNamesItsComponentOnce(t *testing.T) {
	var lines bytes.Buffer
	cfg := config.Default()
	cfg.Venues.Lighter.RESTURL, cfg.Venues.Lighter.StreamURL = "http://127.0.0.1:1", "ws://127.0.0.1:1/stream" // nobody listens there
	cfg.Venues.Lighter.Enabled = true
	e, err := engine.Open(engine.Options{
		Store: storeOptions(t.TempDir()), Lighter: cfg.Venues.Lighter, History: cfg.History, Version: "test",
		Logger: slog.New(slog.NewJSONHandler(&lines, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Relay().Do(t.Context(), &relay.Request{Method: "GET", Path: []byte("/api/v1/info")}); err == nil {
		t.Error("an answer came from nowhere")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	told := false
	for line := range strings.Lines(lines.String()) {
		if strings.Contains(line, "native call failed") {
			told = true
			if strings.Count(line, `"component":`) != 1 {
				t.Error(line)
			}
		}
	}
	if !told {
		t.Errorf("the failed call is not told: %s", lines.String())
	}
}
