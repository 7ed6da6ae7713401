package config

import (
	"reflect"
	"slices"
)

// live are the keys that a running server takes over on SIGHUP. The content of a plans file counts as plans; that of the
// TLS files is read again whether or not their names have changed.
var live = []string{"logging.level", "plans", "access.plans_file", "server.trusted_proxies", "tls.cert_file", "tls.key_file",
	"whales.threshold", "whales.markets", "webhooks.allow_http", "webhooks.allow_private", "webhooks.ports"}

// Changes lists the keys that differ: those that can be applied to a running
// server, and those that need a restart.
func Changes(running, next *Config) (applied, restart []string) {
	now := running.Fields()
	for i, f := range next.Fields() {
		if reflect.DeepEqual(f.value.Interface(), now[i].value.Interface()) {
			continue
		}
		if slices.Contains(live, f.Path) {
			applied = append(applied, f.Path)
		} else {
			restart = append(restart, f.Path)
		}
	}
	return applied, restart
}

// Apply copies the keys that can change while running from next, but for those of except.
func (c *Config) Apply(next *Config, except ...string) {
	to, from := c.Fields(), next.Fields()
	for i, f := range to {
		if slices.Contains(live, f.Path) && !slices.Contains(except, f.Path) {
			f.value.Set(from[i].value)
		}
	}
}
