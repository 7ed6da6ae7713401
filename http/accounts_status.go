package http

import (
	"strconv"

	"hyperlight/engine/model"
)

// AccountStatus is what /status tells of the venue's accounts.
type AccountStatus struct {
	Known         int
	WithPositions int          // those with an open position
	Stale         int          // of WithPositions: read from the venue longer ago than accounts.stale_after, or never
	Unpolled      int          // of WithPositions: never read, known from trades alone
	OldestPoll    model.Millis // when the one of WithPositions that was read longest ago was read; 0 where none was
	CountedAt     model.Millis // when the four above were counted; 0: not yet
	Queued        int          // accounts that were asked for and wait for their turn at the venue
	Waited        int          // accounts that callers wait for
}

func appendAccountStatus(dst []byte, s *AccountStatus) []byte {
	counted := s.CountedAt != 0
	dst = strconv.AppendInt(append(dst, `{"known":`...), int64(s.Known), 10)
	dst = appendIfKnown(append(dst, `,"with_positions":`...), int64(s.WithPositions), counted)
	dst = appendIfKnown(append(dst, `,"stale":`...), int64(s.Stale), counted)
	dst = appendIfKnown(append(dst, `,"unpolled":`...), int64(s.Unpolled), counted)
	dst = appendMillisOrNull(append(dst, `,"oldest_poll_at":`...), s.OldestPoll)
	dst = appendMillisOrNull(append(dst, `,"counted_at":`...), s.CountedAt)
	dst = strconv.AppendInt(append(dst, `,"poll_queue":`...), int64(s.Queued), 10)
	dst = strconv.AppendInt(append(dst, `,"waited_for":`...), int64(s.Waited), 10)
	return append(dst, '}')
}
