package access

import (
	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// LocalAccount is the account of the local caller (access.local_plan), who has no user.
const LocalAccount = "local"

// Principal is an authenticated caller. It is immutable; who keeps one (a socket) asks Recheck whether it still stands.
type Principal struct {
	Plan    *Plan
	Account string // whom credits, sockets and usage are counted for: the user's id, or LocalAccount
	Bucket  BucketID
	User    uuid.UUID // zero for the local caller
	Key     uuid.UUID // zero for a token and for the local caller
	// KeyPrefix is the first 12 characters of the key, for logs; "" without a key.
	KeyPrefix string
	Local     bool // has no user: data, streams and replay only
	Token     bool // came with a JWT
	Operator  bool // the user's role is operator

	session uint32 // the session version that the token was made under
}

// BucketID names a rate window: a key's id, a user's id (JWT), the local caller, or an address's block with a class.
type BucketID [20]byte

// The kinds of buckets, the first byte of a BucketID; the id stands at its end. Rows have them: they keep their numbers.
const (
	bucketLocal byte = 1 + iota
	bucketUser
	bucketKey
	bucketAddress
	bucketNewKeys // of a user
)

func bucketOf(kind byte, id uuid.UUID) (b BucketID) {
	b[0] = kind
	copy(b[len(b)-len(id):], id[:])
	return b
}

// Decision is what a rate window says to one request.
type Decision struct {
	OK        bool
	Limit     int // Unlimited (-1) lifts it; Remaining is then -1 too
	Remaining int
	Reset     model.Millis // when the oldest request in the window leaves it; of an empty window now + 60 s
}

// IPClass is a family of public routes that share one window per address.
type IPClass uint8

// The windows of callers without a credential, per address (IPv6: per /64).
const (
	IPPublic IPClass = iota // health, status and other public routes: 300 a minute
	IPSignIn                // register and login: 10 a minute
	IPRelay                 // anonymous native calls: the lowest plan's requests per minute
	IPFailed                // requests whose credential was refused: 300 a minute
	IPFiles                 // downloads with a link: 30,000 a minute, because programs read a file in many small ranges
)

// Credits is what an account has spent in the current month (UTC).
type Credits struct {
	Cost  int64 // of this call
	Used  int64 // with this call
	Limit int64 // Unlimited (-1)
}
