package sim

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// dialogue answers the messages of one connection in the order in which they came. With an answer delay (the venue's
// own takes 100 to 250 ms) answers come from a goroutine, and the number of unanswered messages becomes visible.
type dialogue struct {
	c     *conn
	due   chan delayed
	done  chan struct{}
	delay time.Duration
}

type delayed struct {
	at  time.Time
	msg []byte
}

func newDialogue(c *conn) *dialogue {
	d := &dialogue{c: c, delay: c.srv.delay, done: make(chan struct{})}
	if d.delay <= 0 {
		close(d.done)
		return d
	}
	size := c.srv.limits.UnansweredMessages
	if size < 0 {
		size = 1024
	}
	c.waiting = make(chan struct{}, size)
	d.due = make(chan delayed, size)
	go func() {
		defer close(d.done)
		for m := range d.due {
			time.Sleep(m.at.Sub(c.srv.now()))
			d.answer(m.msg)
			<-c.waiting
		}
	}()
	return d
}

func (d *dialogue) stop() {
	if d.due != nil {
		close(d.due)
	}
	<-d.done
}

// receive takes one client message: limits first, then the answer, at once or after the delay.
func (d *dialogue) receive(msg []byte) {
	c := d.c
	if !isSend(msg) && !c.srv.clients.message(c.ip, c.srv.limits, c.srv.now()) {
		c.refuse(errTooManyMessages)
		return
	}
	if d.due == nil {
		d.answer(msg)
		return
	}
	select {
	case c.waiting <- struct{}{}:
		d.due <- delayed{at: c.srv.now().Add(d.delay), msg: msg}
	default:
		c.refuse(errTooManyInflight)
	}
}

// request is a client message. flushInterval and other members of the web front end are ignored.
type request struct {
	Type    string          `json:"type"`
	Channel string          `json:"channel"`
	Auth    string          `json:"auth"`
	Data    json.RawMessage `json:"data"`
}

func (d *dialogue) answer(msg []byte) {
	c := d.c
	if !json.Valid(msg) {
		c.refuse(errInvalidJSON)
		return
	}
	var r request
	if err := json.Unmarshal(msg, &r); err != nil {
		c.refuse(errInvalidType)
		return
	}
	switch r.Type {
	case "ping":
		c.sendText([]byte(`{"type":"pong"}`))
	case "pong":
	case "subscribe":
		if e := c.subscribe(r.Channel, r.Auth); e != nil {
			c.refuse(e)
		}
	case "unsubscribe":
		if e := c.unsubscribe(r.Channel); e != nil {
			c.refuse(e)
		}
	case "jsonapi/sendtx", "jsonapi/sendtxbatch":
		c.sendText(c.srv.streamSend(r.Type, r.Data))
	default:
		c.refuse(errInvalidType)
	}
}

func (c *conn) refuse(e *venueError) { c.sendText(e.appendFrame(nil)) }

// subscribe answers with the state, or returns the refusal. State and membership change under one lock.
func (c *conn) subscribe(name, auth string) *venueError {
	ch, e := parseChannel(name)
	if e != nil {
		return e
	}
	if ch.private {
		if auth == "" {
			return refuse(20001, "invalid param : auth field is required: "+ch.key)
		}
		if e := checkToken(auth, ch.account, c.srv.src.now()); e != nil {
			return refuse(e.code, e.message+": "+ch.key)
		}
	}
	h := c.srv.src.stream()
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := c.held[ch.key]; ok {
		return refuse(30003, "Already Subscribed to : "+ch.key)
	}
	if e := c.srv.src.open(ch); e != nil {
		return e
	}
	l := c.srv.limits
	if l.Subscriptions >= 0 && len(c.held) >= l.Subscriptions {
		return errTooManySubs
	}
	if ch.account >= 0 && c.accounts[ch.account] == 0 && l.Accounts >= 0 && len(c.accounts) >= l.Accounts {
		return errTooManyAccounts
	}
	c.held[ch.key] = ch
	if ch.account >= 0 {
		c.accounts[ch.account]++
	}
	c.sendText(c.srv.src.snapshot(nil, ch))
	h.join(ch.key, c)
	return nil
}

func (c *conn) unsubscribe(name string) *venueError {
	ch, e := parseChannel(name)
	if e != nil {
		return e
	}
	h := c.srv.src.stream()
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := c.held[ch.key]; !ok {
		return refuse(30002, "Not Subscribed to : "+ch.key)
	}
	delete(c.held, ch.key)
	if ch.account >= 0 {
		if c.accounts[ch.account]--; c.accounts[ch.account] == 0 {
			delete(c.accounts, ch.account)
		}
	}
	h.leave(ch.key, c)
	// This frame alone has spaces after its colons.
	c.sendText(append(model.AppendString([]byte(`{"type": "unsubscribed", "channel": `), ch.key), '}'))
	return nil
}

func appendGreeting(dst []byte) []byte {
	dst = append(dst, `{"session_id":"`...)
	dst = append(dst, uuid.NewString()...)
	return append(dst, `","type":"connected"}`...)
}

// isSend tells transactions apart, which have a budget of their own.
func isSend(msg []byte) bool {
	var r struct {
		Type string `json:"type"`
	}
	return json.Unmarshal(msg, &r) == nil && (r.Type == "jsonapi/sendtx" || r.Type == "jsonapi/sendtxbatch")
}

// checkToken checks the deadline and the account of a token; the signature is not looked at. account -1 accepts any.
func checkToken(token string, account int64, now time.Time) *venueError {
	expiry, owner, ok := parseToken(token)
	if !ok || expiry <= now.Unix() || expiry > now.Add(8*time.Hour).Unix() {
		return errInvalidDeadline
	}
	if account >= 0 && owner != account {
		return &venueError{status: 401, code: 20013, message: "invalid auth: invalid account"}
	}
	return nil
}

// parseToken reads "{expiry}:{account}:{key}:{hex}".
func parseToken(token string) (expiry, account int64, ok bool) {
	var parts [4]string
	n := 0
	for start, i := 0, 0; i <= len(token); i++ {
		if i == len(token) || token[i] == ':' {
			if n == len(parts) {
				return 0, 0, false
			}
			parts[n] = token[start:i]
			n, start = n+1, i+1
		}
	}
	expiry, err1 := strconv.ParseInt(parts[0], 10, 64)
	account, err2 := strconv.ParseInt(parts[1], 10, 64)
	return expiry, account, n == len(parts) && err1 == nil && err2 == nil
}
