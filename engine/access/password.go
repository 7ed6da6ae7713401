package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"

	"hyperlight/engine/model"
)

// hashing is what a new password costs: 19 MiB and two passes, OWASP's first choice (conventions 8.2).
var hashing = argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Two hashes run at a time and 32 callers wait: a flood of sign-ins takes 38 MiB and two cores at most.
const (
	hashesAtOnce  = 2
	hashesWaiting = 32
)

// Lengths of a password, in characters.
const (
	minPassword = 8
	maxPassword = 128
)

// passwords hashes and checks passwords in a bounded queue.
type passwords struct {
	params   argon2id.Params
	admitted chan struct{} // running and waiting
	running  chan struct{}
	decoy    string // a hash that no password has: what an unknown e-mail is checked against

	// create and check are argon2id's; tests count and slow them.
	create func(password string, params *argon2id.Params) (string, error)
	check  func(password, phc string) (bool, *argon2id.Params, error)
}

func newPasswords(params argon2id.Params) *passwords {
	return &passwords{
		params: params, decoy: decoy(params),
		admitted: make(chan struct{}, hashesAtOnce+hashesWaiting), running: make(chan struct{}, hashesAtOnce),
		create: argon2id.CreateHash, check: argon2id.CheckHash,
	}
}

// decoy writes a hash as argon2id would, of random bytes that are no password's.
func decoy(p argon2id.Params) string {
	b := make([]byte, p.SaltLength+p.KeyLength)
	_, _ = rand.Read(b) // never fails
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism,
		text.EncodeToString(b[:p.SaltLength]), text.EncodeToString(b[p.SaltLength:]))
}

// do runs a hash when its turn comes. A full queue, or a caller who leaves it, gets service_unavailable.
func (q *passwords) do(ctx context.Context, hash func() error) error {
	select {
	case q.admitted <- struct{}{}:
	default:
		hashesRefused.Inc()
		return errQueue
	}
	hashesQueued.Inc()
	defer func() {
		hashesQueued.Dec()
		<-q.admitted
	}()
	select {
	case q.running <- struct{}{}:
	case <-ctx.Done():
		return &model.Error{Code: errQueue.Code, Message: errQueue.Message, Details: errQueue.Details, Err: ctx.Err()}
	}
	defer func() { <-q.running }()
	return hash()
}

// hash returns the stored form of a new password.
func (q *passwords) hash(ctx context.Context, password string) (phc string, err error) {
	err = q.do(ctx, func() error {
		phc, err = q.create(password, &q.params)
		if err != nil {
			return fmt.Errorf("hash password: %w", err)
		}
		return nil
	})
	return phc, err
}

// verify tells whether the password is that of phc, and returns its new stored form where the old one was made with
// less than today's parameters. Without phc it takes as long and says no.
func (q *passwords) verify(ctx context.Context, password, phc string) (ok bool, renewed string, err error) {
	known := phc != ""
	if !known {
		phc = q.decoy
	}
	err = q.do(ctx, func() error {
		if err := sound(phc); err != nil {
			return err
		}
		match, params, err := q.check(password, phc)
		if err != nil {
			return fmt.Errorf("check password: %w", err)
		}
		ok = match && known
		if !ok || !weaker(params, &q.params) {
			return nil
		}
		if renewed, err = q.create(password, &q.params); err != nil {
			return fmt.Errorf("hash password again: %w", err)
		}
		return nil
	})
	return ok, renewed, err
}

func weaker(p, than *argon2id.Params) bool {
	return p.Memory < than.Memory || p.Iterations < than.Iterations || p.SaltLength < than.SaltLength || p.KeyLength < than.KeyLength
}

// sound refuses a stored hash whose parameters would make the library panic or take all memory.
func sound(phc string) error {
	p, _, _, err := argon2id.DecodeHash(phc)
	if err != nil {
		return fmt.Errorf("read password hash: %w", err)
	}
	if p.Iterations < 1 || p.Iterations > 64 || p.Parallelism < 1 || p.Memory > 1<<20 {
		return errors.New("read password hash: parameters out of range")
	}
	return nil
}

// checkPassword refuses a new password that is too short or too long, or no text.
func checkPassword(s string) error {
	n := utf8.RuneCountInString(s)
	if n < minPassword || n > maxPassword {
		return model.BadRequest("password", fmt.Sprintf("password must have %d to %d characters", minPassword, maxPassword))
	}
	if !utf8.ValidString(s) || !printable(s) {
		return model.BadRequest("password", "password must not hold control characters")
	}
	return nil
}

func printable(s string) bool {
	for _, c := range s {
		if unicode.IsControl(c) {
			return false
		}
	}
	return true
}
