package access

import (
	"context"
	"testing"
	"time"

	"hyperlight/engine/model"
)

// When a key was last used is stored with every tick and at the end.
func TestRunStoresUse(t *testing.T) {
	if flushEvery > 5*time.Second {
		t.Errorf("a tick takes %v: the contract has 5 s", flushEvery)
	}
	h := newHouse(t)
	s := h.register(t, "you@example.com", "free")
	used := func(h *house) model.Millis {
		rows, _, err := h.KeysOf("", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return rows[0].LastUsed
	}
	ctx, stop := context.WithCancel(context.Background())
	tick, ended := make(chan time.Time), make(chan error)
	go func() { ended <- h.run(ctx, tick) }()
	h.caller(t, s.PlainKey)
	h.pass(999 * time.Millisecond)
	h.caller(t, s.PlainKey) // within a second: not another word
	if got := used(h); got != startOfTests {
		t.Errorf("got %d", got)
	}
	if got := used(h.reopen(t)); got != 0 {
		t.Errorf("before the first tick %d is stored", got)
	}
	tick <- time.Time{}
	tick <- time.Time{} // the first is done
	if got := used(h.reopen(t)); got != startOfTests {
		t.Errorf("after a tick %d is stored", got)
	}
	h.pass(time.Minute)
	h.caller(t, s.PlainKey)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := used(h.reopen(t)); got != h.millis() {
		t.Errorf("at the end %d is stored, want %d", got, h.millis())
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Run(stopped); err != nil {
		t.Error(err)
	}
}
