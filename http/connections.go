package http

import (
	"container/list"
	"net"
	"net/netip"
	"sync"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
)

var errConnections = &model.Error{Code: model.CodeRateLimit, Message: "too many connections from this address without a credential",
	Details: map[string]any{"limit": maxPerIP, "retry_after": 1}}

// connectionCount counts the open connections of each address that have not shown a credential. Loopback is not
// counted, and an authenticated connection follows its plan instead. An upgraded connection leaves the count: its
// handler has its own limits. IPv6 counts by /64.
//
// A connection that has not sent a whole request yet might still show a credential, so it is let in; but of those too
// an address has no more than the cap: the one that has been silent longest makes room.
type connectionCount struct {
	// exempt, where set, tells of an address that is not counted: a trusted proxy, behind which all its clients stand.
	exempt func(netip.Addr) bool

	mu     sync.Mutex
	open   map[net.Conn]*visitor
	crowds map[netip.Prefix]*crowd
}

// visitor is one counted connection.
type visitor struct {
	crowd  *crowd
	silent *list.Element // in the crowd's list; nil once a request came
}

// crowd is the counted connections of one block of addresses.
type crowd struct {
	block  netip.Prefix
	open   int
	silent list.List // of net.Conn, the longest silent first
}

func newConnectionCount() *connectionCount {
	return &connectionCount{open: map[net.Conn]*visitor{}, crowds: map[netip.Prefix]*crowd{}}
}

// observe is fasthttp's hook for connections that come and go.
func (n *connectionCount) observe(c net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateNew:
		ip := peerOf(c.RemoteAddr()).Addr()
		if !ip.IsValid() || ip.IsLoopback() || n.exempt != nil && n.exempt(ip) {
			return
		}
		if evicted := n.enter(c, blockOf(ip)); evicted != nil {
			_ = evicted.Close() // its own goroutine finds out and ends
		}
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		n.release(c)
	}
}

// enter counts a connection in, and returns the one that has to go for it.
func (n *connectionCount) enter(c net.Conn, block netip.Prefix) (evicted net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.crowds[block]
	if of == nil {
		of = &crowd{block: block}
		n.crowds[block] = of
	}
	of.open++
	n.open[c] = &visitor{of, of.silent.PushBack(c)}
	if of.silent.Len() <= maxPerIP {
		return nil
	}
	evicted = of.silent.Front().Value.(net.Conn)
	n.open[evicted].speaks()
	return evicted
}

// speaks takes a visitor out of the silent ones.
func (v *visitor) speaks() {
	if v.silent != nil {
		v.crowd.silent.Remove(v.silent)
		v.silent = nil
	}
}

// blockOf returns the block of addresses that counts as one caller.
func blockOf(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	block, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return block
}

// release takes a connection out of the count: it ended, or showed a credential.
func (n *connectionCount) release(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.open[c]
	if v == nil {
		return
	}
	v.speaks()
	delete(n.open, c)
	if v.crowd.open--; v.crowd.open == 0 {
		delete(n.crowds, v.crowd.block)
	}
}

// admit is asked with the first request of a connection, when it is known whether it carries a credential.
func (n *connectionCount) admit(c net.Conn, authenticated bool) error {
	if authenticated {
		n.release(c)
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.open[c]
	if v == nil {
		return nil
	}
	v.speaks()
	if v.crowd.open > maxPerIP {
		return errConnections
	}
	return nil
}
