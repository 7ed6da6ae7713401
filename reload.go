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

	// What was applied last; a part that is opened after it was opened with what was in force before.
	latest *config.Config
	log    *slog.Logger
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
	p := livePart{name, keys, apply}
	l.parts = append(l.parts, p)
	if l.latest != nil {
		p.take(l.latest, l.log)
	}
}

// take hands the configuration to the part, and tells whether it took it.
func (p *livePart) take(cfg *config.Config, log *slog.Logger) bool {
	err := p.apply(cfg)
	if err != nil {
		log.With("part", p.name, "error", err.Error()).Error("configuration change failed") // preset: not folded into another fault
	}
	return err == nil
}

// apply hands the configuration, which must not change any more, to every part that one of the changed keys concerns. It returns
// the keys of the parts that refused it.
func (l *liveParts) apply(cfg *config.Config, changed []string, log *slog.Logger) (refused []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest, l.log = cfg, log
	for _, p := range l.parts {
		if len(p.keys) > 0 && !slices.ContainsFunc(p.keys, func(k string) bool { return slices.Contains(changed, k) }) {
			continue
		}
		if !p.take(cfg, log) {
			refused = append(refused, p.keys...)
		}
	}
	return refused
}
