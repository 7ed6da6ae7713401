package risk

import (
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Step is one round of a cascade: positions whose price was reached are sold into the book (or bought from it), which
// moves the price on.
type Step struct {
	From, To   int64 // as all prices here at PriceScale
	Closed     Sum
	Cumulative num.USD // notional closed up to and including this step
}

// Cascade is what follows when the price is pushed to a trigger.
type Cascade struct {
	Down           bool
	Trigger, Final int64
	Closed         Sum
	Exhausted      bool // the book ran out of levels
	Steps          []Step
}

// Levels is one side of a book, best first, with the scales of its numbers.
type Levels struct {
	Levels                []model.Level
	PriceScale, SizeScale uint8
}

// Cascade pushes the price from the mark to the trigger and closes what that reaches, round by round: longs into the bids
// below the trigger, or shorts into the asks above it. What one round has taken from the book is gone for the next;
// levels between mark and trigger count as taken already. book is the bids of a book for a fall, the asks for a rise.
func (m *Map) Cascade(mark, trigger int64, book Levels, maxSteps int) (*Cascade, error) {
	c := &Cascade{Down: trigger < mark, Trigger: trigger, Final: trigger}
	levels, err := m.beyond(book, trigger, c.Down)
	if err != nil {
		return nil, err
	}
	entries := m.waiting(c.Down)
	price, next := trigger, 0
	for len(c.Steps) < maxSteps && !c.Exhausted {
		step := Step{From: price, To: price}
		for ; next < len(entries) && reached(entries[next].Price, price, c.Down); next++ {
			step.Closed.Size += entries[next].Size
			step.Closed.Notional += entries[next].Notional
			step.Closed.Count++
		}
		if step.Closed.Count == 0 {
			break
		}
		rest := step.Closed.Size
		for rest > 0 && len(levels) > 0 {
			l := &levels[0]
			taken := min(rest, l.size)
			rest -= taken
			l.size -= taken
			step.To = l.price
			if l.size == 0 {
				levels = levels[1:]
			}
		}
		c.Exhausted = rest > 0
		c.Closed.Size += step.Closed.Size
		c.Closed.Notional += step.Closed.Notional
		c.Closed.Count += step.Closed.Count
		step.Cumulative = c.Closed.Notional
		c.Steps = append(c.Steps, step)
		if c.Down {
			price = min(price, step.To)
		} else {
			price = max(price, step.To)
		}
	}
	c.Final = price
	return c, nil
}

// reached tells whether a long's price lies at or above a falling price, or a short's at or below a rising one.
func reached(entry, price int64, down bool) bool {
	if down {
		return entry >= price
	}
	return entry <= price
}

// waiting returns the entries in the order in which a moving price reaches them.
func (m *Map) waiting(down bool) []Entry {
	if !down {
		return m.short.entries
	}
	longs := slices.Clone(m.long.entries)
	slices.Reverse(longs)
	return longs
}

type restingLevel struct{ price, size int64 }

// beyond returns the levels that are left once the price stands at the trigger, at the scales of the map.
func (m *Map) beyond(book Levels, trigger int64, down bool) ([]restingLevel, error) {
	levels := make([]restingLevel, 0, len(book.Levels))
	for _, l := range book.Levels {
		price, err := num.Rescale(int64(l.Price), book.PriceScale, PriceScale)
		if err != nil {
			return nil, err
		}
		if down && price > trigger || !down && price < trigger {
			continue
		}
		// A book that has more digits than the map, as until the map is made anew, is rounded to the map's.
		var exact num.Acc
		exact.AddProduct(int64(l.Size), 1)
		size, err := exact.Round(book.SizeScale, m.SizeScale)
		if err != nil {
			return nil, err
		}
		levels = append(levels, restingLevel{price, size})
	}
	return levels, nil
}
