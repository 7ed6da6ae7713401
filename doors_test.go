package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	api "hyperlight/http"
)

// A stop that comes before a door has begun to serve closes it all the same: the stop would wait for it for ever.
func TestShutdownBeforeServing(t *testing.T) {
	operator, err := api.ListenControl(filepath.Join(t.TempDir(), "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	d := &doors{operator: operator, control: api.NewControl(api.ControlOptions{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})}
	if err := d.shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.control.Serve(operator) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it still serves")
	}
}
