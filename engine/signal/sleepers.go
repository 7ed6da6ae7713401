package signal

import "hyperlight/engine/model"

// sleepers is a heap of signals that are looked at no earlier than at their wake time, the earliest first.
type sleepers []*entry

// first returns the wake time of the earliest one.
func (h sleepers) first() (model.Millis, bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].wake, true
}

func (h *sleepers) push(s *entry) {
	s.slot = len(*h)
	*h = append(*h, s)
	h.up(s.slot)
}

// remove takes a signal out, which must be in.
func (h *sleepers) remove(s *entry) {
	list, i, last := *h, s.slot, len(*h)-1
	list[i] = list[last]
	list[i].slot = i
	list[last] = nil
	*h = list[:last]
	if i < last {
		h.down(i)
		h.up(i)
	}
	s.slot = awake
}

func (h sleepers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].wake <= h[i].wake {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h sleepers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].wake < h[child].wake {
			child++
		}
		if h[i].wake <= h[child].wake {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h sleepers) swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].slot, h[k].slot = i, k
}
