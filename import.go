package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"hyperlight/config"
	"hyperlight/engine"
)

// runImport loads recordings into the store; progress is called from one goroutine, a few times per second.
func runImport(ctx context.Context, cfg *config.Config, log *slog.Logger, files []string, o importOptions,
	progress func(engine.ImportProgress)) (*engine.ImportReport, error) {
	var markets []byte
	if o.Markets != "" {
		var err error
		if markets, err = os.ReadFile(o.Markets); err != nil {
			return nil, fmt.Errorf("read markets: %w", err)
		}
	}
	// A store that cannot go on fails every commit, which ends the import; nothing else is left to stop.
	return engine.Import(ctx, engine.ImportOptions{
		Store: storeOptions(cfg, func(error) {}), Files: files, Markets: markets,
		Progress: progress, Logger: log,
	})
}
