package access

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/config"
)

// Once RevokeKey has returned no call gets in with the key, on whatever goroutine, while plans and users change.
func TestRevocationIsAtOnce(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "enterprise")
	p := h.caller(t, s.PlainKey)
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			table := config.DefaultPlans()
			table[4].TopAccounts = i
			if err := h.SetPlans(table); err != nil {
				t.Error(err)
			}
			if err := h.write(); err != nil {
				t.Error(err)
			}
			h.pass(time.Second)
		}
	})
	for range 20 {
		k, plain, err := h.CreateKey(p, KeySpec{})
		if err != nil {
			t.Fatal(err)
		}
		var revoked atomic.Bool
		var started, calls sync.WaitGroup
		for range 4 {
			started.Add(1)
			calls.Go(func() {
				for i := 0; ; i++ {
					over := revoked.Load()
					q, err := h.Authenticate(Request{APIKey: plain})
					if i == 0 {
						started.Done()
					}
					if over {
						unauthorized(t, "after the revocation", err)
						_, err = h.Recheck(&Principal{Key: k.ID, User: p.User}, netip.Addr{})
						unauthorized(t, "recheck", err)
						return
					}
					if err == nil && q.Key != k.ID {
						t.Errorf("another key's caller: %+v", q)
					}
				}
			})
		}
		// A socket that sleeps until something changes.
		calls.Go(func() {
			for held := (&Principal{Key: k.ID, User: p.User}); ; {
				changed := h.Changed()
				q, err := h.Recheck(held, netip.Addr{})
				if err != nil {
					unauthorized(t, "socket", err)
					return
				}
				held = q
				<-changed
			}
		})
		started.Wait()
		if _, err := h.RevokeKey(p, k.ID); err != nil {
			t.Fatal(err)
		}
		revoked.Store(true)
		calls.Wait()
	}
	close(stop)
	group.Wait()
	// None comes back with a restart: no flush wrote a row anew.
	if rows, total, err := h.reopen(t).KeysOf("you@example.com", 0, 0); err != nil || total != 1 || rows[0].ID != p.Key {
		t.Errorf("got %+v, %v", rows, err)
	}
}

// Of many registrations of one e-mail one wins, and of many keys at once no more are made than the plan has.
func TestChangesAtOnce(t *testing.T) {
	h := newHouse(t)
	const n = 16
	var won atomic.Int32
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			if _, err := h.Register(context.Background(), "you@example.com", goodPassword, true); err == nil {
				won.Add(1)
			}
		})
	}
	group.Wait()
	if _, err := h.SetTier("you@example.com", "starter"); err != nil { // 10 keys, one made
		t.Fatal(err)
	}
	var made atomic.Int32
	for range n {
		group.Go(func() {
			if _, _, err := h.CreateKeyFor("you@example.com", KeySpec{}); err == nil {
				made.Add(1)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || made.Load() != 9 {
		t.Errorf("%d registrations, %d keys", won.Load(), made.Load())
	}
	if _, total, err := h.reopen(t).KeysOf("", 0, 0); err != nil || total != 10 {
		t.Errorf("%d keys, %v", total, err)
	}
}
