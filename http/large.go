package http

import "sync"

const (
	// keptBody is the most room for an answer's body that stays with its connection.
	keptBody = 1 << 20
	// reusedBody is the most room that is used again at all.
	reusedBody = 128 << 20
	// largeBatch is the number of accounts from which a batch begins in the room of another.
	largeBatch = 10
)

// largeBodies are *[]byte: the room of large answers that were sent.
var largeBodies sync.Pool

// roomy returns dst in the room of a large answer that was sent before, if there is any.
func roomy(dst []byte) []byte {
	if cap(dst) < keptBody {
		if room, ok := largeBodies.Get().(*[]byte); ok {
			return append((*room)[:0], dst...)
		}
	}
	return dst
}

// lighten takes a large answer out of the response, which is the connection's: it would keep the room of the largest answer
// that it ever sent, tens of MB of it, for as long as it lives, and the next connection that gets the response, which may
// become a socket, after it. The answer leaves as a stream that gives its room on.
func (c *call) lighten() {
	resp := &c.ctx.Response
	if resp.IsBodyStream() {
		return
	}
	body := resp.Body()
	if cap(body) <= keptBody {
		return
	}
	own := resp.SwapBody(nil)
	if len(own) == 0 || &own[0] != &body[0] {
		resp.SetBodyRaw(body) // somebody else's, as those of the relay are
		return
	}
	b := sharedBodies.Get().(*sharedBody)
	b.first, b.at, b.tail, b.own = own, 0, b.tail[:0], true
	resp.SetBodyStream(b, len(own))
}
