package access

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	// keepMillis is how long a first answer is repeated.
	keepMillis = key.DayMillis
	// maxKeptBody bounds a kept answer; longer ones are not kept. Those of the routes that take a key have some hundred
	// bytes.
	maxKeptBody = 64 << 10
	// keptPerDay bounds the answers kept for one account in a day (UTC). Beyond it calls with a new key are refused: to
	// forget an answer would let its call happen twice.
	keptPerDay = 1000
)

// Answer is a first answer that is sent again. The caller owns Body.
type Answer struct {
	Status int
	Body   []byte
}

// keptAnswers gives each idempotency key its one call. Answers rest in the store; what is in memory is the calls that
// run and one counter for each account that used keys today.
type keptAnswers struct {
	store *kv.Store // nil: calls that run exclude each other, but nothing is kept
	log   *slog.Logger

	mu      sync.Mutex
	running map[keptKey][32]byte // the hash of the body
	day     uint32
	today   map[uuid.UUID]int // answers kept and calls running of this day
}

type keptKey struct {
	account uuid.UUID
	hash    [32]byte // of route and idempotency key
}

func newKeptAnswers(s *kv.Store, log *slog.Logger) *keptAnswers {
	return &keptAnswers{store: s, log: log, running: map[keptKey][32]byte{}, today: map[uuid.UUID]int{}}
}

func conflict(reason, message string) *model.Error {
	return &model.Error{Code: model.CodeConflict, Message: message, Details: map[string]any{"reason": reason}}
}

// Begin starts a call that carries an Idempotency-Key: account is the Principal's, bodyHash the SHA-256 of the body.
//
// The first caller gets done and must call it once, also when the call panics; a later one gets the kept answer and no
// done. done keeps the answer for 24 h unless its status is 500 or above; body must hold no secret and is copied. Errors
// are conflict (details.reason other_body or in_progress), rate_limit_exceeded and service_unavailable.
func (a *Access) Begin(account, route, idempotencyKey string, bodyHash [32]byte) (kept *Answer, done func(status int, body []byte), err error) {
	return a.limits.kept.begin(accountID(account), route, idempotencyKey, bodyHash, a.limits.millis())
}

func (k *keptAnswers) begin(account uuid.UUID, route, idempotencyKey string, body [32]byte, now model.Millis) (*Answer, func(int, []byte), error) {
	at := keptKey{account: account, hash: keptHash(route, idempotencyKey)}
	if err := k.enter(at, body, now); err != nil {
		return nil, nil, err
	}
	a, err := k.find(at, body, now)
	if a != nil || err != nil {
		k.leave(at, true)
		return a, nil, err
	}
	var once sync.Once
	return nil, func(status int, answer []byte) {
		once.Do(func() {
			keep := status < 500 && len(answer) <= maxKeptBody
			if keep {
				keep = k.keep(at, body, Answer{Status: status, Body: answer}, now)
			}
			k.leave(at, !keep)
		})
	}, nil
}

// Made names what a call under an idempotency key makes, so that a repeated call finds it where a crash took the answer. The
// zero value names nothing.
type Made struct {
	ID    uuid.UUID    // that it gets
	Last  uuid.UUID    // that it got if the day (UTC) has changed since
	Since model.Millis // what was made before this moment is another call's
}

// MadeBy returns the names for a call that Begin has let in, of the same account, route, key and body.
func MadeBy(account, route, idempotencyKey string, bodyHash [32]byte, now model.Millis) Made {
	call := keptHash(route, idempotencyKey)
	day := key.Day(int64(now))
	id := func(day uint32) uuid.UUID {
		b := append(binary.BigEndian.AppendUint32(nil, day), account...)
		sum := sha256.Sum256(append(append(b, call[:]...), bodyHash[:]...))
		id := uuid.UUID(sum[:16])
		id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8: by our own rule
		return id
	}
	return Made{ID: id(day), Last: id(day - min(day, 1)), Since: now - keepMillis + 1}
}

// enter claims the key for one call.
func (k *keptAnswers) enter(at keptKey, body [32]byte, now model.Millis) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if other, ok := k.running[at]; ok {
		if other != body {
			return conflict("other_body", "this idempotency key was used with another body")
		}
		return conflict("in_progress", "the first call with this idempotency key is still running")
	}
	k.turn(key.Day(int64(now)))
	k.running[at] = body
	k.today[at.account]++
	return nil
}

