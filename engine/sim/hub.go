package sim

import (
	"strings"
	"sync"
)

// hub is a source's registry of channels and their subscribers. Its mutex guards the whole source: a snapshot is made
// and queued under the same lock as the updates, so that the update behind a snapshot is exactly the next one.
type hub struct {
	mu   sync.Mutex
	subs map[string][]*conn // by channel key
	// private counts the subscriptions of order channels.
	private int
	// tap sees every published frame (tests): with it set, frames are made even when nobody has subscribed.
	tap func(key string, frame []byte)
}

func newHub() *hub { return &hub{subs: make(map[string][]*conn)} }

// wanted tells whether anybody would see a frame of the channel. The mutex must be held.
func (h *hub) wanted(key string) bool { return h.tap != nil || len(h.subs[key]) > 0 }

// publish frames the text once and queues it for every subscriber. The mutex must be held; text is copied.
func (h *hub) publish(key string, text []byte) {
	if h.tap != nil {
		h.tap(key, text)
	}
	list := h.subs[key]
	if len(list) == 0 {
		return
	}
	f := serverFrame(opText, text)
	for _, c := range list {
		c.send(f)
	}
}

// join adds a subscriber. The mutex must be held.
func (h *hub) join(key string, c *conn) {
	h.subs[key] = append(h.subs[key], c)
	if isOrders(key) {
		h.private++
	}
}

func isOrders(key string) bool {
	return strings.HasPrefix(key, "account_orders:") || strings.HasPrefix(key, "account_all_orders:")
}

// leave removes a subscriber. The mutex must be held.
func (h *hub) leave(key string, c *conn) {
	list := h.subs[key]
	for i, x := range list {
		if x == c {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			if isOrders(key) {
				h.private--
			}
			break
		}
	}
	if len(list) == 0 {
		delete(h.subs, key)
		return
	}
	h.subs[key] = list
}
