package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Validate checks the whole tree and fails with an *Error that holds every fault.
func (c *Config) Validate() error {
	if f := c.faults(); len(f) > 0 {
		return &Error{Faults: f}
	}
	return nil
}

func (c *Config) faults() []Fault {
	v := &validator{}
	v.server(&c.Server)
	v.tls(&c.TLS)
	v.plans(c.Plans)
	v.access(&c.Access, c.Plans)
	v.between("relay.private_sockets", c.Relay.PrivateSockets, 0, 100_000)
	v.check(c.Relay.Cache == 0 || c.Relay.Cache >= 1<<20, "relay.cache", "must be 0 or at least 1MiB")
	v.storage(c)
	v.lighter(&c.Venues.Lighter)
	v.atLeast("accounts.stale_after", c.Accounts.StaleAfter, second)
	v.between("accounts.poll_share", c.Accounts.PollShare, 0, 100)
	v.between("accounts.streamed", c.Accounts.Streamed, 0, 100_000)
	v.check(c.Accounts.ReadyBodies == 0 || c.Accounts.ReadyBodies >= 1<<20, "accounts.ready_bodies", "must be 0 or at least 1MiB")
	v.whales(&c.Whales)
	v.lake(&c.Lake)
	v.webhooks(&c.Webhooks)
	v.ws(c)
	v.oneOf("logging.level", c.Logging.Level, "debug", "info", "warn", "error")
	v.oneOf("logging.format", c.Logging.Format, "json", "text")
	if c.Debug.Listen != "" {
		v.address("debug.listen", c.Debug.Listen, true)
	}
	v.demo(&c.Demo)
	return v.found
}

type validator struct{ found []Fault }

func (v *validator) check(ok bool, path, message string) {
	if !ok {
		v.found = append(v.found, Fault{Path: path, Message: message})
	}
}

func (v *validator) between(path string, n, low, high int) {
	v.check(n >= low && n <= high, path, fmt.Sprintf("must be from %d to %d", low, high))
}

func (v *validator) atLeast(path string, d, low Duration) {
	v.check(d >= low, path, "must be at least "+low.String())
}

func (v *validator) size(path string, s, low Size) {
	v.check(s >= low, path, "must be at least "+low.String())
}

func (v *validator) oneOf(path, value string, want ...string) {
	if slices.Contains(want, value) {
		return
	}
	last := len(want) - 1
	message := "must be " + strings.Join(want[:last], ", ") + " or " + want[last]
	if n := nearest(strings.ToLower(value), want); n != "" && value != "" {
		message += ", did you mean " + n + "?"
	}
	v.check(false, path, message)
}

// address checks host:port; the host may be empty, which means every interface.
func (v *validator) address(path, address string, loopback bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		v.check(false, path, "must be host:port as 127.0.0.1:8080")
		return
	}
	n, err := strconv.ParseUint(port, 10, 16)
	v.check(err == nil && strconv.FormatUint(n, 10) == port, path, "must have a port from 0 to 65535")
	if loopback {
		v.check(isLoopback(host), path, "must be an address of this machine only, as 127.0.0.1:6060")
	}
}

// baseURL checks an absolute address without anything that a path could not be added to.
func (v *validator) baseURL(path, text string, schemes ...string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme):
		v.check(false, path, "must be an address that starts with "+strings.Join(schemes, ":// or ")+"://")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		v.check(false, path, "must have no user, query or fragment")
	}
}

func (v *validator) server(s *Server) {
	v.address("server.listen", s.Listen, false)
	if s.PublicURL != "" {
		v.baseURL("server.public_url", s.PublicURL, "http", "https")
	}
	for _, p := range s.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			v.check(false, "server.trusted_proxies", fmt.Sprintf("%q is no network as 10.0.0.0/8", p))
		}
	}
	v.atLeast("server.shutdown_timeout", s.ShutdownTimeout, second)
	if s.SocketsListen != "" {
		v.address("server.sockets_listen", s.SocketsListen, false)
		_, port, _ := net.SplitHostPort(s.Listen)
		v.check(s.SocketsListen != s.Listen || port == "0", "server.sockets_listen", "must differ from server.listen, which serves the sockets too")
	}
	v.check(len(s.Control) <= maxSocketPath && !strings.ContainsRune(s.Control, 0), "server.control",
		fmt.Sprintf("must be a path of at most %d bytes, as the system asks of a socket", maxSocketPath))
}

