package ws

import "hyperlight/engine/access"

// live is the session of /ws: subscriptions to live channels. Its methods run on the connection's reader goroutine.
type live struct {
	c    *Conn
	subs map[*channel]*subscription
}

func newLive(c *Conn) session { return &live{c: c, subs: map[*channel]*subscription{}} }

func (l *live) greet(b []byte, _ *access.Principal) []byte { return b }

func (l *live) handle(m *message) {
	switch m.Type {
	case "subscribe":
		l.subscribe(m)
	case "unsubscribe":
		l.unsubscribe(m)
	default:
		l.c.fail(codeBadRequest, "type must be subscribe, unsubscribe or ping", "")
	}
}

func (l *live) subscribe(m *message) {
	if !l.c.mayOperate() {
		l.c.fail(codeRateLimit, "too many subscribe messages", knownName(m.Channel))
		return
	}
	ch, ok := l.c.server.hub.channel(m.Channel)
	if !ok {
		l.invalidChannel(m.Channel)
		return
	}
	old := l.subs[ch]
	if old == nil {
		if !l.c.server.quota.take(l.c.owner.Load(), slotSubscription) {
			l.c.fail(codeSubscriptionLimit, "subscription limit reached", ch.name)
			return
		}
		subscriptions(ch.family.name).Inc()
		l.c.hold(1)
	}
	l.subs[ch] = ch.subscribe(l.c, old, m.Since)
}

func (l *live) unsubscribe(m *message) {
	if !l.c.mayOperate() {
		l.c.fail(codeRateLimit, "too many subscribe messages", knownName(m.Channel))
		return
	}
	ch, ok := l.c.server.hub.channel(m.Channel)
	if !ok {
		l.invalidChannel(m.Channel)
		return
	}
	sub := l.subs[ch]
	if sub == nil {
		l.c.fail(codeNotSubscribed, "channel is not subscribed", ch.name)
		return
	}
	l.drop(ch, sub, channelFrame("unsubscribed", ch.name))
}

// longestName bounds what of a wrong channel name is sent back: longer ones are left out.
const longestName = 128

func (l *live) invalidChannel(name string) {
	l.c.fail(codeInvalidChannel, "channel must name a family and a known market, as order_book/0 does", knownName(name))
}

func knownName(name string) string {
	if len(name) > longestName {
		return ""
	}
	return name
}

func (l *live) drop(ch *channel, sub *subscription, ack []byte) {
	ch.unsubscribe(sub, ack)
	delete(l.subs, ch)
	l.c.server.quota.give(l.c.owner.Load(), slotSubscription)
	l.c.hold(-1)
	subscriptions(ch.family.name).Dec()
}

func (l *live) moved(from, to *access.Principal) {
	for range l.subs {
		l.c.server.quota.give(from, slotSubscription)
		l.c.server.quota.force(to, slotSubscription)
	}
}

func (l *live) end() {
	for ch, sub := range l.subs {
		l.drop(ch, sub, nil)
	}
}
