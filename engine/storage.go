package engine

import "hyperlight/kv"

// Store returns the open store, for the operator's commands. Only the engine's parts write their families.
func (e *Engine) Store() *kv.Store { return e.store }
