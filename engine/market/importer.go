package market

import "hyperlight/engine/model"

// Importer drives one shard by the clock of a recording instead of ours, on the caller's goroutine. Nobody can be asked
// for what is missing: gaps end where the recording goes on. What Registry.Restore tells of the store besides the market
// is ignored, because the recording may lie anywhere in time.
type Importer struct {
	r *Registry
	s *Shard
}

// NewImporter returns an importer with a registry of its own. Of the options Listeners, Logger, Save and Now (start of new
// scale epochs) are used.
func NewImporter(o Options) *Importer {
	o.Shards, o.Queue, o.Resync, o.NeedTrades = 1, 1, nil, nil
	r := NewRegistry(o)
	r.importing = true
	return &Importer{r: r, s: r.newShard()}
}

// Registry returns the importer's registry: markets are registered there before their first event.
func (i *Importer) Registry() *Registry { return i.r }

// Handle applies an event, after ticking every full second up to its receive time. The event may be lent: Handle clones it.
func (i *Importer) Handle(e *model.Event) {
	c := e.Clone()
	i.s.Handle(&c)
}
