package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"hyperlight/config"
	"hyperlight/engine/check"
	api "hyperlight/http"
	"hyperlight/kv"
)

// checkCache is the cache of a store that is read once from end to end.
const checkCache = 64 << 20

// openChecked opens what is checked, to be read only: the store itself under its lock, or, where a server holds it, a
// copy of this moment that the server makes. done closes what was opened.
func openChecked(ctx context.Context, cfg *config.Config, log *slog.Logger) (s *kv.Store, done func() error, err error) {
	o := storeOptions(cfg, func(error) {})
	o.Logger, o.CacheBytes, o.ReadOnly = log, checkCache, true
	client, err := api.DialControl(cfg.ControlPath())
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, failf(exitRefused, "run this as the user that runs the server", "%w", err)
	case err != nil: // no server
		// Opening a directory without a store must say so.
		entries, err := os.ReadDir(o.Dir)
		if err != nil {
			return nil, nil, fmt.Errorf("open store: %w", err)
		}
		if len(entries) == 0 {
			return nil, nil, failf(exitFailure, "name the right directory with --storage-dir", "open store: %s is empty", o.Dir)
		}
		if s, err = kv.Open(o); err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	server := &operator{client.Answer, func() error { client.Close(); return nil }}
	var copied api.ControlCheck
	if err := server.run(ctx, "check/begin", "", struct{}{}, &copied); err != nil {
		return nil, nil, errors.Join(err, server.close())
	}
	// The copy is removed also where this was interrupted.
	remove := func() error {
		return errors.Join(server.run(context.WithoutCancel(ctx), "check/end", "", copied, &copied), server.close())
	}
	o.Dir = copied.Path
	if s, err = kv.OpenCopy(o); err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return s, func() error { return errors.Join(s.Close(), remove()) }, nil
}

// untilInterrupted ends at what asks a command to stop. The hangup of a terminal is part of it, unless nohup has us outlive that: the
// server's copy of the store, which holds on to disk space, is removed then too.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signal.NotifyContext(ctx, signals...)
}

// runCheck looks through the store.
func runCheck(ctx context.Context, cfg *config.Config, log *slog.Logger, o check.Options) (r *check.Report, err error) {
	s, done, err := openChecked(ctx, cfg, log)
	if errors.Is(err, kv.ErrDamaged) {
		return &check.Report{Damage: []check.Damage{{File: storeOptions(cfg, nil).Dir, Problem: err.Error()}}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	return check.Store(ctx, s, o)
}

// newCheckReport shows a report to the operator.
func newCheckReport(dir string, deep bool, found *check.Report) *checkReport {
	r := &checkReport{Dir: dir, Deep: deep, StoreFormat: found.Format, BlocksOnly: found.BlocksOnly, Damage: []damage{}}
	for _, d := range found.Damage {
		r.Damage = append(r.Damage, damage{File: d.File, Families: d.Families, Key: hex.EncodeToString(d.Key), Problem: d.Problem})
	}
	for _, h := range found.Holes {
		r.Holes = append(r.Holes, hole{Market: h.Native, Kind: h.Kind.String(), From: h.Span.From, To: h.Span.To, Cause: h.Cause})
	}
	return r
}
