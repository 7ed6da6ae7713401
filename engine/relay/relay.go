// Package relay passes native calls on to the venue and brings the answers back as they are: status, body bytes and
// content type. It owns what leaves (a request built anew from checked parts, without any credential of ours), the
// cache, the sharing of equal calls, and the place of relayed calls in the venue's budget. It must not know who calls
// (that is decided before), and it never repeats a call that may change something.
package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
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

var cacheStates = [...][]byte{None: []byte("MISS"), Hit: []byte("HIT"), Miss: []byte("MISS"), LocalAnswer: []byte("LOCAL")}

// Bytes returns the value of the X-Cache header, which the caller must not change.
func (s CacheState) Bytes() []byte { return cacheStates[s] }

// String returns the same as text.
func (s CacheState) String() string { return string(s.Bytes()) }

// Response is an answer. It is immutable: others may be reading it at the same time.
type Response struct {
	Status      int
	ContentType []byte // empty where the venue sent none
	Body        []byte
	Cache       CacheState
	RetryAfter  int // seconds to wait, of a 429 where the venue says so; else 0
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
type Relay struct {
	o       Options
	shelf   *shelf
	venue   *venue
	meters  *meters
	scratch sync.Pool // of *scratch

	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // calls that outlive those who asked
}

// scratch is what looking at a call needs.
type scratch struct {
	query Query
	key   []byte
}

const (
	defaultTimeout = 10 * time.Second
	defaultCache   = 64 << 20
)

// New returns a relay; it connects when it is first used. Close must be called.
func New(o Options) (*Relay, error) {
	base, err := url.Parse(o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("read the venue's base URL: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.User != nil || base.Fragment != "" {
		return nil, errors.New("read the venue's base URL: it must be http:// or https:// with a host and without a query")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCache
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Relay{o: o, shelf: newShelf(max(0, o.CacheBytes))}
	r.meters = newMeters(r.shelf)
	r.venue = newVenue(base, &r.o)
	r.scratch.New = func() any { return new(scratch) }
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Close gives up what waits for the budget, waits for calls on their way, and closes the connections. No Do may follow.
func (r *Relay) Close() {
	r.end()
	r.running.Wait()
	r.venue.client.CloseIdleConnections()
	r.meters.close()
}

var (
	errMethod = &model.Error{Code: model.CodeMethodNotAllowed, Message: "native calls take GET, HEAD, POST, PUT, PATCH and DELETE"}
	errBody   = model.BadRequest("body", "a GET must not have a body")
	errKey    = model.BadRequest("path", "the path holds a hyperlight key, which never leaves; send it as X-Api-Key")
	errKeyIn  = model.BadRequest("body", "the body holds a hyperlight key, which never leaves; send it as X-Api-Key")
	// errLost is what those get who wait for a call whose goroutine panicked.
	errLost = upstreamError("the call to lighter failed, try again", nil)
)

// Do forwards one call, or answers it from memory. The error is a *model.Error (bad_request, method_not_allowed or
// upstream_error), or the context's.
func (r *Relay) Do(ctx context.Context, q *Request) (*Response, error) {
	read := q.Method == "GET" || q.Method == "HEAD"
	switch {
	case read && len(q.Body) > 0:
		return nil, errBody // a cache that does not look at it could be fed with it
	case !read && q.Method != "POST" && q.Method != "PUT" && q.Method != "PATCH" && q.Method != "DELETE":
		return nil, errMethod
	}
	if err := checkPath(q.Path); err != nil {
		return nil, err
	}
	if err := checkQuery(q.Query); err != nil {
		return nil, err
	}
	if isOurs(q.Path) {
		return nil, errKey
	}
	if !read && bytes.Contains(q.Body, []byte(ourKeyPrefix)) && holdsKey(q.Body) {
		return nil, errKeyIn // a body is passed on as it is, or not at all: it is signed
	}
	s := r.scratch.Get().(*scratch)
	defer r.scratch.Put(s)
	s.query.parse(clean(q.Query))
	c := call{
		read: read, method: q.Method, path: q.Path, query: s.query.raw, authorization: nativeAuthorization(q.Authorization),
		endpoint: endpointOf(read, q.Path), anonymous: q.Anonymous,
	}
	token, form := formAuth(q.ContentType, q.Body)
	c.signed = len(c.authorization) > 0 || s.query.auth || !read && form
	c.account = nativeForm(c.authorization) || nativeForm(s.query.token) || !read && nativeForm(token)
	if read && !c.signed && c.endpoint.ttl > 0 {
		if answer := r.local(ctx, &c, &s.query); answer != nil {
			return answer, nil
		}
		s.key = s.query.appendKey(append(s.key[:0], q.Path...))
		return r.shared(ctx, &c, s.key)
	}
	if !read {
		c.contentType, c.body = q.ContentType, q.Body
	}
	c.accept = q.Accept
	return r.forward(ctx, &c)
}

// local asks whether the answer is at hand.
func (r *Relay) local(ctx context.Context, c *call, q *Query) *Response {
	if r.o.Local == nil || !c.endpoint.listed || !q.Plain() {
		return nil
	}
	body, ok := r.o.Local.Answer(ctx, c.endpoint.name, q)
	if !ok {
		return nil
	}
	r.meters.local.Inc()
	return &Response{Status: fasthttp.StatusOK, ContentType: jsonType, Body: body, Cache: LocalAnswer}
}

// jsonType is the content type of the venue's own answers.
var jsonType = []byte("application/json; charset=utf-8")

// shared answers from the cache, or with the one call that all who ask for the same wait for.
func (r *Relay) shared(ctx context.Context, c *call, key []byte) (*Response, error) {
	answer, f, first := r.shelf.ask(key, c.anonymous, r.o.Now())
	if answer != nil {
		r.meters.hits.Inc()
		return answer, nil
	}
	r.meters.misses.Inc()
	if first {
		waiting, cancel := context.WithTimeout(r.life, r.patience())
		half, promote := context.WithCancel(waiting)
		req := r.venue.build(c)
		own := call{endpoint: c.endpoint, read: true} // c's bytes are only lent
		r.shelf.launch(f, cancel, promote)
		pilot := func() {
			defer cancel()
			defer promote()
			answer, err := (*Response)(nil), error(errLost)
			defer func() { r.shelf.land(f, answer, err, r.lifetime(&own, answer, err), r.o.Now()) }()
			answer, err = r.fly(waiting, half, f, &own, req)
		}
		if ctx.Done() == nil {
			// Who cannot go away makes the call itself: a hand-over to another goroutine and back costs as much as the
			// whole call over loopback.
			r.running.Add(1)
			defer r.running.Done()
			pilot()
			return f.answer, f.err
		}
		r.running.Go(pilot)
	}
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
		r.shelf.leave(f)
		return nil, ctx.Err()
	}
}

// fly makes a shared call: as the call of somebody anonymous while all who wait for it are.
func (r *Relay) fly(waiting, half context.Context, f *flight, c *call, req *fasthttp.Request) (*Response, error) {
	var err error
	if c.anonymous = r.shelf.isAnonymous(f); c.anonymous {
		err = r.acquire(half, c)
	}
	if !c.anonymous || err != nil && !r.shelf.isAnonymous(f) && waiting.Err() == nil {
		c.anonymous = false
		err = r.acquire(waiting, c)
	}
	if err == nil && !r.shelf.depart(f) {
		err = context.Canceled // nobody waits any more
	}
	if err != nil {
		fasthttp.ReleaseRequest(req)
		return nil, r.refused(c, err)
	}
	return r.send(c, req)
}

// lifetime tells how long an answer is kept: only good ones are.
func (r *Relay) lifetime(c *call, answer *Response, err error) time.Duration {
	if err != nil || !good(answer) {
		return 0
	}
	return c.endpoint.ttl
}

// forward makes a call that is nobody else's business.
func (r *Relay) forward(ctx context.Context, c *call) (*Response, error) {
	waiting, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	if err := r.acquire(waiting, c); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, r.refused(c, err)
	}
	req := r.venue.build(c)
	if ctx.Done() == nil {
		return r.send(c, req)
	}
	type outcome struct {
		answer *Response
		err    error
	}
	done := make(chan outcome, 1)
	own := call{endpoint: c.endpoint, read: c.read, signed: c.signed, account: c.account}
	r.running.Go(func() {
		answer, err := r.send(&own, req)
		done <- outcome{answer, err}
	})
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
