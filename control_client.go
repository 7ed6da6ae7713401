package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/seal"
	"hyperlight/engine/signal/desk"
	api "hyperlight/http"
	"hyperlight/kv"
)

// operator runs the operator's commands: in the running server, through its control socket, or, where none runs, on the
// store itself under its lock. Both ways end in the same api.Control, so there is one implementation of each command.
type operator struct {
	answer func(ctx context.Context, name string, body []byte) (status int, answer []byte, err error)
	close  func() error
}

// storeNeed says what a command wants of a store that no server holds.
type storeNeed uint8

const (
	storeNone  storeNeed = iota // it asks for the plans only
	storeThere                  // the store must be there: there is nothing to list or change in a new one
	storeNew                    // it may be the first command on a new store
)

// openOperator finds the running server, or takes its place for the time of one command.
func (a *app) openOperator(need storeNeed) (*operator, error) {
	loaded, err := a.load()
	if err != nil {
		return nil, err
	}
	cfg := loaded.Config
	client, err := api.DialControl(cfg.ControlPath())
	switch {
	case err == nil:
		return &operator{client.Answer, func() error { client.Close(); return nil }}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, failf(exitRefused, "run this as the user that runs the server", "%w", err)
	}
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	log := newLogger(a.stderr, "text", level)
	if need == storeNone {
		return inProcess(accessOptions(cfg, nil, cfg.Server.PublicURL, log), api.ControlOptions{}, log, func() error { return nil })
	}
	o := storeOptions(cfg, func(error) {})
	o.Logger = log
	if need == storeThere {
		if entries, err := os.ReadDir(o.Dir); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		} else if len(entries) == 0 {
			return nil, failf(exitFailure, "name the right directory with --storage-dir", "open store: %s is empty", o.Dir)
		}
	}
	return openLocal(cfg, o, log)
}

func openLocal(cfg *config.Config, o kv.Options, log *slog.Logger) (op *operator, err error) {
	store, err := kv.Open(o)
	if errors.Is(err, kv.ErrLocked) {
		return nil, failf(exitUnreachable, "see the log of the server that runs on it, or stop that server",
			"store %s is in use, but no server answers on %s", o.Dir, cfg.ControlPath())
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	keys, err := openSecrets(cfg.Storage.Dir)
	if err != nil {
		return nil, err
	}
	options := accessOptions(cfg, keys, cfg.Server.PublicURL, log)
	options.Store = store
	storage, err := newStoreControl(cfg, store, log)
	if err != nil {
		return nil, err
	}
	signals, err := openSignals(store, keys, log)
	if err != nil {
		return nil, err
	}
	files, end := openLocalLake(func() (*openedLake, error) {
		record, err := newStoredRecord(context.Background(), store)
		if err != nil {
			return nil, err
		}
		return openLake(cfg, record, log)
	})
	return inProcess(options, api.ControlOptions{Storage: storage, Signals: signals, Lake: files}, log, func() error {
		end()
		return store.Close()
	})
}

// storedMarkets are the markets of a store that no server holds.
type storedMarkets map[model.MarketID]*model.Market

// Get implements desk.Markets.
func (m storedMarkets) Get(id model.MarketID) (*model.Market, bool) {
	found, ok := m[id]
	return found, ok
}

// openSignals opens the signals of a store that no server holds. What is to be sent again is sent by the next server.
func openSignals(store *kv.Store, keys *secrets, log *slog.Logger) (*desk.Desk, error) {
	rows, err := history.Markets(context.Background(), store)
	if err != nil {
		return nil, err
	}
	markets := storedMarkets{}
	for _, m := range rows {
		markets[m.ID] = m
	}
	box, err := seal.New(keys.derive(signalSecrets))
	if err != nil {
		return nil, err
	}
	return desk.Open(desk.Options{Store: store, Markets: markets, Box: box, Logger: log})
}

// signalSecrets is the use of the key that the secrets of signals are sealed with.
const signalSecrets = "signal secrets"

// inProcess answers commands here; options lack who may call what.
func inProcess(o access.Options, options api.ControlOptions, log *slog.Logger, end func() error) (*operator, error) {
	callers, err := access.New(o)
	if err != nil {
		return nil, err
	}
	options.Access, options.Logger = callers, log.With("component", "control")
	control := api.NewControl(options)
	return &operator{
		answer: func(ctx context.Context, name string, body []byte) (int, []byte, error) {
			status, answer := control.Answer(ctx, name, body)
			return status, answer, nil
		},
		close: end,
	}, nil
}

// accessOptions configures who may call what, in serve and in the commands that stand in for it; the store is left to
// the caller. Without keys there must be no store.
func accessOptions(cfg *config.Config, keys *secrets, publicURL string, log *slog.Logger) access.Options {
	o := access.Options{
		LocalPlan: cfg.Access.LocalPlan, PublicURL: publicURL, Plans: cfg.Plans, Registration: cfg.Access.Registration,
		DefaultTier: cfg.Access.DefaultTier, TokenLifetime: cfg.Access.TokenLifetime.D(), Logger: log.With("component", "access"),
	}
	if keys != nil {
		o.JWTSecret = keys.derive("jwt")
	}
	return o
}

// run sends a command and reads its answer; subject is what the command was about, for the error.
func (o *operator) run(ctx context.Context, name, subject string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	status, answer, err := o.answer(ctx, name, body)
	if err != nil {
		return failf(exitUnreachable, "see its log, then look whether the command was carried out", "%w", err)
	}
	err = api.DecodeControl(status, answer, out)
	e, ok := errors.AsType[*api.ControlError](err)
	if !ok {
		return err
	}
	code, hint := exitFailure, ""
	switch e.Code {
	case model.CodeBadRequest, model.CodePayloadTooLarge:
		code = exitUsage
	case model.CodeConflict, model.CodeForbidden, model.CodeQuota, model.CodeRateLimit:
		code = exitRefused
	case model.CodeNotFound:
		hint = "hyperlight user list and hyperlight key list show what there is"
	}
	if subject == "" {
		return failf(code, hint, "%w", e)
	}
	return failf(code, hint, "%s: %w", subject, e)
}

// listRows walks all pages of a list; in makes the arguments of one page.
func listRows[T any](ctx context.Context, o *operator, name, subject string, limit int, in func(api.ControlPage) any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for offset := 0; ; offset += limit {
			var page api.ControlList[T]
			if err := o.run(ctx, name, subject, in(api.ControlPage{Limit: limit, Offset: offset}), &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range page.Rows {
				if !yield(row, nil) {
					return
				}
			}
			if offset+limit >= page.Total {
				return
			}
		}
	}
}
