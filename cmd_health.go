package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/config"
)

// health is what /health answers.
type health struct {
	Status        string            `json:"status"`
	Version       string            `json:"version"`
	UptimeSeconds int64             `json:"uptime_seconds"`
	Checks        map[string]string `json:"checks"`
}

func (a *app) newHealthCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health [URL]",
		Short: "Ask a running server how it is",
		Long: "Health asks the server at URL, or the one that the configuration describes.\n" +
			"It ends with 0 when the server works (degraded too), 1 when it reports an error, 4 when it does not answer.",
		Example: "  hyperlight health http://127.0.0.1:8080",
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			base, trust, err := a.serverURL(args)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			h, err := askHealth(ctx, base, trust)
			if err != nil {
				return err
			}
			if err := a.printHealth(h); err != nil {
				return err
			}
			if h.Status != "ok" && h.Status != "degraded" {
				return failf(exitFailure, "see its log", "server at %s reports %s", base, h.Status)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "longest wait for the answer")
	return cmd
}

func (a *app) printHealth(h *health) error {
	rows := [][]string{{"status", h.Status}, {"version", h.Version}, {"uptime", (time.Duration(h.UptimeSeconds) * time.Second).String()}}
	for _, name := range slices.Sorted(maps.Keys(h.Checks)) {
		rows = append(rows, []string{name, h.Checks[name]})
	}
	return a.print(result{header: []string{"what", "state"}, rows: rows, json: h})
}

// serverURL returns the address to ask: the argument, else the configured listener as seen from this machine, with whom to take for it.
func (a *app) serverURL(args []string) (string, *tls.Config, error) {
	if len(args) == 1 {
		u, err := url.Parse(args[0])
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", nil, usagef("%q is no address; write it as http://127.0.0.1:8080", args[0])
		}
		return strings.TrimSuffix(args[0], "/"), nil, nil
	}
	loaded, err := a.load()
	if err != nil {
		return "", nil, err
	}
	host, port, err := net.SplitHostPort(loaded.Config.Server.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("read server.listen: %w", err)
	}
	if port == "0" {
		return "", nil, usagef("server.listen picks its port at start; give the address it printed as hyperlight health http://127.0.0.1:PORT")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	address := net.JoinHostPort(host, port)
	if loaded.Config.TLS.Mode == config.TLSOff {
		return "http://" + address, nil, nil
	}
	return "https://" + address, ownListener(&loaded.Config.TLS), nil
}

// ownListener takes any certificate: ours is made out to the names that clients use, and not to the address that we listen on. Nothing
// secret is sent. An authority's certificate is had by its name only.
func ownListener(t *config.TLS) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	if t.Mode == config.TLSACME {
		c.ServerName = t.Domains[0]
	}
	return c
}

// maxHealth bounds what is read from whatever answers at the address.
const maxHealth = 64 << 10

func askHealth(ctx context.Context, base string, trust *tls.Config) (*health, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health", nil)
	if err != nil {
		return nil, usagef("%s is no address: %w", base, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trust}}
	response, err := client.Do(request)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the rest is the address
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("no answer in time, --timeout waits longer")
	}
	if err != nil {
		return nil, failf(exitUnreachable, "start it with hyperlight serve, or give its address", "server at %s does not answer: %w", base, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealth))
	if err != nil {
		return nil, failf(exitUnreachable, "try again", "read health of %s: %w", base, err)
	}
	h := new(health)
	if json.Unmarshal(body, h) != nil || h.Status == "" {
		return nil, failf(exitFailure, "give the address of a hyperlight server", "%s answered %s without a health report", base, response.Status)
	}
	return h, nil
}
