package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxFolded bounds the messages remembered. Messages are constants, so it is
// reached only if one is not; what comes then is written unfolded.
const maxFolded = 1024

// foldHandler passes on the first of a message, then one line per period that
// says in `repeated` how many came since. Only warnings and errors fold: they
// are what a fault repeats by the thousand, while each info line (a request, a
// state change) is a record by itself.
type foldHandler struct {
	next   slog.Handler
	shared *foldState
	prefix string // preset attributes and groups: part of a message's identity
}

type foldState struct {
	period time.Duration
	mu     sync.Mutex // guards seen; never held while a line is written
	seen   map[foldKey]*folded
}

type foldKey struct {
	level       slog.Level
	prefix, msg string
}

type folded struct {
	until    time.Time // repeats before it are counted
	repeated int
	last     slog.Record
}

func newFoldHandler(next slog.Handler, period time.Duration) slog.Handler {
	return &foldHandler{next: next, shared: &foldState{period: period, seen: map[foldKey]*folded{}}}
}

// Enabled asks the handler below.
func (h *foldHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// WithAttrs and WithGroup keep the counts shared, but tell components apart.
func (h *foldHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	prefix := h.prefix
	for _, a := range attrs {
		prefix += "\x00" + a.String()
	}
	return &foldHandler{next: h.next.WithAttrs(attrs), shared: h.shared, prefix: prefix}
}

// WithGroup opens a group.
func (h *foldHandler) WithGroup(name string) slog.Handler {
	return &foldHandler{next: h.next.WithGroup(name), shared: h.shared, prefix: h.prefix + "\x01" + name}
}

// Handle writes the record, or counts it.
func (h *foldHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.next.Handle(ctx, r)
	}
	key := foldKey{level: r.Level, prefix: h.prefix, msg: r.Message}
	s := h.shared
	s.mu.Lock()
	f := s.seen[key]
	switch {
	case f == nil && len(s.seen) >= maxFolded:
	case f == nil:
		s.seen[key] = &folded{until: r.Time.Add(s.period)}
	case f.repeated == 0 && !r.Time.Before(f.until):
		f.until = r.Time.Add(s.period)
	default:
		if f.repeated++; f.repeated == 1 {
			time.AfterFunc(f.until.Sub(r.Time), func() { h.flush(key) })
		}
		f.last = r.Clone()
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return h.next.Handle(ctx, r)
}

// flush writes the last repeat of a period with the count of all of them.
func (h *foldHandler) flush(key foldKey) {
	s := h.shared
	s.mu.Lock()
	f := s.seen[key]
	r, n := f.last, f.repeated
	f.last, f.repeated, f.until = slog.Record{}, 0, f.until.Add(s.period)
	s.mu.Unlock()
	r.AddAttrs(slog.Int("repeated", n))
	_ = h.next.Handle(context.Background(), r) // a log that cannot be written has nowhere to say so
}
