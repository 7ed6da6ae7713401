package http

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

const contentJSON = "application/json"

// call is one request on its way through the middleware. It is pooled and ends with the request.
type call struct {
	server     *Server
	ctx        *fasthttp.RequestCtx
	mux        *router
	route      *route
	head       head
	pathParams [maxParams][]byte
	id         [36]byte
	start      time.Time
	peer       netip.AddrPort
	client     netip.Addr
	principal  *access.Principal // nil where nobody is known behind the call
	credits    access.Credits
	metered    bool
	made       access.Made  // of a call with an Idempotency-Key
	kept       []byte       // set by the handler of a route that replays: the data to answer a repeated call with
	past       Past         // the record at the call's clock; nil: now
	pastAt     model.Micros // that clock
	shared     []byte       // set by a handler whose answer is shared with other requests: head and data of the envelope
	shard      int          // of the journal, where it was last free
	scratch    [64]byte
}

// begin fills a pooled call for a request. The head is read later, because it may be refused.
func (c *call) begin(ctx *fasthttp.RequestCtx) {
	c.ctx, c.route, c.principal = ctx, c.server.unmatched, nil
	c.start = c.server.now()
	c.peer = peerOf(ctx.RemoteAddr())
	c.client = c.peer.Addr()
}

// identify takes the client's request id where it is a UUID, else makes one.
func (c *call) identify() {
	if isUUID(c.head.requestID) {
		copy(c.id[:], c.head.requestID)
		return
	}
	newUUID(&c.id, c.start)
}

// newUUID writes a version 7 UUID: sortable by time. Request ids are no secret, so the fast generator is enough.
func newUUID(dst *[36]byte, now time.Time) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16|rand.Uint64()&0xfff|0x7000)
	binary.BigEndian.PutUint64(b[8:], rand.Uint64()&^(3<<62)|1<<63)
	for i, at := range uuidPlaces {
		copy(dst[at:at+2], hexPairs[2*int(b[i]):])
	}
	dst[8], dst[13], dst[18], dst[23] = '-', '-', '-', '-'
}

var (
	// uuidPlaces is where the two digits of each byte stand.
	uuidPlaces = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}
	// hexPairs holds "00" to "ff".
	hexPairs = func() (pairs string) {
		for i := range 256 {
			pairs += hex.EncodeToString([]byte{byte(i)})
		}
		return pairs
	}()
)

// isUUID tells whether text has the form of a UUID.
func isUUID(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, ch := range b {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if ch != '-' {
				return false
			}
		case ch >= '0' && ch <= '9', ch >= 'a' && ch <= 'f', ch >= 'A' && ch <= 'F':
		default:
			return false
		}
	}
	return true
}

// routeName returns the pattern of the matched route, which is what logs and metrics show instead of the path.
func (c *call) routeName() string { return c.route.pattern }

// nowMillis returns the time of the request.
func (c *call) nowMillis() model.Millis { return model.Millis(c.start.UnixMilli()) }

// attribution tells whether the caller may see the accounts behind orders.
func (c *call) attribution() bool { return c.principal != nil && c.principal.Plan.Attribution }

// pathMarket returns the market that the path names.
func (c *call) pathMarket() (*model.Market, error) { return c.server.market(c.pathParams[0]) }

// waiting is the context of a handler that waits: it ends when the server does. fasthttp's own must not be handed on: what
// is derived from it looks at the server behind it when the request is over, while Shutdown writes there.
func (c *call) waiting() context.Context { return c.server.life }

// enterHistory passes the engine's gate and returns a context with the deadline of history reads. leave must be called.
func (c *call) enterHistory() (ctx context.Context, leave func(), err error) {
	exit, err := c.server.engine.Enter(c.waiting())
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), historyDeadline)
	return ctx, func() { cancel(); exit() }, nil
}

// bytes sends a whole body, as handlers outside the envelope do.
func (c *call) bytes(status int, contentType string, body []byte) {
	c.ctx.Response.SetStatusCode(status)
	c.ctx.Response.Header.SetContentType(contentType)
	c.ctx.Response.SwapBody(append(c.ctx.Response.SwapBody(nil)[:0], body...))
}
