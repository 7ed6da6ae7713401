package ws

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/access"
)

// Codes of the venue's error frames that we send ourselves.
const (
	nativeInvalidParam     = 20001
	nativeInvalidAuth      = 20013
	nativeTooManyRequests  = 23000
	nativeTooManySubs      = 23001
	nativeTooManyConns     = 23003
	nativeInvalidJSON      = 30000
	nativeInvalidType      = 30001
	nativeNotSubscribed    = 30002
	nativeAlreadyHeld      = 30003
	nativeInvalidChannel   = 30005
	nativeTooManyMessages  = 30009
	nativeConnectFailed    = 30011
	nativeMostRelayedNames = 500 // the venue's subscriptions per connection
)

// nativeSession is the session of /stream in the venue's protocol. What we follow is served from the hub; everything
// else goes verbatim over a private upstream socket. Its methods run on the connection's reader goroutine.
//
// Answers of one side keep their order. Between the two sides there is none, as there is none at the venue between the
// answers of a subscribe and the updates of other channels.
type nativeSession struct {
	c       *Conn
	begun   bool // the first message has decided the mode
	hurried bool // it has waited for a channel in vain
	subs    map[*nativeChannel]*subscription
	relayed map[string]struct{} // channels of our families that were subscribed to upstream, with a colon
	up      *private            // nil until it is needed
	recent  window
}

func newNativeSession(c *Conn) session {
	c.native.Store(true)
	return &nativeSession{c: c, subs: map[*nativeChannel]*subscription{}, relayed: map[string]struct{}{}}
}

func (n *nativeSession) greet(b []byte, _ *access.Principal) []byte { return b }

func (n *nativeSession) handle(*message) {}

func (n *nativeSession) moved(_, _ *access.Principal) {}

// open sends the venue's greeting and identifies the client by its handshake, if that shows who it is. Unlike on /ws
// nobody is told: a client of the venue would not understand.
func (n *nativeSession) open() {
	c := n.c
	c.send(newFrame(c.server.o.Native.Connected(nil, uuid.NewString())))
	p, err := c.server.o.Access.Authenticate(c.shown)
	if _, shown := c.shown.Credential(); err != nil {
		if shown {
			c.refuse(err)
		}
		return
	}
	if !c.adopt(p) {
		n.full()
		return
	}
	c.mayAuth = true
}

// full tells that there is no connection slot, in both protocols' words: the client has not said yet which it speaks.
func (n *nativeSession) full() {
	n.fail(nativeTooManyConns, "Too Many Connections!")
	n.c.shut(closeLimit, false)
}

func (n *nativeSession) fail(code int, message string) {
	n.c.send(newFrame(n.c.server.o.Native.Error(nil, code, message)))
}

// message handles a client message; false where the session has ended with it and the connection speaks our protocol now.
func (n *nativeSession) message(text []byte) bool {
	if !n.begun {
		n.begun = true
		if m, err := parseMessage(text); err == nil && m.Type == "auth" {
			n.enhance()
			return false
		}
		if !n.admit() {
			return true
		}
	}
	n.answer(text)
	return true
}

// enhance makes the connection one of /ws.
func (n *nativeSession) enhance() {
	c := n.c
	c.session = newLive(c)
	c.native.Store(false)
	c.pingTimer.Reset(c.server.limits.PingInterval)
	c.armIdle()
}

// admit lets a client in that has shown no credential, under the lowest plan and counted by its address.
func (n *nativeSession) admit() bool {
	c := n.c
	if c.owner.Load() != nil {
		return true
	}
	plan := c.server.lowestPlan()
	if !c.server.o.AllowAnonymous || plan == nil {
		n.fail(nativeInvalidParam, "a hyperlight API key is required: add ?api_key= to the address")
		c.shut(closeAuth, false)
		return false
	}
	c.anonymous.Store(true)
	if !c.adopt(&access.Principal{Plan: plan, Account: addressAccount(c)}) {
		n.full()
		return false
	}
	return true
}

