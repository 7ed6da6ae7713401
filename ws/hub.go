package ws

import (
	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

// Hub fans live events out to the subscribers of their channels. It is a market.Listener.
type Hub struct{}

var _ market.Listener = (*Hub)(nil)

// OnEvent publishes an event.
func (h *Hub) OnEvent(e *model.Event, v *book.View) {}

// OnTick does nothing: the raw channels have no clock of their own.
func (h *Hub) OnTick(model.Micros, []market.Held) {}
