package access

import (
	"net/netip"

	"hyperlight/engine/model"
)

// Limits per address and minute.
const (
	publicPerMinute = 300
	signInPerMinute = 10
	failedPerMinute = 300
	filesPerMinute  = 30_000
)

// addressesPerShard bounds the windows of addresses: 32,768 in all, some 4 MiB while each has one admission, 16 MiB if
// all were full. Beyond it limiter.makeRoom chooses who is forgotten.
const addressesPerShard = 32768 / limiterShards

// addressBucket names the window of an address: an IPv4 address, also where it is written as IPv6, or the /64 of an IPv6
// address. An address that is none shares one bucket with its like.
func addressBucket(client netip.Addr, class IPClass) BucketID {
	id := BucketID{0: byte(class)}
	switch client = client.Unmap(); {
	case client.Is4():
		a := client.As4()
		id[1] = 4
		copy(id[2:], a[:])
	case client.Is6():
		a := client.As16()
		id[1] = 6
		copy(id[2:], a[:8])
	}
	return id
}

// ipLimit returns a class's requests per minute.
func (a *Access) ipLimit(class IPClass) int {
	switch class {
	case IPSignIn:
		return signInPerMinute
	case IPRelay:
		return a.plans.Load().order[0].RequestsPerMinute
	case IPFailed:
		return failedPerMinute
	case IPFiles:
		return filesPerMinute
	default:
		return publicPerMinute
	}
}

// PeekIP tells how the window of an address stands, and takes nothing out of it.
func (a *Access) PeekIP(client netip.Addr, class IPClass, now model.Millis) Decision {
	id := addressBucket(client, class)
	return a.limits.addresses.peek(&id, a.ipLimit(class), now)
}

// TakeIP asks the window of an address for one request of a class. Windows of addresses are not stored. It does not
// allocate for an address that it knows.
func (a *Access) TakeIP(client netip.Addr, class IPClass, now model.Millis) Decision {
	id := addressBucket(client, class)
	d := a.limits.addresses.take(&id, a.ipLimit(class), now)
	if !d.OK {
		limitedAddress.Inc()
	}
	return d
}
