package http

import (
	"bytes"
	"net"
	"net/netip"
	"unsafe"
)

// peerOf returns the address of the other end of the connection; invalid where it has none (in-memory connections).
func peerOf(addr net.Addr) netip.AddrPort {
	if t, ok := addr.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
	}
	return netip.AddrPort{}
}

// clientIP is the one function that decides who called: the peer, or, where the peer is a trusted proxy, the right-most
// hop of X-Forwarded-For that is not one.
func clientIP(peer netip.Addr, forwardedFor []byte, trusted []netip.Prefix) netip.Addr {
	if len(forwardedFor) == 0 || !contains(trusted, peer) {
		return peer
	}
	client := peer
	for len(forwardedFor) > 0 {
		hop := forwardedFor
		if i := bytes.LastIndexByte(forwardedFor, ','); i >= 0 {
			hop, forwardedFor = forwardedFor[i+1:], forwardedFor[:i]
		} else {
			forwardedFor = nil
		}
		ip, err := parseHop(trim(hop))
		if err != nil {
			return client // whatever stands further left was not written by one of ours
		}
		client = ip
		if !contains(trusted, ip) {
			return client
		}
	}
	return client
}

// ClientIP tells who called to those who answer upgrades: the same rule as for every request.
func (s *Server) ClientIP(peer netip.Addr, forwardedFor string) netip.Addr {
	return clientIP(peer.Unmap().WithZone(""), []byte(forwardedFor), *s.trusted.Load())
}

// parseHop reads an address with or without a port, as proxies write them.
func parseHop(hop []byte) (netip.Addr, error) {
	s := string(hop)
	ip, err := netip.ParseAddr(s)
	if err != nil {
		p, perr := netip.ParseAddrPort(s)
		if perr != nil {
			return netip.Addr{}, err
		}
		ip = p.Addr()
	}
	return ip.Unmap().WithZone(""), nil
}

func contains(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// lend shows bytes of the request as a string without copying them. The string ends with the request: nobody may keep it.
func lend(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
