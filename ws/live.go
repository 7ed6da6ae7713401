package ws

import (
	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// live is the session of /ws: subscriptions to live channels. Its methods run on the connection's reader goroutine.
type live struct {
	c      *Conn
	subs   map[string]held // by the channel's name
	owners bool            // order_book names owners where the plan may see them
}

// held is a channel that a connection has subscribed to.
type held struct {
	family *family
	market *model.Market
	ch     *channel
	sub    *subscription
}

func newLive(c *Conn) session { return &live{c: c, subs: map[string]held{}} }

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
	hub := l.c.server.hub
	f, mk, ok := hub.find(m.Channel)
	if !ok {
		l.invalidChannel(m.Channel)
		return
	}
	name := f.channelName(mk.Native)
	if f == heatmapFamily && hub.own.heatmaps == nil {
		l.c.fail(codeInvalidChannel, "liquidation_heatmap is not computed on this server", name)
		return
	}
	var o options
	if f.own() >= 0 {
		var err error
		if o, err = hub.optionsOf(f, mk, m, l.c.owner.Load().Plan); err != nil {
			l.c.fail(codeBadRequest, err.Error(), name)
			return
		}
	}
	old, again := l.subs[name]
	if !again {
		if !l.c.server.quota.take(l.c.owner.Load(), slotSubscription) {
			l.c.fail(codeSubscriptionLimit, "subscription limit reached", name)
			return
		}
		subscriptions(f.name).Inc()
		l.c.hold(1)
	}
	if l.begin(held{family: f, market: mk}, o, old.sub, m.Since) || again {
		return
	}
	l.release(l.c.owner.Load(), f)
}

// begin subscribes to a channel with options, or without, in place of old; false where there is no room for the options.
func (l *live) begin(h held, o options, old *subscription, s *since) bool {
	name := h.family.channelName(h.market.Native)
	feed := l.c.server.hub.feed(h.market)
	if h.family.own() < 0 {
		h.ch = feed.channels[h.family.index]
		if h.family == bookFamily {
			h.ch = l.bookChannel(feed, l.c.owner.Load().Plan)
		}
		if old != nil && old.source != source(h.ch) {
			old.source.(*channel).unsubscribe(old, nil)
			old = nil
		}
		h.sub = h.ch.subscribe(l.c, old, s)
	} else {
		var ok bool
		if h.sub, ok = feed.desk.subscribe(h.family, h.market, o, l.c, old, s); !ok {
			l.c.fail(codeSubscriptionLimit, "too many different options of this channel are in use: leave them out, or use those of another subscription", name)
			return false
		}
		h.ch = h.sub.source.(*channel)
	}
	l.subs[name] = h
	return true
}

func (l *live) unsubscribe(m *message) {
	if !l.c.mayOperate() {
		l.c.fail(codeRateLimit, "too many subscribe messages", knownName(m.Channel))
		return
	}
	f, mk, ok := l.c.server.hub.find(m.Channel)
	if !ok {
		l.invalidChannel(m.Channel)
		return
	}
	name := f.channelName(mk.Native)
	if _, has := l.subs[name]; !has {
		l.c.fail(codeNotSubscribed, "channel is not subscribed", name)
		return
	}
	l.drop(name, channelFrame("unsubscribed", name))
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

func (l *live) drop(name string, ack []byte) {
	h := l.subs[name]
	h.ch.unsubscribe(h.sub, ack)
	delete(l.subs, name)
	l.release(l.c.owner.Load(), h.family)
}

// release gives back what one subscription has taken.
func (l *live) release(p *access.Principal, f *family) {
	l.c.server.quota.give(p, slotSubscription)
	l.c.hold(-1)
	subscriptions(f.name).Dec()
}

// moved hands the subscriptions over. What the other account may see of them may differ: such a channel begins anew.
func (l *live) moved(from, to *access.Principal) {
	for name, h := range l.subs {
		l.c.server.quota.give(from, slotSubscription)
		l.c.server.quota.force(to, slotSubscription)
		var o options
		switch {
		case h.family == bookFamily:
			if h.ch == l.bookChannel(l.c.server.hub.feed(h.market), to.Plan) {
				continue
			}
		case h.family.own() < 0 || h.family == heatmapFamily || h.ch.set.accounts == to.Plan.Attribution:
			continue
		default:
			o = h.ch.set.options
			o.accounts = to.Plan.Attribution
		}
		if !l.begin(h, o, h.sub, nil) {
			l.drop(name, nil) // it must not go on as it was
		}
	}
}

func (l *live) end() {
	for name := range l.subs {
		l.drop(name, nil)
	}
}
