package access

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// refusal checks an error's code and its details.reason.
func refusal(t *testing.T, err error, code model.Code, reason any) {
	t.Helper()
	e, ok := errors.AsType[*model.Error](err)
	if !ok || e.Code != code || e.Details["reason"] != reason {
		t.Fatalf("got %v; want %s, reason %v", err, code, reason)
	}
}

func TestBegin(t *testing.T) {
	clock := newClock(utc("2024-02-10T23:30:00Z"))
	disk := kvtest.NewDisk()
	store := disk.Open(t, kv.Options{})
	a := openAccess(t, store, clock)
	account := keyOf(t, a, "free", 1, 1).Account
	body, other := [32]byte{1}, [32]byte{2}
	begin := func(key string, body [32]byte) (*Answer, func(int, []byte), error) {
		return a.Begin(account, "POST /api/v1/keys", key, body)
	}
	kept, done, err := begin("a", body)
	if kept != nil || done == nil || err != nil {
		t.Fatal(kept, err)
	}
	_, _, err = begin("a", body)
	refusal(t, err, model.CodeConflict, "in_progress")
	_, _, err = begin("a", other)
	refusal(t, err, model.CodeConflict, "other_body")
	answer := []byte(`{"api_key":null}`)
	done(201, answer)
	answer[0] = 'x' // done has copied it
	done(200, nil)  // a second call changes nothing

	again := func() {
		t.Helper()
		kept, done, err := begin("a", body)
		if err != nil || done != nil || kept == nil || kept.Status != 201 || string(kept.Body) != `{"api_key":null}` {
			t.Fatalf("%+v, %v", kept, err)
		}
		kept.Body[0] = 'x' // is the caller's own
		_, _, err = begin("a", other)
		refusal(t, err, model.CodeConflict, "other_body")
	}
	again()
	a = openAccess(t, kvtest.CrashClone(t, store, 0), clock) // durable before it was sent
	again()
	clock.advance(keepMillis - 1) // over midnight
	again()
	for name, run := range map[string]func() (*Answer, func(int, []byte), error){
		"after 24 h":    func() (*Answer, func(int, []byte), error) { clock.advance(1); return begin("a", other) },
		"another key":   func() (*Answer, func(int, []byte), error) { return begin("b", body) },
		"another route": func() (*Answer, func(int, []byte), error) { return a.Begin(account, "POST /api/v1/signals", "a", body) },
		"another account": func() (*Answer, func(int, []byte), error) {
			return a.Begin(keyOf(t, a, "free", 2, 1).Account, "POST /api/v1/keys", "a", body)
		},
	} {
		if kept, done, err := run(); kept != nil || done == nil || err != nil {
			t.Errorf("%s: %+v, %v", name, kept, err)
		}
	}
}

// What failed on our side may be tried again, and so may what is too long to keep; other refusals are answers.
func TestAnswersNotKept(t *testing.T) {
	clock := newClock(utc("2024-02-10T10:00:00Z"))
	a := openAccess(t, kvtest.Open(t), clock)
	account := keyOf(t, a, "free", 1, 1).Account
	for i, c := range []struct {
		status, length int
		kept           bool
	}{{500, 2, false}, {503, 2, false}, {400, 2, true}, {409, 2, true}, {201, maxKeptBody, true}, {201, maxKeptBody + 1, false}} {
		_, done, err := a.Begin(account, "POST /r", fmt.Sprint(i), [32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		done(c.status, make([]byte, c.length))
		kept, _, err := a.Begin(account, "POST /r", fmt.Sprint(i), [32]byte{})
		if err != nil || (kept != nil) != c.kept {
			t.Errorf("%+v: kept %v, %v", c, kept != nil, err)
		}
	}
}

// Where the route ends and the key begins is part of both.
func TestKeptHash(t *testing.T) {
	if keptHash("POST /r", "key") == keptHash("POST /rk", "ey") {
		t.Error("two routes share an answer")
	}
}

// Of many at once one runs.
func TestBeginOnce(t *testing.T) {
	clock := newClock(utc("2024-02-10T10:00:00Z"))
	a := openAccess(t, kvtest.Open(t), clock)
	account := keyOf(t, a, "free", 1, 1).Account
	var ran, answered atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			kept, done, err := a.Begin(account, "POST /r", "k", [32]byte{})
			switch {
			case err != nil: // still running
			case kept != nil:
				answered.Add(1)
			default:
				ran.Add(1)
				done(201, []byte("{}"))
			}
		})
	}
	wg.Wait()
	if ran.Load() != 1 {
		t.Errorf("%d calls ran", ran.Load())
	}
	if len(a.limits.kept.running) != 0 {
		t.Error("a call is still held to be running")
	}
}

// An account cannot fill the store, its count survives a restart and ends with the day; answers there are stay readable.
func TestKeptBounded(t *testing.T) {
	clock := newClock(utc("2024-02-10T23:59:30.500Z"))
	store := kvtest.Open(t)
	a := openAccess(t, store, clock)
	p, other := keyOf(t, a, "free", 1, 1), keyOf(t, a, "free", 2, 1)
	b := store.NewBatch()
	for i := range keptPerDay - 1 {
		at := keptHash("POST /r", fmt.Sprint(i))
		b.Set(key.KeptAnswer(nil, key.Day(int64(clock.millis())), p.User, at), appendAnswer(nil, answerRow{created: clock.millis(), answer: Answer{Status: 200}}))
	}
	if err := store.Commit(b, 0); err != nil {
		t.Fatal(err)
	}
	a = openAccess(t, store, clock)
	for i, status := range []int{500, 201} { // what is not kept does not count
		_, done, err := a.Begin(p.Account, "POST /r", fmt.Sprint("new", i), [32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		done(status, nil)
	}
	_, _, err := a.Begin(p.Account, "POST /r", "one too many", [32]byte{})
	e, ok := errors.AsType[*model.Error](err)
	if !ok || e.Code != model.CodeRateLimit || e.Details["retry_after"] != int64(30) {
		t.Fatal(err)
	}
	if kept, _, err := a.Begin(p.Account, "POST /r", "5", [32]byte{}); kept == nil || err != nil {
		t.Error("a kept answer cannot be read", err)
	}
	if _, _, err := a.Begin(other.Account, "POST /r", "5", [32]byte{}); err != nil {
		t.Error("another account is refused", err)
	}
	clock.advance(60_000)
	if _, done, err := a.Begin(p.Account, "POST /r", "tomorrow", [32]byte{}); done == nil || err != nil {
		t.Error("the next day", err)
	}
}

// An answer that the disk did not take is sent all the same, and not kept.
func TestAnswerOnBrokenDisk(t *testing.T) {
	disk := kvtest.NewDisk()
	store := disk.Open(t, kv.Options{})
	a := openAccess(t, store, newClock(utc("2024-02-10T10:00:00Z")))
	account := keyOf(t, a, "free", 1, 1).Account
	_, done, err := a.Begin(account, "POST /r", "k", [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	disk.Fail(kvtest.Log, syscall.EIO)
	done(201, bytes.Repeat([]byte("x"), 100))
	if len(a.limits.kept.running) != 0 {
		t.Error("the call is still held to be running")
	}
}
