package main

import (
	"log/slog"
	"slices"
	"sync"

	"hyperlight/config"
)

// liveParts are the parts of a running server that take a changed configuration without a restart. runServer adds them
// when they are open; the reader of SIGHUP applies. The zero value has none.
type liveParts struct {
	mu    sync.Mutex
	parts []livePart
}

type livePart struct {
	name  string
	keys  []string // none: at every reload
	apply func(*config.Config) error
}

// add names the keys at whose change apply is called; without keys it is called at every reload, as for files whose
// content changes and not their name. An error of apply must leave what was in force.
func (l *liveParts) add(name string, apply func(*config.Config) error, keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts = append(l.parts, livePart{name, keys, apply})
}

// apply hands the configuration to every part that one of the changed keys concerns.
func (l *liveParts) apply(cfg *config.Config, changed []string, log *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		if len(p.keys) > 0 && !slices.ContainsFunc(p.keys, func(k string) bool { return slices.Contains(changed, k) }) {
			continue
		}
		if err := p.apply(cfg); err != nil {
			log.Error("configuration change failed", "part", p.name, "error", err)
		}
	}
}
