package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/access"
	"hyperlight/engine/model"
	api "hyperlight/http"
	"hyperlight/ws"
)

// openPast opens a store that is there, to read it. The caller closes the engine, which follows nothing.
func (a *app) openPast(cfg *config.Config, callers access.Options, log *slog.Logger) (*engine.Engine, error) {
	store := storeOptions(cfg, func(error) {})
	// Opening a store makes one where there is none; a player must not.
	if entries, err := os.ReadDir(store.Dir); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	} else if len(entries) == 0 {
		return nil, failf(exitFailure, "name the right directory with --storage-dir", "open store: %s is empty", store.Dir)
	}
	return engine.Open(engine.Options{
		Store: store, Lighter: cfg.Venues.Lighter, History: cfg.History, Relay: cfg.Relay, Access: callers, Version: version, Logger: log,
	})
}

// commandLog is the log of a command that is no server: what a person should know.
func (a *app) commandLog() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	return newLogger(a.stderr, "text", level)
}

// writeReplay plays to standard output or a file.
func (a *app) writeReplay(ctx context.Context, cfg *config.Config, o replayOptions) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A reader that has had enough shows as an error of the write, not as the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	log := a.commandLog()
	eng, err := a.openPast(cfg, access.Options{}, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()

	out := a.stdout
	if o.Out != "" {
		f, err := openOutFile(o.Out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	play := ws.Offline{Start: o.From, End: o.To, Speed: o.Speed, Format: o.Format, Include: o.Include, Markets: o.Markets}
	bar := &progressBar{}
	if o.Out != "" || !isTerminal(a.stdout) { // else the bar would stand between the lines
		bar = a.newProgressBar(spanUnits)
	}
	play.Progress = bar.played
	began := time.Now()
	events, err := ws.PlayOffline(ctx, pastSockets(cfg, eng, log), play, out)
	bar.finish(err == nil)
	switch e, known := errors.AsType[*model.Error](err); {
	case errors.Is(err, syscall.EPIPE):
		return nil
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case known && e.Code == model.CodeBadRequest:
		return usagef("%s", e.Message)
	case known:
		return failf(exitFailure, "hyperlight import --list shows imported days", "%s", e.Message)
	case err != nil:
		return err
	}
	if o.Out != "" {
		a.say("%d events in %s", events, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// outFile is a file that is written over from the first write on: a command that fails before leaves what was there.
type outFile struct {
	*os.File
	made, begun bool
}

func openOutFile(name string) (*outFile, error) {
	_, err := os.Lstat(name)
	f, fault := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if fault != nil {
		return nil, fault
	}
	return &outFile{File: f, made: errors.Is(err, fs.ErrNotExist)}, nil
}

// Write implements io.Writer.
func (f *outFile) Write(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if err := f.Truncate(0); err != nil {
				return 0, err
			}
		}
	}
	return f.File.Write(p)
}

// Close removes a file that was made for nothing.
func (f *outFile) Close() error {
	err := f.File.Close()
	if f.made && !f.begun {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// played shows how far a replay is: of its range, not of its bytes.
func (b *progressBar) played(from, at, to model.Millis) {
	if b.tracker == nil {
		return
	}
	b.tracker.UpdateTotal(int64(to - from))
	b.tracker.SetValue(min(int64(at-from), int64(to-from)-1)) // at the total the bar would end itself
	b.tracker.UpdateMessage(time.UnixMilli(int64(at)).UTC().Format(time.DateTime))
}

// spanUnits shows milliseconds of a replay as a duration.
var spanUnits = progress.Units{Formatter: func(ms int64) string { return (time.Duration(ms) * time.Millisecond).Round(time.Second).String() }}

// pastSockets configures sockets that only replay.
func pastSockets(cfg *config.Config, eng *engine.Engine, log *slog.Logger) ws.Options {
	return socketOptions(cfg, eng, log, func(peer netip.Addr, _ string) netip.Addr { return peer })
}

// serveReplay serves what is played, and nothing else, until a signal comes.
func (a *app) serveReplay(ctx context.Context, cfg *config.Config, address string) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := a.commandLog()
	ln, err := listen(address, "--listen")
	if err != nil {
		return err
	}
	defer ln.Close()
	url := "http://" + ln.Addr().String()
	// Whoever may open the store may play it: calls from this machine need no credential.
	if cfg.Access.LocalPlan == "" {
		plans := access.DefaultPlans()
		cfg.Access.LocalPlan = plans[len(plans)-1].Slug
	}
	eng, err := a.openPast(cfg, accessOptions(cfg, nil, url, log), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	sockets, err := ws.New(pastSockets(cfg, eng, log))
	if err != nil {
		return err
	}
	keys, err := openSecrets(cfg.Storage.Dir)
	if err != nil {
		return err
	}
	o := serverOptions(cfg, eng, sockets, nil, url, false, keys, log, io.Discard)
	o.PastOnly, o.Relay = true, nil
	server, err := api.New(o)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	fmt.Fprintf(a.stderr, "listening on %s\n", url)
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	grace, cancel := context.WithTimeout(context.Background(), cfg.Server.ShutdownTimeout.D())
	defer cancel()
	if closing := errors.Join(server.Shutdown(grace), sockets.Close(grace)); closing != nil {
		log.Warn("clients did not end in time", "error", closing)
	}
	return err
}