// whales keeps values within what subscriptions may ask for and 64 bits hold in millionths.
func (v *validator) whales(w *Whales) {
	const low, high = 1_000, 1_000_000_000_000
	v.between("whales.threshold", w.Threshold, low, high)
	for _, id := range slices.Sorted(maps.Keys(w.Markets)) {
		v.check(id < 1<<23, "whales.markets", fmt.Sprintf("%d is no market id", id))
		v.check(w.Markets[id] >= low && w.Markets[id] <= high, "whales.markets", fmt.Sprintf("market %d must be from %d to %d", id, low, high))
	}
}

func (v *validator) storage(c *Config) {
	v.check(c.Storage.Dir != "" && !strings.ContainsRune(c.Storage.Dir, 0), "storage.dir", "must name a directory")
	v.size("storage.cache", c.Storage.Cache, 8<<20)
	v.check(!strings.ContainsRune(c.Storage.Backups, 0), "storage.backups", "must name a directory")
	v.between("storage.keep_backups", c.Storage.KeepBackups, 0, 100_000)
	v.check(c.History.ReadyRows == 0 || c.History.ReadyRows >= 1<<20, "history.ready_rows", "must be 0 or at least 1MiB")
	books, ticks := c.History.Retention["books"], c.History.TickRetention
	v.check(books == 0 || ticks != 0 && ticks <= books, "history.tick_retention",
		fmt.Sprintf("must be at most the %s for which history.retention keeps books", books))
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range c.History.Retention {
			if !yield(k) {
				return
			}
		}
	}) {
		d := c.History.Retention[name]
		v.check(d == 0 || d >= day, "history.retention", name+" must be 0 or at least 1d: data is deleted by whole days")
	}
	v.between("snapshots.depth", c.Snapshots.Depth, 0, 1_000_000)
}

func (v *validator) lighter(l *Lighter) {
	const p = "venues.lighter."
	v.baseURL(p+"rest_url", l.RESTURL, "http", "https")
	v.baseURL(p+"stream_url", l.StreamURL, "ws", "wss")
	v.between(p+"rest_budget_per_minute", l.RESTBudgetPerMinute, 1, 1_000_000)
	v.between(p+"account_budget_per_minute", l.AccountBudgetPerMinute, 1, 1_000_000)
	v.between(p+"messages_per_minute", l.MessagesPerMinute, 1, 1_000_000)
	v.between(p+"max_unanswered", l.MaxUnanswered, 1, 1_000_000)
	v.between(p+"max_connections", l.MaxConnections, 1, 1_000)
	v.between(p+"max_subscriptions_per_connection", l.MaxSubscriptionsPerConnection, 1, 1_000_000)
	v.between(p+"max_accounts_per_connection", l.MaxAccountsPerConnection, 1, 1_000_000)
	v.atLeast(p+"stale_after", l.StaleAfter, second)
	v.atLeast(p+"timeout", l.Timeout, second/10)
}

func (v *validator) ws(c *Config) {
	v.between("ws.queue_frames", c.WS.QueueFrames, 16, 1<<20)
	v.size("ws.queue_bytes", c.WS.QueueBytes, 64<<10)
	v.atLeast("ws.ping_interval", c.WS.PingInterval, second)
	v.atLeast("ws.pong_timeout", c.WS.PongTimeout, second)
	v.atLeast("ws.auth_timeout", c.WS.AuthTimeout, second)
	v.size("replay.queue_bytes", c.Replay.QueueBytes, 16<<10)
}

func (v *validator) demo(d *Demo) {
	v.address("demo.listen", d.Listen, true)
	v.between("demo.markets", d.Markets, 1, 2_000)
	v.between("demo.accounts", d.Accounts, 2, 1_000_000)
	v.between("demo.rate", d.Rate, 1, 1_000_000)
}

// ParseNetwork reads 10.0.0.0/8, or a single address as the network that holds only it.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("parse network: %w", err)
	}
	return p.Masked(), nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
