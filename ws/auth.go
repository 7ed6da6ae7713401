package ws

import (
	"errors"
	"strconv"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// greet authenticates by what the handshake showed. A caller without a credential that is not local must send an auth
// message.
func (c *Conn) greet() {
	p, err := c.server.o.Access.Authenticate(c.shown)
	if _, shown := c.shown.Credential(); err != nil {
		if shown {
			c.refuse(err)
		}
		return
	}
	// A local caller may still name itself once; a credential in the handshake was its auth message.
	c.mayAuth = p.Local
	c.accept(p)
}

// auth handles an auth message.
func (c *Conn) auth(m *message) {
	if c.owner.Load() != nil && !c.mayAuth {
		c.fail(codeBadRequest, "already authenticated", "")
		return
	}
	as := typed
	switch m.Format {
	case "", "typed":
	case "data":
		as = wrapped
	default:
		c.fail(codeBadRequest, `format must be "typed" or "data"`, "")
		return
	}
	r := c.shown
	r.APIKey, r.Bearer, r.Query = m.APIKey, m.Token, ""
	p, err := c.server.o.Access.Authenticate(r)
	if err != nil {
		c.refuse(err)
		return
	}
	c.mayAuth = false
	c.as.Store(uint32(as | format(c.as.Load())&deflated))
	c.heartbeats.Store(m.Heartbeats)
	c.accept(p)
}

// refuse tells why a credential is not taken and closes.
func (c *Conn) refuse(err error) {
	var e *model.Error
	if !errors.As(err, &e) {
		c.server.o.Logger.Error("authenticate failed", "path", c.path, "err", err)
		c.fail(codeInternal, "internal error", "")
		c.shut(closeInternal, false)
		return
	}
	// Who tries credentials out is stopped by the window of its address, whatever the next one would have been.
	if d := c.server.o.Access.TakeIP(c.shown.Client, access.IPFailed, model.Millis(c.server.o.Now().UnixMilli())); !d.OK {
		c.fail(codeRateLimit, "too many refused credentials from this address", "")
		c.shut(closeRate, false)
		return
	}
	code := closeAuth
	if e.Code == model.CodeForbidden {
		code = closeRefused
	}
	c.fail(string(e.Code), e.Message, "")
	c.shut(code, false)
}

// adopt makes p the connection's owner and takes its slot; a former owner's is given back first. It returns false where
// there is no slot.
func (c *Conn) adopt(p *access.Principal) bool {
	former := c.owner.Load()
	if former != nil {
		c.server.quota.give(former, slotConnection)
	}
	if !c.server.quota.take(p, slotConnection) {
		if former != nil {
			c.server.quota.force(former, slotConnection) // given back when the connection ends
		}
		return false
	}
	c.owner.Store(p)
	c.server.lobby.leave(c)
	c.authTimer.Stop()
	if former != nil {
		c.session.moved(former, p)
	}
	// A change between the authentication and this moment was told to connections that had an owner then.
	c.recheck()
	c.armIdle()
	return true
}

// accept adopts an owner and tells the client.
func (c *Conn) accept(p *access.Principal) {
	if !c.adopt(p) {
		c.fail(codeConnectionLimit, "connection limit reached", "")
		c.shut(closeLimit, false)
		return
	}
	if c.closing.Load() {
		return
	}
	b := append(make([]byte, 0, 128), `{"type":"authenticated","tier":`...)
	b = model.AppendString(b, p.Plan.Slug)
	b = append(b, `,"max_subscriptions":`...)
	b = strconv.AppendInt(b, int64(p.Plan.Subscriptions), 10)
	b = c.session.greet(b, p)
	c.send(newFrame(append(b, '}')))
}
