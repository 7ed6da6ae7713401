// Package delivery owns the calls to the addresses that signals name: the queue in the store, who may be called, the
// signatures, the attempts and their log. It knows deliveries by ids and bytes, not rules: what a signal is, which secret
// signs and what follows from failures is told by callbacks.
//
// It is the only package that opens connections to addresses that users choose. Every connection is checked when it is
// made, at the address that the name resolved to.
package delivery

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
)

// The limits of the conventions, section 7.
const (
	MaxBody        = 20 << 10 // bytes of a body
	MaxWaiting     = 1000     // deliveries waiting for one endpoint
	Workers        = 64       // calls at once
	workersOfOwner = 16       // calls at once to endpoints of one owner, less where many are under way
	connectTimeout = 3 * time.Second
	totalTimeout   = 10 * time.Second
	maxAnswer      = 16 << 10 // bytes of an answer that are read
	maxKept        = 1 << 10  // bytes of an answer's first line that are kept
	maxRetryAfter  = 10 * time.Minute
	// LogDays is how long outcomes are kept, and LogRows how many of a signal.
	LogDays = 30
	LogRows = 1000
)

// ErrURL is the one answer to an address that may not be called, whatever the reason.
var ErrURL = errors.New("url is not allowed")

// What Options.Secrets returns where it has none; the owner of the signal reads it as the delivery's last error.
var (
	ErrGone   = errors.New("the channel is gone")
	ErrSealed = errors.New("the secret cannot be opened, set it again")
)

// Secrets are what a call is signed with: the current one first, then one that was replaced lately.
type Secrets [][]byte

// Policy says what may be called.
type Policy struct {
	AllowHTTP    bool
	AllowPrivate bool
	Ports        []uint16 // nil: 443 and 8443
	// Own are addresses of ours that are never called, whatever else is allowed; a port alone, with no address, means
	// every address of this machine.
	Own []netip.AddrPort
}

// Options of a Queue. Store, Known, Secrets and Finished are required.
type Options struct {
	Store    *kv.Store
	Policy   Policy
	Schedule []time.Duration // waits before each further attempt; nil: 1 s, 5 s, 30 s, 2 min, 10 min
	Version  string          // in User-Agent
	Resolver *net.Resolver   // nil: the system's
	// Known tells, while the queue is opened, whether a signal still exists.
	Known func(signal uuid.UUID) bool
	// Secrets returns what a call of a signal to an address is signed with, or ErrGone or ErrSealed.
	Secrets func(signal uuid.UUID, url string) (Secrets, error)
	// Finished is told each outcome that is final, after it is durable, on any goroutine. It must not call the queue.
	Finished func(Outcome)
	Now      func() time.Time // nil: the wall clock
	Logger   *slog.Logger     // nil: discard
}

// Status is how far a delivery is.
type Status uint8

// The states of a delivery.
const (
	Pending Status = iota
	Delivered
	Failed
)

var statuses = [...]string{"pending", "delivered", "failed"}

// String returns the name that the API uses.
func (s Status) String() string {
	if int(s) < len(statuses) {
		return statuses[s]
	}
	return "failed"
}

// Delivery is a row of the log.
type Delivery struct {
	ID          uuid.UUID
	Signal      uuid.UUID
	URL         string
	Status      Status
	Attempts    int
	LastStatus  int    // of the answer to the last attempt; 0: there was none
	LastError   string // what the last attempt failed with; shown to the owner only
	TriggeredAt model.Millis
	DeliveredAt model.Millis // 0: not delivered
}

// Outcome is what became of a delivery.
type Outcome struct {
	Delivery
	Gone      bool // the receiver answered 410: the channel is to be disabled
	Resent    bool // it was sent again by hand
	Withdrawn bool // the channel was taken away before this: nobody was called, and no receiver failed
}

// Post is a delivery to be made.
type Post struct {
	ID          uuid.UUID // made by NewID, of TriggeredAt
	Signal      uuid.UUID
	Owner       uuid.UUID
	URL         string
	TriggeredAt model.Millis
	Event       time.Time // when the event was received, for the measured delay; zero: not measured
	Body        []byte    // at most MaxBody; not kept
}
