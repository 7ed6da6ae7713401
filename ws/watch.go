package ws

import (
	"errors"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// watchPause is the least time between two looks at all connections: a storm of changes must not become one of checks.
const watchPause = 20 * time.Millisecond

// watch looks at every connection's owner when users, keys or plans change, and once a second for what time alone
// changes, such as a key's expiry.
func (s *Server) watch() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		changed := s.o.Access.Changed() // before looking: what changes meanwhile is seen by the next look
		s.recheck()
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
			continue
		case <-changed:
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(watchPause):
		}
	}
}

func (s *Server) recheck() {
	s.mu.Lock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.recheck()
	}
}

// recheck closes the connection where its owner is no longer let in, and takes over a changed plan: its limits hold from
// the next message on, what is held already stays. It may be called from any goroutine.
func (c *Conn) recheck() {
	old := c.owner.Load()
	if old == nil || c.closing.Load() {
		return
	}
	now, err := c.standing(old)
	switch {
	case err != nil:
		c.dismiss(err)
	case now != old && c.owner.CompareAndSwap(old, now):
		c.armIdle()
	}
}

// standing returns the owner as he stands now.
func (c *Conn) standing(p *access.Principal) (*access.Principal, error) {
	if !c.anonymous.Load() {
		return c.server.o.Access.Recheck(p, c.shown.Client)
	}
	if plan := c.server.lowestPlan(); plan != nil && plan != p.Plan {
		moved := *p
		moved.Plan = plan
		return &moved, nil
	}
	return p, nil
}

// lowestPlan is the plan of clients without a credential.
func (s *Server) lowestPlan() *access.Plan {
	if plans := s.o.Access.Plans(); len(plans) > 0 {
		return plans[0]
	}
	return nil
}

// dismiss closes the connection of an owner who is no longer let in. What waits for him is not sent any more.
func (c *Conn) dismiss(err error) {
	var e *model.Error
	if !errors.As(err, &e) {
		c.server.o.Logger.Error("recheck failed", "path", c.path, "err", err)
		return
	}
	code := closeRevoked
	if e.Code == model.CodeForbidden {
		code = closeRefused
	}
	c.shut(code, true)
}
