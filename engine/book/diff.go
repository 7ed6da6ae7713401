package book

import "hyperlight/engine/model"

// Diff returns the update that turns old into new: changed and added levels, removed ones with size 0, best first, chained
// from old's Seq to new's. Chunks that both share are skipped, so it costs what differs. Where the scale epochs differ
// the mantissas cannot be compared, and a snapshot of new is returned.
func Diff(old, new *View) *model.BookUpdate {
	u := &model.BookUpdate{Prev: old.Seq, Seq: new.Seq, Offset: new.Offset, UpdatedAt: new.UpdatedAt, Chained: new.Chained}
	if old.Epoch != new.Epoch {
		u.Snapshot, u.Prev = true, 0
		u.Bids, u.Asks = new.Append(nil, model.Bid, 0), new.Append(nil, model.Ask, 0)
		return u
	}
	u.Bids = diffSide(old.sides[model.Bid].chunks, new.sides[model.Bid].chunks, -1)
	u.Asks = diffSide(old.sides[model.Ask].chunks, new.sides[model.Ask].chunks, 0)
	return u
}

// cursor walks the levels of a list of chunks.
type cursor struct {
	chunks []*chunk
	at     int // index into the first chunk
}

func (c *cursor) done() bool { return len(c.chunks) == 0 }

func (c *cursor) level() model.Level { return c.chunks[0].levels[c.at] }

func (c *cursor) next() {
	if c.at++; c.at == c.chunks[0].n {
		c.chunks, c.at = c.chunks[1:], 0
	}
}

func diffSide(old, new []*chunk, flip int64) []model.Level {
	var out []model.Level
	o, n := cursor{chunks: old}, cursor{chunks: new}
	for !o.done() && !n.done() {
		// Both stand at the shared chunk's start, because all that comes before it is smaller than it.
		if o.chunks[0] == n.chunks[0] {
			o.chunks, n.chunks = o.chunks[1:], n.chunks[1:]
			continue
		}
		a, b := o.level(), n.level()
		switch ka, kb := int64(a.Price)^flip, int64(b.Price)^flip; {
		case ka < kb:
			out = append(out, model.Level{Price: a.Price})
			o.next()
		case ka > kb:
			out = append(out, b)
			n.next()
		default:
			if a.Size != b.Size {
				out = append(out, b)
			}
			o.next()
			n.next()
		}
	}
	for ; !o.done(); o.next() {
		out = append(out, model.Level{Price: o.level().Price})
	}
	for ; !n.done(); n.next() {
		out = append(out, n.level())
	}
	return out
}