// addressAccount is the account that the sockets of a client without a credential are counted under.
func addressAccount(c *Conn) string {
	if block := blockOf(c.shown.Client); block.IsValid() {
		return "ip:" + block.String()
	}
	return "ip:" + c.shown.Client.String()
}

// request is a client message of the venue's protocol, as far as it decides where the message goes.
type request struct {
	Type    string          `json:"type"`
	Channel string          `json:"channel"`
	Auth    json.RawMessage `json:"auth"`
}

// token returns the auth member, "" where there is none.
func (r *request) token() string {
	var s string
	if len(r.Auth) == 0 || json.Unmarshal(r.Auth, &s) == nil {
		return s
	}
	return string(r.Auth)
}

func (n *nativeSession) answer(text []byte) {
	c := n.c
	var r request
	valid := json.Valid(text)
	readable := valid && json.Unmarshal(text, &r) == nil
	sends := strings.HasPrefix(r.Type, "jsonapi/")
	if !sends && !n.recent.take(c.server.limits.NativeMessages, c.server.o.Now()) {
		n.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
		return
	}
	switch token := r.token(); {
	case !valid:
		n.fail(nativeInvalidJSON, "Invalid Json")
	case !readable:
		n.fail(nativeInvalidType, "Invalid Type")
	case sends || token != "":
		n.relay(text)
	case r.Type == "ping" && n.up.open():
		n.relay(text) // its pong comes back; a second one would be one too many
	case r.Type == "ping":
		c.send(newFrame(c.server.o.Native.Pong(nil)))
	case r.Type == "pong":
		if n.up.open() {
			n.relay(text)
		}
	case r.Type == "subscribe":
		n.subscribe(r.Channel, text)
	case r.Type == "unsubscribe":
		n.unsubscribe(r.Channel, text)
	default:
		n.fail(nativeInvalidType, "Invalid Type")
	}
}

// leaks tells whether a message holds a credential of ours, which must not go upstream. A client that hides one behind
// escapes betrays only itself.
func (n *nativeSession) leaks(text []byte) bool {
	shown, _ := n.c.shown.Credential()
	return shown != "" && bytes.Contains(text, []byte(shown)) || bytes.Contains(text, []byte(`"hlt_`))
}

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
		n.relay(text) // of a held one the venue says so itself
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
	if n.relay(text) {
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
		if n.relay(text) {
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

// relay hands a message to the private upstream socket, which is opened at the first use; it waits while that is behind.
func (n *nativeSession) relay(text []byte) bool {
	c := n.c
	if c.server.o.Upstream.URL == "" {
		n.fail(nativeInvalidChannel, "Invalid Channel")
		return false
	}
	if n.leaks(text) {
		n.fail(nativeInvalidAuth, "invalid auth: a hyperlight key is no token of the venue")
		return false
	}
	if take := c.server.o.Upstream.Take; take != nil && !bytes.Contains(text, []byte("jsonapi/")) && !take() {
		n.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
		return false
	}
	if !n.up.open() {
		n.up.close()
		clear(n.relayed) // what a socket had that could not be opened
		if n.up = c.server.newPrivate(c); n.up == nil {
			n.fail(nativeTooManyConns, "Too Many Connections!")
			return false
		}
	}
	n.up.push(bytes.Clone(text))
	return true
}

func (n *nativeSession) end() {
	for ch := range n.subs {
		n.drop(ch, nil)
	}
	n.up.close()
}

// window counts the events of a rolling minute. It is used by one goroutine.
type window struct{ times []time.Time }

// take counts an event, or returns false where there were most in the last minute; a refused one is not counted.
func (w *window) take(most int, now time.Time) bool {
	old := 0
	for old < len(w.times) && now.Sub(w.times[old]) >= time.Minute {
		old++
	}
	w.times = append(w.times[:0], w.times[old:]...)
	if len(w.times) >= most {
		return false
	}
	w.times = append(w.times, now)
	return true
}
