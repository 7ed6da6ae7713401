package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"hyperlight/config"
)

// runServer opens everything in order, prints where it listens, waits for ctx and closes in reverse.
func runServer(ctx context.Context, cfg *config.Config, log *slog.Logger, stderr io.Writer) error {
	return errors.New("serve is not wired yet")
}
