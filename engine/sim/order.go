package sim

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// order is a resting limit order.
type order struct {
	index   int64 // the venue's order_index
	client  int64
	owner   *account
	market  *market
	side    model.Side
	price   num.Price
	initial num.Size
	left    num.Size
	filled  num.Size
	ended   string  // why it left, in the venue's words; "" while it rests
	reserve num.USD // initial margin held for what is left
	expiry  int64   // ms
	created int64   // us

	prev, next *order // queue inside the level
	slot       int    // place in owner.orders
}

// level is a price of one side with its queue; price-time priority is the order of the queue.
type level struct {
	price      num.Price
	size       num.Size
	count      int32
	head, tail *order
}

// side holds one side's levels, the best last: nearly all changes happen there, so little is moved.
type side struct {
	is     model.Side
	levels []level
}

// better tells whether price a stands before b in the queue of this side.
func (s *side) better(a, b num.Price) bool {
	if s.is == model.Ask {
		return a < b
	}
	return a > b
}

// find returns the place of a price and whether it is there; without it, the place where it belongs.
func (s *side) find(p num.Price) (int, bool) {
	lo, hi := 0, len(s.levels)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.better(p, s.levels[mid].price) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(s.levels) && s.levels[lo].price == p
}

func (s *side) best() *level {
	if len(s.levels) == 0 {
		return nil
	}
	return &s.levels[len(s.levels)-1]
}

// size returns the size at a price, 0 where there is no level.
func (s *side) size(p num.Price) num.Size {
	if i, ok := s.find(p); ok {
		return s.levels[i].size
	}
	return 0
}

// push appends an order to the queue of its price.
func (s *side) push(o *order) {
	i, ok := s.find(o.price)
	if !ok {
		s.levels = append(s.levels, level{})
		copy(s.levels[i+1:], s.levels[i:])
		s.levels[i] = level{price: o.price}
	}
	l := &s.levels[i]
	o.prev, o.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = o
	} else {
		l.head = o
	}
	l.tail = o
	l.size += o.left
	l.count++
}

// reduce takes size off a resting order; the order leaves when nothing is left.
func (s *side) reduce(o *order, by num.Size) {
	i, ok := s.find(o.price)
	if !ok {
		panic("sim: resting order without its level")
	}
	l := &s.levels[i]
	o.left -= by
	l.size -= by
	if o.left > 0 {
		return
	}
	if o.prev != nil {
		o.prev.next = o.next
	} else {
		l.head = o.next
	}
	if o.next != nil {
		o.next.prev = o.prev
	} else {
		l.tail = o.prev
	}
	o.prev, o.next = nil, nil
	if l.count--; l.count == 0 {
		s.levels = append(s.levels[:i], s.levels[i+1:]...)
	}
}