// turn begins another day where it is one. A clock that was set back over midnight stays in the day it had begun; one that
// had run ahead for longer does not. The lock is held.
func (k *keptAnswers) turn(day uint32) {
	if day > k.day || day+1 < k.day {
		k.day = day
		clear(k.today)
	}
}

// leave ends a call, and takes it off the account's count if it left no new answer.
func (k *keptAnswers) leave(at keptKey, uncount bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, at)
	if !uncount {
		return
	}
	if k.today[at.account]--; k.today[at.account] <= 0 {
		delete(k.today, at.account)
	}
}

// full tells whether the account has more calls and kept answers today than it may; its own call is among them.
func (k *keptAnswers) full(account uuid.UUID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.today[account] > keptPerDay
}

// find reads the answer that is kept for a key: of today, of yesterday, or of tomorrow, where the clock was set back over
// midnight.
func (k *keptAnswers) find(at keptKey, body [32]byte, now model.Millis) (*Answer, error) {
	day := key.Day(int64(now))
	for _, d := range [...]uint32{day, day - min(day, 1), day + 1} {
		if k.store == nil {
			break
		}
		var row answerRow
		err := k.store.Get(key.KeptAnswer(nil, d, at.account, at.hash), func(v []byte) (err error) {
			row, err = readAnswer(v)
			return err
		})
		switch {
		case errors.Is(err, kv.ErrNotFound):
			continue
		case err != nil:
			// To run the call might be to run it twice.
			return nil, &model.Error{Code: model.CodeServiceUnavailable, Message: "the answer to this idempotency key cannot be read, try again later", Err: err}
		case row.created+keepMillis <= now:
			continue
		case row.body != body:
			return nil, conflict("other_body", "this idempotency key was used with another body")
		}
		return &row.answer, nil
	}
	if k.full(at.account) {
		wait := (key.DayStart(day+1) - int64(now) + 999) / 1000
		return nil, &model.Error{Code: model.CodeRateLimit, Message: "too many idempotency keys today",
			Details: map[string]any{"limit": keptPerDay, "retry_after": wait}}
	}
	return nil, nil
}

// keep writes an answer durably, before the client sees it. It tells whether it did; if not, the call may be repeated.
func (k *keptAnswers) keep(at keptKey, body [32]byte, a Answer, now model.Millis) bool {
	if k.store == nil {
		return false
	}
	b := k.store.NewBatch()
	b.Set(key.KeptAnswer(nil, key.Day(int64(now)), at.account, at.hash), appendAnswer(nil, answerRow{created: now, body: body, answer: a}))
	if err := k.store.Commit(b, kv.Sync); err != nil {
		k.log.Error("answer of an idempotent call not kept", "error", err)
		return false
	}
	return true
}

// restore counts an answer that the store holds.
func (k *keptAnswers) restore(account uuid.UUID, day uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.turn(day); day == k.day {
		k.today[account]++
	}
}

func keptHash(route, idempotencyKey string) [32]byte {
	b := binary.AppendUvarint(nil, uint64(len(route)))
	return sha256.Sum256(append(append(b, route...), idempotencyKey...))
}

type answerRow struct {
	created model.Millis
	body    [32]byte
	answer  Answer
}

// appendAnswer appends a kept answer: version, time of the first call, hash of its body, status, answer.
func appendAnswer(dst []byte, r answerRow) []byte {
	dst = binary.AppendUvarint(append(dst, valueVersion), uint64(max(r.created, 0)))
	dst = append(dst, r.body[:]...)
	dst = binary.AppendUvarint(dst, uint64(r.answer.Status))
	return append(dst, r.answer.Body...)
}

// readAnswer returns a kept answer; its body is a copy.
func readAnswer(v []byte) (row answerRow, err error) {
	r := valueReader{b: v}
	r.version()
	row.created = model.Millis(r.count(1 << 62))
	copy(row.body[:], r.bytes(32))
	row.answer.Status = int(r.count(999))
	if r.bad || row.answer.Status < 100 || len(r.b) > maxKeptBody {
		return answerRow{}, fmt.Errorf("read kept answer: %w", errValue)
	}
	row.answer.Body = append([]byte{}, r.b...)
	return row, nil
}
