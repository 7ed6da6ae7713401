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
	var sum coverageSum
	for _, id := range ids {
		if err := sum.add(c.history().Covered(ctx, kind, id, sp)); err != nil {
			return dst, err
		}
	}
	return sum.append(dst), nil
}

// coverageSum is what the held parts of several records have in common.
type coverageSum struct {
	from, to model.Millis
	parts    int
	held     int // parts of which something is held
	whole    int // parts of which all is held
}

// add takes what Covered tells of one record.
func (s *coverageSum) add(start, end model.Millis, complete, held bool, err error) error {
	if err != nil {
		return err
	}
	s.parts++
	if !held {
		return nil
	}
	if s.held++; s.held == 1 {
		s.from, s.to = start, end
	}
	s.from, s.to = max(s.from, start), min(s.to, end)
	if complete {
		s.whole++
	}
	return nil
}

func (s *coverageSum) append(dst []byte) []byte {
	if s.held == 0 || s.from > s.to {
		return append(dst, `{"start":null,"end":null,"complete":false}`...)
	}
	dst = strconv.AppendInt(append(dst, `{"start":`...), int64(s.from), 10)
	dst = strconv.AppendInt(append(dst, `,"end":`...), int64(s.to), 10)
	dst = strconv.AppendBool(append(dst, `,"complete":`...), s.whole == s.parts)
	return append(dst, '}')
}
