package market

import "hyperlight/engine/model"

// Shard applies the events of its markets and tells the listeners. It is plain and synchronous: one goroutine at a time
// calls Handle and Tick, a shard of a Registry its own, an Importer the caller's.
type Shard struct{}

// Handle applies an event and keeps it. Full seconds that lie between the last tick and the event's receive time are
// ticked first.
func (s *Shard) Handle(e *model.Event) {}

// Tick tells the listeners that a second is full. Seconds before the last tick are ignored.
func (s *Shard) Tick(second model.Micros) {}
