// Package relay passes native calls on to the venue and brings the answers back as they are: status, body bytes and
// content type. It owns what leaves (a request built anew from checked parts, without any credential of ours), the
// cache, the sharing of equal calls, and the place of relayed calls in the venue's budget. It must not know who calls
// (that is decided before), and it never repeats a call that may change something.
package relay

import (
	"context"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/feed"
)

// Request is a native call as the client made it. Its bytes are lent until Do returns.
type Request struct {
	Method        string
	Path          []byte // as it stood in the request line, escapes kept, without the query
	Query         []byte // what followed the '?', raw; api_key members are cut here
	Authorization []byte // the header's value; what is not the venue's is cut here
	ContentType   []byte
	Accept        []byte // passed on only where the answer is not shared
	Body          []byte
	Anonymous     bool // nobody signed in: such calls together get at most half of the budget
}

// CacheState tells where an answer came from.
type CacheState uint8

// The origins of an answer: the venue, where nothing of the kind is kept; the cache; the venue, kept from now on; and
// what hyperlight itself holds.
const (
	None CacheState = iota
	Hit
	Miss
	LocalAnswer
)

var cacheStates = [...]string{None: "", Hit: "HIT", Miss: "MISS", LocalAnswer: "LOCAL"}

// String returns the value of the X-Cache header, "" where it is left out.
func (s CacheState) String() string {
	if int(s) < len(cacheStates) {
		return cacheStates[s]
	}
	return ""
}

// Response is an answer. It is immutable: others may be reading it at the same time.
type Response struct {
	Status      int
	ContentType []byte // empty where the venue sent none
	Body        []byte
	Cache       CacheState
}

// Local answers native reads from what hyperlight holds. It is called from many goroutines and must not block on the
// venue.
type Local interface {
	// Answer returns a body of the venue's shape, or false where the call has to be forwarded. path is what follows
	// /api/v1/; the query has only members that read alike for every decoder, each once (Query.Plain). The body is
	// shared from then on.
	Answer(ctx context.Context, path string, query *Query) (body []byte, ok bool)
}

// Options configure a Relay. BaseURL is required.
type Options struct {
	BaseURL string       // scheme and host; a path is kept in front of every call's
	Budget  *feed.Budget // shared with everybody who calls the venue; nil: unlimited
	// AccountBudget, where set, is what callers who signed in take from for calls that the venue counts by account and
	// not by address: those with native auth, sendTx and sendTxBatch. Where nil, they take from Budget like the rest.
	AccountBudget *feed.Budget
	Now           func() time.Time // nil: the wall clock
	Timeout       time.Duration    // of a call once the budget let it go; 0: 10 s
	UserAgent     string
	CacheBytes    int   // of keys and bodies kept; 0: 64 MiB, negative: nothing is kept
	Local         Local // nil: nothing is answered from what we hold
	Logger        *slog.Logger
	Dial          fasthttp.DialFunc // nil: TCP
}

// Relay forwards native calls. It is safe for concurrent use.
type Relay struct{ o Options }

// New returns a relay; it connects when it is first used.
func New(o Options) (*Relay, error) { return &Relay{o: o}, nil }

// Close closes idle connections.
func (r *Relay) Close() {}

// Do forwards one call, or answers it from memory. The error is a *model.Error (bad_request, method_not_allowed or
// upstream_error), or the context's.
func (r *Relay) Do(ctx context.Context, q *Request) (*Response, error) { return nil, context.Canceled }
