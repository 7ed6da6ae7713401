package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"

	"hyperlight/config"
	"hyperlight/engine/history"
	"hyperlight/kv"
)

// runCheck opens the store, decodes every row and compares rows with indexes; deep also rebuilds books and candles.
func runCheck(ctx context.Context, cfg *config.Config, log *slog.Logger, deep bool) (r *checkReport, err error) {
	o := storeOptions(cfg, func(error) {})
	o.Logger = log
	store, err := kv.Open(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	findings, err := history.Check(ctx, store, deep)
	if err != nil {
		return nil, err
	}
	r = &checkReport{Dir: o.Dir, Deep: deep, Damage: []damage{}}
	for _, f := range findings {
		r.Damage = append(r.Damage, damage{Key: hex.EncodeToString(f.Key), Problem: f.Problem})
	}
	return r, nil
}
