package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/export"
)

// runImport loads recordings and archives into the store; progress is called from one goroutine, a few times per second.
func runImport(ctx context.Context, cfg *config.Config, log *slog.Logger, files []string, o importOptions,
	rows engine.ArchiveOptions, progress func(engine.ImportProgress)) (*engine.ImportReport, error) {
	var markets []byte
	if o.Markets != "" {
		var err error
		if markets, err = os.ReadFile(o.Markets); err != nil {
			return nil, fmt.Errorf("read markets: %w", err)
		}
	}
	rows.Lake = func(name string) (engine.LakeFile, error) { return export.OpenArchive(name) }
	// A store that cannot go on fails every commit, which ends the import; nothing else is left to stop.
	return engine.Import(ctx, engine.ImportOptions{
		Store: storeOptions(cfg, func(error) {}), Files: files, Markets: markets, Archive: rows,
		Progress: progress, Logger: log,
	})
}
