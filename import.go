package main

import (
	"context"
	"errors"
	"log/slog"

	"hyperlight/config"
)

// runImport loads recordings into the store; progress is called from one goroutine, a few times per second.
func runImport(ctx context.Context, cfg *config.Config, log *slog.Logger, files []string, o importOptions,
	progress func(importProgress)) (*importReport, error) {
	return nil, errors.New("import is not wired yet")
}
