package ws

import (
	"errors"

	"hyperlight/engine/model"
)

// spentWords say why a metered connection ends.
const spentWords = "monthly credit quota exceeded"

var errSpent = errors.New(spentWords)

// spend pays for n data messages that are about to be written, where the owner's plan meters them; false where his
// credits do not suffice. A message that is not written costs nothing.
func (c *Conn) spend(n int) bool {
	if n == 0 {
		return true
	}
	p := c.owner.Load()
	if p == nil || p.Plan.CreditPerMessage == 0 {
		return true
	}
	return c.server.o.Access.Spend(p, int64(n)*int64(p.Plan.CreditPerMessage), model.Millis(c.server.o.Now().UnixMilli()))
}

// overspent ends a connection whose owner has no credits left: the writer sends what it has joined, an error, and the
// close frame 4003. The contract has no code of its own for it; like an expired key it is nothing that reconnecting heals.
func (c *Conn) overspent(j *joiner) (more bool, err error) {
	frame := errorFrame(codeQuota, spentWords, "")
	if c.native.Load() {
		frame = newFrame(c.server.o.Native.Error(nil, nativeTooManyRequests, spentWords))
	}
	c.shutFor(closeRefused, spentWords, true)
	if err := c.join(j, frame); err != nil {
		return false, err
	}
	return true, c.flush(j)
}

// mayOperate counts a subscribe or unsubscribe message against the plan's rate. It is called on the reader goroutine.
func (c *Conn) mayOperate() bool {
	n := c.owner.Load().Plan.SubscribeOpsPerSecond
	if n <= 0 {
		return true
	}
	if c.ops.perSecond != n {
		c.ops = bucket{perSecond: n, burst: n}
	}
	return c.ops.take(c.server.o.Now())
}
