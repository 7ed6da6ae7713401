package ws

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/relay"
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

const (
	// nativeStrikes is how many messages in a row may come beyond the rate before the connection is closed. It is far
	// above what a client subscribes to at once: the venue refuses such a burst and lets its sender stay.
	nativeStrikes = 1000
	// An upstream socket that cannot be opened is tried a few times at once, then once a second.
	nativeDials = 5
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
	strikes int    // consecutive messages beyond the rate
	dials   bucket // of upstream sockets
}

func newNativeSession(c *Conn) session {
	c.native.Store(true)
	return &nativeSession{c: c, subs: map[*nativeChannel]*subscription{}, relayed: map[string]struct{}{},
		dials: bucket{perSecond: 1, burst: nativeDials}}
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
	c.session = &live{c: c, subs: map[string]held{}, owners: true}
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
	transaction := readable && isTransaction(r.Type, text)
	// The venue counts transactions by their account. Those of nobody we know are counted like the rest all the same.
	if !(transaction && !c.anonymous.Load()) && !n.recent.take(c.server.limits.NativeMessages, c.server.o.Now()) {
		n.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
		if n.strikes++; n.strikes >= nativeStrikes {
			c.shut(closeRate, false)
		}
		return
	}
	n.strikes = 0
	token := r.token()
	switch {
	case !valid:
		n.fail(nativeInvalidJSON, "Invalid Json")
	case !readable:
		n.fail(nativeInvalidType, "Invalid Type")
	case sends || token != "":
		n.relay(text, token, !transaction)
	case r.Type == "ping" && n.up.open():
		n.relay(text, token, !transaction) // its pong comes back; a second one would be one too many
	case r.Type == "ping":
		c.send(newFrame(c.server.o.Native.Pong(nil)))
	case r.Type == "pong":
		if n.up.open() {
			n.relay(text, token, !transaction)
		}
	case r.Type == "subscribe":
		n.subscribe(r.Channel, text)
	case r.Type == "unsubscribe":
		n.unsubscribe(r.Channel, text)
	default:
		n.fail(nativeInvalidType, "Invalid Type")
	}
}

// isTransaction tells whether a message is one of the two that the venue does not count. One that names its type twice,
// in whatever spelling, may be something else to the venue.
func isTransaction(kind string, text []byte) bool {
	if kind != "jsonapi/sendtx" && kind != "jsonapi/sendtxbatch" {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return false
	}
	types := 0
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		if s, ok := name.(string); ok && strings.EqualFold(s, "type") {
			types++
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return false
		}
	}
	return types == 1
}

// leaks tells whether a message holds a credential of ours, which must not go upstream; token is its auth member.
func (n *nativeSession) leaks(text []byte, token string) bool {
	shown, _ := n.c.shown.Credential()
	text = plainText(text)
	return shown != "" && bytes.Contains(text, []byte(shown)) || bytes.Contains(text, []byte(`"hlt_`)) || relay.HoldsKey(text) ||
		token != "" && relay.HoldsCredential([]byte(token))
}

// plainText returns JSON with its escaped ASCII characters as they are meant, which is no JSON any more.
func plainText(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u00`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if i+5 < len(text) && string(text[i:i+4]) == `\u00` {
			if v, err := strconv.ParseUint(string(text[i+4:i+6]), 16, 8); err == nil {
				out = append(out, byte(v))
				i += 5
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
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

// relay hands a message to the private upstream socket, which is opened at the first use; it waits while that is behind.
// token is the message's auth member; counted tells that the venue counts the message.
func (n *nativeSession) relay(text []byte, token string, counted bool) bool {
	c := n.c
	if c.server.o.Upstream.URL == "" {
		n.fail(nativeInvalidChannel, "Invalid Channel")
		return false
	}
	if n.leaks(text, token) {
		n.fail(nativeInvalidAuth, "invalid auth: a hyperlight key is no token of the venue")
		return false
	}
	if take := c.server.o.Upstream.Take; take != nil && counted && !take() {
		n.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
		return false
	}
	if !n.up.open() {
		n.up.close()
		clear(n.relayed) // what a socket had that could not be opened
		if !n.dials.take(c.server.o.Now()) {
			n.fail(nativeConnectFailed, "Connect Failed")
			return false
		}
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
