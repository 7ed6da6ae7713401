package http

import (
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
type connectionCount struct {
	mu      sync.Mutex
	open    map[net.Conn]netip.Prefix
	perAddr map[netip.Prefix]int
}

func newConnectionCount() *connectionCount {
	return &connectionCount{open: map[net.Conn]netip.Prefix{}, perAddr: map[netip.Prefix]int{}}
}

// observe is fasthttp's hook for connections that come and go.
func (n *connectionCount) observe(c net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateNew:
		ip := peerOf(c.RemoteAddr()).Addr()
		if !ip.IsValid() || ip.IsLoopback() {
			return
		}
		block := blockOf(ip)
		n.mu.Lock()
		n.open[c] = block
		n.perAddr[block]++
		n.mu.Unlock()
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		n.release(c)
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
	block, ok := n.open[c]
	if !ok {
		return
	}
	delete(n.open, c)
	if n.perAddr[block]--; n.perAddr[block] <= 0 {
		delete(n.perAddr, block)
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
	if block, ok := n.open[c]; ok && n.perAddr[block] > maxPerIP {
		return errConnections
	}
	return nil
}
