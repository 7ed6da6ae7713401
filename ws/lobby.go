package ws

import (
	"net/netip"
	"sync"
)

// lobby counts the connections that have not authenticated yet, by address: a stranger must not fill the server with
// sockets that say nothing. An address is counted by its /64, or alone where it is IPv4. Loopback is not counted.
type lobby struct {
	mu      sync.Mutex
	waiting map[netip.Prefix]int
}

func newLobby() *lobby { return &lobby{waiting: map[netip.Prefix]int{}} }

// blockOf returns the addresses that are counted together with one; zero for what is not counted.
func blockOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

// room tells whether one more connection may come from a block. Handshakes that run at the same moment may pass by as
// many as they are.
func (l *lobby) room(block netip.Prefix, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !block.IsValid() || l.waiting[block] < most
}

// enter counts a connection in.
func (l *lobby) enter(c *Conn, block netip.Prefix) {
	if !block.IsValid() {
		return
	}
	c.lobby = block
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[block]++
}

// leave counts a connection out, if it was counted in: it has authenticated or ended.
func (l *lobby) leave(c *Conn) {
	block := c.lobby
	if !block.IsValid() {
		return
	}
	c.lobby = netip.Prefix{}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[block]--; l.waiting[block] <= 0 {
		delete(l.waiting, block)
	}
}
