package ws

import (
	"strconv"
	"strings"
)

// find looks a channel up that could be ours. key is its name with a colon where the family is; c is nil where we do not
// know the market.
func (n *nativeSession) find(name string) (c *nativeChannel, key string, family bool) {
	hub := n.c.server.hub
	switch name {
	case "height":
		return hub.height, hub.height.key, true
	case "market_stats/all":
		return hub.allStats, hub.allStats.key, true
	}
	head, id, ok := strings.Cut(name, "/")
	for f := range nativeFamilies {
		if !ok || head != f.String() {
			continue
		}
		native, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, "", true
		}
		key = head + ":" + id
		m, known := n.c.server.o.Markets.ByNative(venueLighter, native)
		if !known || f == nativeStats && m.Type == typeSpot || strconv.FormatInt(native, 10) != id {
			return nil, key, true
		}
		return hub.feed(m).native[f], key, true
	}
	return nil, "", false
}

func (n *nativeSession) subscribe(name string, text []byte) {
	c := n.c
	if !c.mayOperate() {
		n.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
		return
	}
	ch, key, family := n.find(name)
	_, relayed := n.relayed[key]
	switch {
	case family && key == "":
		n.fail(nativeInvalidChannel, "Invalid Channel:  (marketId)")
		return
	case !family || relayed:
		n.relay(text, "", true) // of a held one the venue says so itself
		return
	case n.subs[ch] != nil:
		n.fail(nativeAlreadyHeld, "Already Subscribed to : "+key)
		return
	case ch != nil:
		n.await(ch)
		c.server.seed(ch)
		if !c.server.quota.take(c.owner.Load(), slotSubscription) {
			n.fail(nativeTooManySubs, "Too Many Subscriptions!")
			return
		}
		if sub := ch.subscribe(c); sub != nil {
			n.subs[ch] = sub
			nativeSubscriptions(ch.family).Inc()
			c.hold(1)
			return
		}
		c.server.quota.give(c.owner.Load(), slotSubscription)
	}
	// A market that is not followed, or whose record has a hole just now: the venue itself answers.
	if len(n.relayed) >= nativeMostRelayedNames {
		n.fail(nativeTooManySubs, "Too Many Subscriptions!")
		return
	}
	if n.relay(text, "", true) {
		n.relayed[key] = struct{}{}
	}
}

func (n *nativeSession) unsubscribe(name string, text []byte) {
	c := n.c
	if !c.mayOperate() {
		n.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
		return
	}
	ch, key, family := n.find(name)
	_, relayed := n.relayed[key]
	switch {
	case family && key == "":
		n.fail(nativeInvalidChannel, "Invalid Channel:  (marketId)")
	case !family || relayed:
		if n.relay(text, "", true) {
			delete(n.relayed, key)
		}
	case n.subs[ch] == nil:
		n.fail(nativeNotSubscribed, "Not Subscribed to : "+key)
	default:
		n.drop(ch, newFrame(c.server.o.Native.Unsubscribed(nil, ch.key)))
	}
}

func (n *nativeSession) drop(ch *nativeChannel, ack []byte) {
	ch.unsubscribe(n.subs[ch], ack)
	delete(n.subs, ch)
	n.c.server.quota.give(n.c.owner.Load(), slotSubscription)
	nativeSubscriptions(ch.family).Dec()
	n.c.hold(-1)
}
