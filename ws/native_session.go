package ws

import (
	"bytes"
	"encoding/json"
	"strings"

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
