package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/alexedwards/argon2id"

	"hyperlight/engine/model"
	"hyperlight/kv/key"
)

// The parameters are the contract's; a changed one must be a decision.
func TestHashing(t *testing.T) {
	q := newPasswords(hashing)
	phc, err := q.hash(context.Background(), goodPassword)
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(phc, err)
	}
	for password, want := range map[string]bool{goodPassword: true, goodPassword + " ": false, "": false} {
		if ok, renewed, err := q.verify(context.Background(), password, phc); ok != want || renewed != "" || err != nil {
			t.Errorf("%q: got %v, %q, %v", password, ok, renewed, err)
		}
	}
	if err := sound(q.decoy); err != nil || len(q.decoy) != len(phc) {
		t.Errorf("the decoy %q is not like a hash: %v", q.decoy, err)
	}
}

// A refused sign-in costs one hash of the same parameters, whether the e-mail is known or not.
func TestLoginAlwaysHashes(t *testing.T) {
	h := newHouse(t)
	h.register(t, "you@example.com", "free")
	var seen []argon2id.Params
	check := h.passwords.check
	h.passwords.check = func(password, phc string) (bool, *argon2id.Params, error) {
		ok, p, err := check(password, phc)
		seen = append(seen, *p)
		return ok, p, err
	}
	for _, email := range []string{"you@example.com", "who@example.com", "", "\x00", strings.Repeat("x", 1<<16)} {
		seen = nil
		_, err := h.Login(context.Background(), email, "wrong, but long")
		refused(t, email, err, model.CodeUnauthorized, "invalid email or password")
		if len(seen) != 1 || seen[0] != quickHashing {
			t.Errorf("%.20q: hashes %+v", email, seen)
		}
	}
}

// A hash of weaker parameters is made anew when its password is known, and only then.
func TestPasswordIsHashedAgain(t *testing.T) {
	h := newHouse(t)
	id := h.register(t, "you@example.com", "free").User.ID
	old, err := h.readUser(id)
	if err != nil {
		t.Fatal(err)
	}
	more := quickHashing
	more.Iterations++
	h.passwords.params = more
	if _, err := h.Login(context.Background(), "you@example.com", "wrong, but long"); err == nil {
		t.Fatal("a wrong password")
	}
	if rec, _ := h.readUser(id); rec != old {
		t.Error("a wrong password changed the record")
	}
	for range 2 {
		if _, err := h.Login(context.Background(), "you@example.com", goodPassword); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := h.readUser(id)
	if err != nil || !strings.Contains(rec.phc, "t=2,") {
		t.Errorf("got %q, %v", rec.phc, err)
	}
	if rec.phc = old.phc; rec != old {
		t.Error("more than the hash changed")
	}
	// Parameters never shrink.
	h.passwords.params = quickHashing
	if _, err := h.reopen(t).Login(context.Background(), "you@example.com", goodPassword); err != nil {
		t.Fatal(err)
	}
	if rec, _ := h.readUser(id); !strings.Contains(rec.phc, "t=2,") {
		t.Errorf("got %q", rec.phc)
	}
}

func TestPasswordQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newPasswords(quickHashing)
		var running, most atomic.Int32
		release := make(chan struct{})
		q.create = func(string, *argon2id.Params) (string, error) {
			n := running.Add(1)
			for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
			}
			<-release
			running.Add(-1)
			return "phc", nil
		}
		var group sync.WaitGroup
		errs := make(chan error, 100)
		enter := func(ctx context.Context) {
			group.Go(func() {
				_, err := q.hash(ctx, goodPassword)
				errs <- err
			})
		}
		left, leave := context.WithCancel(context.Background())
		for range 2 + 31 {
			enter(context.Background())
		}
		synctest.Wait()
		enter(left)
		synctest.Wait()
		if len(errs) != 0 || running.Load() != 2 {
			t.Fatalf("%d answers, %d running; want 2 running and 32 waiting", len(errs), running.Load())
		}
		enter(context.Background())
		if hashesQueued.Get() != 34 {
			t.Errorf("%v in the queue", hashesQueued.Get())
		}
		refused(t, "the 35th", <-errs, model.CodeServiceUnavailable, errQueue.Message)
		leave()
		err := <-errs
		refused(t, "one who leaves", err, model.CodeServiceUnavailable, errQueue.Message)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		enter(context.Background()) // its place is free again
		synctest.Wait()
		if len(errs) != 0 {
			t.Errorf("a free place was refused: %v", <-errs)
		}
		close(release)
		group.Wait()
		for range 34 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if most.Load() != 2 {
			t.Errorf("%d hashes ran at once", most.Load())
		}
	})
}

// A damaged hash is an error of ours, never a panic and never a way in.
func TestDamagedHash(t *testing.T) {
	h := newHouse(t)
	id := h.register(t, "you@example.com", "free").User.ID
	rec, err := h.readUser(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, phc := range []string{"x", "$argon2id$v=19$m=16,t=0,p=1$YWJj$YWJj", "$argon2id$v=19$m=16,t=1,p=0$YWJj$YWJj", "$argon2id$v=19$m=4000000,t=1,p=1$YWJj$YWJj",
		"$argon2i$v=19$m=16,t=1,p=1$YWJj$YWJj", "$argon2id$v=19$m=16,t=4000000,p=1$YWJj$YWJj"} {
		rec.phc = phc
		b := h.store.NewBatch()
		b.Set(key.User(nil, id), appendUser(nil, &rec))
		if err := h.store.Commit(b, 0); err != nil {
			t.Fatal(err)
		}
		s, err := h.Login(context.Background(), "you@example.com", goodPassword)
		if e, ok := errors.AsType[*model.Error](err); err == nil || ok || s != nil {
			t.Errorf("%s: got %v, %v", phc, s, e)
		}
	}
}
