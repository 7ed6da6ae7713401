package engine

import (
	"time"

	"hyperlight/engine/model"
)

// Health is what /health answers.
type Health struct {
	Status        string // "ok", "degraded" or "error"
	Version       string
	UptimeSeconds int64
	Storage       string // "ok" or "error"
	LighterAPI    string // "ok" or "error"
}

// Health checks the store with a probe row and tells the last result of the venue's probe.
func (e *Engine) Health() Health {
	h := Health{
		Status: "ok", Version: e.o.Version, UptimeSeconds: int64(e.now().Sub(e.started) / time.Second),
		Storage: "ok", LighterAPI: "ok",
	}
	if e.lighter != nil && !e.lighter.reachable() {
		h.LighterAPI, h.Status = "error", "degraded"
	}
	if e.probe.check() != nil {
		h.Storage, h.Status = "error", "error"
	}
	return h
}

// Status is what /status answers of the venue, and how far the following of its markets is.
type Status struct {
	Status           string // "ok", "degraded" (one link down) or "down"
	REST, WebSocket  string // "ok" or "error"
	NetworkID        int64
	LighterTimestamp model.Millis // the venue's own clock at CheckedAt
	BlockHeight      uint64
	LatencyMS        int64
	ActiveMarkets    int
	SyncedMarkets    int // markets with a current book
	Subscribed       int // channels that answered
	Wanted           int // channels that are followed
	LastMessageAt    model.Millis
	CheckedAt        model.Millis
}

// Status tells both links to the venue.
func (e *Engine) Status() Status {
	s := Status{Status: "down", REST: "error", WebSocket: "error"}
	s.SyncedMarkets, s.ActiveMarkets = e.registry.Synced()
	if e.lighter == nil {
		return s
	}
	f := e.lighter.supervisor.Status()
	s.BlockHeight, s.LastMessageAt = f.Height, f.LastMessage
	s.Subscribed, s.Wanted = f.Subscribed, f.Wanted
	e.lighter.describe(&s)
	links := 0
	if e.lighter.reachable() {
		s.REST = "ok"
		links++
	}
	if f.Connected {
		s.WebSocket = "ok"
		links++
	}
	s.Status = [...]string{"down", "degraded", "ok"}[links]
	return s
}
