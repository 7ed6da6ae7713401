package main

import (
	"context"
	"errors"
	"log/slog"

	"hyperlight/config"
)

// runCheck opens the store and compares rows with indexes; deep also decodes every value.
func runCheck(ctx context.Context, cfg *config.Config, log *slog.Logger, deep bool) (*checkReport, error) {
	return nil, errors.New("check is not wired yet")
}
