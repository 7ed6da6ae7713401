package feed

import (
	"testing"
	"time"
)

type pongs struct{ Dialect }

func (pongs) AppendPong(dst []byte) []byte { return append(dst, 'p') }

// TestPongsAreForgotten answers the venue's pings for a day in which nothing else is sent: what is remembered of the
// messages is that of the last minute.
func TestPongsAreForgotten(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := New(Options{Venue: "test", Dialect: pongs{}, Now: func() time.Time { return now }})
	so := &socket{s: s, out: make(chan []byte, 1)}
	for range 24 * 60 * 6 {
		s.pong(so)
		<-so.out
		now = now.Add(10 * time.Second)
	}
	if n := len(s.sent); n > 7 {
		t.Errorf("%d messages are remembered", n)
	}
}
