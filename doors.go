package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"hyperlight/config"
	"hyperlight/engine"
	api "hyperlight/http"
)

// doors are the listeners of a running server: REST with the sockets, the sockets alone where that is wished, the
// redirect of port 80 where certificates are got automatically, and the operator's control socket.
type doors struct {
	tls      *serverTLS // nil: plain
	main     net.Listener
	sockets  net.Listener // nil: none
	plain    net.Listener // nil: no redirects
	redirect *api.Redirect
	operator net.Listener
	control  *api.Control
	// unregister takes the metrics of the backups down; nil before they are up.
	unregister func()
}

// openDoors opens what clients reach, before anything else is.
func openDoors(cfg *config.Config, live *liveParts, log *slog.Logger) (d *doors, err error) {
	d = &doors{}
	defer func(opened *doors) {
		if err != nil {
			opened.close()
		}
	}(d)
	if d.tls, err = openTLS(cfg, log, time.Now); err != nil {
		return nil, err
	}
	live.add("certificate", d.tls.reload)
	if d.main, err = listen(cfg.Server.Listen, "--listen"); err != nil {
		return nil, err
	}
	if cfg.Server.SocketsListen != "" {
		if d.sockets, err = listen(cfg.Server.SocketsListen, "server.sockets_listen"); err != nil {
			return nil, err
		}
	}
	if hosts := d.tls.redirects(); len(hosts) > 0 {
		host, _, _ := net.SplitHostPort(cfg.Server.Listen)
		// Without port 80 everything works that has the right address already.
		if d.plain, err = listen(net.JoinHostPort(host, "80"), "server.listen"); err != nil {
			log.Warn("plain requests are not redirected", "error", err)
		} else {
			d.redirect = api.NewRedirect(hosts)
		}
	}
	return d, nil
}

// listen opens a listener; setting is what chooses its address.
func listen(address, setting string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err == nil {
		return ln, nil
	}
	code, hint := exitFailure, "choose another address with "+setting
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "stop what listens there, or " + hint
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "choose an address of this machine with " + setting
	case errors.Is(err, fs.ErrPermission):
		code, hint = exitRefused, "give the program the right to ports below 1024 (CAP_NET_BIND_SERVICE), or "+hint
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err // the rest repeats the address
	}
	return nil, failf(code, hint, "listen on %s: %w", address, err)
}

// address is where REST and sockets are reached on this machine.
func (d *doors) address() string { return d.tls.scheme() + "://" + d.main.Addr().String() }

// own are the addresses that we listen on. One that is every interface's has no address, only a port.
func (d *doors) own() (out []netip.AddrPort) {
	for _, ln := range []net.Listener{d.main, d.sockets, d.plain} {
		if ln == nil {
			continue
		}
		if at, ok := ln.Addr().(*net.TCPAddr); ok {
			one := at.AddrPort()
			if one.Addr().IsUnspecified() {
				one = netip.AddrPortFrom(netip.Addr{}, one.Port())
			}
			out = append(out, one)
		}
	}
	return out
}

// publicURL is the address that is handed out.
func (d *doors) publicURL(cfg *config.Config) string {
	if cfg.Server.PublicURL != "" {
		return cfg.Server.PublicURL
	}
	if hosts := d.tls.redirects(); len(hosts) > 0 {
		return "https://" + hosts[0]
	}
	return d.address()
}

// openControl opens the operator's socket; the caller holds the store's lock.
func (d *doors) openControl(cfg *config.Config, eng *engine.Engine, files *lakeControl, log *slog.Logger) (err error) {
	if d.operator, err = api.ListenControl(cfg.ControlPath()); err != nil {
		return err
	}
	storage, err := newStoreControl(cfg, eng.Store(), log)
	if err != nil {
		return err
	}
	d.unregister = storage.backups.Register()
	options := api.ControlOptions{Access: eng.Access(), Storage: storage, Lake: files, Now: eng.Now, Logger: log.With("component", "control")}
	if signals := eng.Signals(); signals != nil {
		options.Signals = signals
	}
	d.control = api.NewControl(options)
	return nil
}

// serve answers on every listener; the end of one that was not asked for ends the server.
func (d *doors) serve(server *api.Server, parts *sync.WaitGroup, fail context.CancelCauseFunc) {
	start := func(what string, serve func(net.Listener) error, ln net.Listener) {
		parts.Go(func() {
			if err := serve(ln); err != nil {
				fail(fmt.Errorf("serve %s: %w", what, err))
			}
		})
	}
	start("requests", server.Serve, d.tls.listen(d.main))
	if d.sockets != nil {
		start("sockets", server.ServeSockets, d.tls.listen(d.sockets))
	}
	if d.plain != nil {
		start("redirects", d.redirect.Serve, d.plain)
	}
	start("control", d.control.Serve, d.operator)
}

// shutdown ends what is not the REST server's own.
func (d *doors) shutdown(ctx context.Context) error {
	errs := []error{d.control.Shutdown(ctx)}
	if d.redirect != nil {
		errs = append(errs, d.redirect.Shutdown(ctx))
	}
	// A server does not know a listener whose Serve has only just been called, and would accept on it for ever.
	for _, ln := range []net.Listener{d.operator, d.plain} {
		if ln != nil {
			_ = ln.Close()
		}
	}
	return errors.Join(errs...)
}

// close closes every listener; a second close of one is harmless.
func (d *doors) close() {
	for _, ln := range []net.Listener{d.main, d.sockets, d.plain, d.operator} {
		if ln != nil {
			_ = ln.Close()
		}
	}
	if d.unregister != nil {
		d.unregister()
		d.unregister = nil
	}
}
