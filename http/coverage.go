package http

import (
	"context"
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// appendCoverage writes how much of the asked range is held. Over several markets it is what all of those that hold
// anything have in common, and complete only if every one of them is.
func (c *call) appendCoverage(ctx context.Context, dst []byte, kind model.Kind, ids []model.MarketID, sp history.Span) ([]byte, error) {
	var from, to model.Millis
	held, whole := false, len(ids) > 0
	for _, id := range ids {
		start, end, complete, some, err := c.history().Covered(ctx, kind, id, sp)
		if err != nil {
			return dst, err
		}
		whole = whole && some && complete
		switch {
		case !some:
		case !held:
			from, to, held = start, end, true
		default:
			from, to = max(from, start), min(to, end)
		}
	}
	if !held || from > to {
		return append(dst, `{"start":null,"end":null,"complete":false}`...), nil
	}
	dst = append(dst, `{"start":`...)
	dst = strconv.AppendInt(dst, int64(from), 10)
	dst = append(dst, `,"end":`...)
	dst = strconv.AppendInt(dst, int64(to), 10)
	dst = append(dst, `,"complete":`...)
	dst = strconv.AppendBool(dst, whole)
	return append(dst, '}'), nil
}
