package ws

// subscription is one connection's hold of a channel. The channel's lock guards it.
type subscription struct {
	source source
	conn   *Conn
	index  int // place in the channel's subs
	dead   bool
	// conflated says that data frames are left out until the writer comes for the newest state.
	conflated bool
	missed    []*Frame // gap frames since then
}

// subscribe puts the acknowledgement, and what the subscriber has missed or the whole book, into the connection's queue
// and adds the subscription. old is the one it replaces, nil if none.
func (c *channel) subscribe(conn *Conn, old *subscription, s *since) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.active {
		c.activate()
	}
	if old != nil {
		c.remove(old)
	}
	sub := &subscription{source: c, conn: conn, index: len(c.subs)}
	c.subs = append(c.subs, sub)

	var missed []byte
	var count int
	recovered := false
	first := c.state()
	if s != nil && s.Epoch == c.epoch {
		missed, count, recovered = c.since(s.Seq, format(conn.as.Load()))
	}
	switch {
	case recovered:
		conn.send(c.acknowledge(s.Seq, s, true))
		if len(missed) > 0 {
			conn.push(item{raw: missed, size: len(missed), messages: count})
		}
	case first != nil:
		// The whole book is the state after frame seq and carries its number.
		conn.send(c.acknowledge(first.seq-1, s, false))
		conn.push(item{frame: first, sub: sub, size: first.size})
	default:
		conn.send(c.acknowledge(c.seq, s, false))
	}
	return sub
}

// acknowledge makes the subscribed message; the next frame has seq + 1.
func (c *channel) acknowledge(seq uint64, s *since, recovered bool) []byte {
	b := append(make([]byte, 0, 128), `{"type":"subscribed","channel":"`...)
	b = append(b, c.name...)
	b = append(b, `","epoch":"`...)
	b = append(b, c.epoch...)
	b = append(b, `","seq":`...)
	b = appendUint(b, seq)
	switch {
	case recovered:
		b = append(b, `,"recovered":true`...)
	case s != nil:
		b = append(b, `,"recovered":false`...)
	}
	return newFrame(append(b, '}'))
}

// since joins the frames after seq and counts the data messages among them; false where one is gone, or where they would
// fill most of a queue.
func (c *channel) since(seq uint64, as format) (out []byte, messages int, ok bool) {
	frames, ok := c.ring.after(seq, c.seq)
	if !ok {
		return nil, 0, false
	}
	for _, f := range frames {
		out = append(out, f.bytesAfter(seq, as)...)
		if !f.lasting {
			messages += f.messages()
			if f.seq <= seq {
				messages -= int(seq - f.seq + 1)
			}
		}
		if len(out) > c.hub.limits.QueueBytes/2 {
			return nil, 0, false
		}
	}
	return out, messages, true
}

// unsubscribe removes a subscription; ack, if not nil, follows its last frame.
func (c *channel) unsubscribe(sub *subscription, ack []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(sub)
	if len(c.subs) == 0 {
		c.left = c.hub.now()
	}
	if ack != nil {
		sub.conn.send(ack)
	}
}

func (c *channel) remove(sub *subscription) {
	last := len(c.subs) - 1
	c.subs[sub.index] = c.subs[last]
	c.subs[sub.index].index = sub.index
	c.subs[last] = nil
	c.subs = c.subs[:last]
	sub.dead, sub.missed = true, nil
}
