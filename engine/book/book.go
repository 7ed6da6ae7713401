// Package book holds the order book of one market: a mutable Book with one owner, and immutable Views of it that any
// number of readers may keep for ever. A side is a list of chunks of sorted levels; the book changes chunks that only
// it can see in place and copies those that a View shares (copy-on-write). The package does no I/O, reads no clock and
// knows neither venues nor the store.
package book

import (
	"errors"
	"fmt"
	"sync/atomic"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

var (
	// ErrUnsynced reports an incremental update to a book that waits for a snapshot.
	ErrUnsynced = errors.New("book waits for a snapshot")
	// ErrStale reports an update that the book already contains: the caller drops it.
	ErrStale = errors.New("book update is stale")
	// ErrGap reports an update that does not follow the one before it: the book waits for a snapshot from now on.
	ErrGap = errors.New("book update does not continue the chain")
	// ErrCrossed reports a best bid at or above the best ask: the book waits for a snapshot from now on.
	ErrCrossed = errors.New("book is crossed")
)

// Book is the order book of one market. It has one owner at a time: no method may run beside another one. Its Views are
// free of that rule.
type Book struct {
	sides   [2]side
	meta    Meta
	synced  bool
	epoch   uint8
	unknown uint64

	gen     uint64 // chunks and lists marked with it are seen by this book only
	lastGen uint64 // the last one of the block of generations that this book has reserved
	view    *View  // the view of the present state, nil after a change
	sorting []model.Level
}

// Meta says which state of the venue's book a Book or a View is.
type Meta struct {
	Seq       uint64       // the venue's chain number after the last update
	Offset    uint64       // the venue's other counter, 0 where unknown
	Time      model.Millis // the venue's time of the last frame
	Recv      model.Micros // our receive time of the last frame
	UpdatedAt model.Micros // when the venue's engine last changed the book, 0 where unknown
	Epoch     uint8        // scale epoch of prices and sizes
	Chained   bool         // Seq is the venue's nonce; false: made from offset
}

// generations hands out blocks of generation numbers, so that no two books ever use the same one and a chunk that came
// from another book's View is never taken for an own one.
var generations atomic.Uint64

const generationBlock = 1 << 16

// New returns an empty book that waits for a snapshot.
func New() *Book {
	b := &Book{}
	b.sides[model.Bid].flip = -1
	b.nextGeneration()
	return b
}

// nextGeneration makes every chunk and list that exists now shared.
func (b *Book) nextGeneration() {
	if b.gen == b.lastGen {
		b.lastGen = generations.Add(generationBlock)
		b.gen = b.lastGen - generationBlock
	}
	b.gen++
}

// Apply applies a frame. A snapshot replaces the book and ends the waiting for one; it drops levels of size 0. An update
// must continue the chain: ErrUnsynced while the book waits for a snapshot, ErrStale where the book is already as far
// (nothing changes), ErrGap where frames are missing or nonces and offsets follow each other (nothing changes, the book
// waits for a snapshot), ErrCrossed where the result is impossible (the book waits for a snapshot). Levels may come in any
// order and repeatedly: the last one wins. A size of 0 or less removes a level; removing an absent one is counted and
// ignored. The update is not kept.
func (b *Book) Apply(u *model.BookUpdate, t model.Millis, recv model.Micros) error {
	if u.Snapshot {
		b.sorting = b.sides[model.Bid].load(u.Bids, b.sorting, b.gen)
		b.sorting = b.sides[model.Ask].load(u.Asks, b.sorting, b.gen)
	} else {
		switch {
		case !b.synced:
			return ErrUnsynced
		case u.Seq <= b.meta.Seq && (u.Chained == b.meta.Chained || b.meta.Seq == 0):
			return ErrStale
		case u.Prev != b.meta.Seq, u.Chained != b.meta.Chained && u.Prev != 0: // a market that never traded has 0 of either
			b.synced = false
			return ErrGap
		}
		b.unknown += b.sides[model.Bid].apply(u.Bids, b.gen)
		b.unknown += b.sides[model.Ask].apply(u.Asks, b.gen)
	}
	b.view = nil
	b.meta = Meta{Seq: u.Seq, Offset: u.Offset, Time: t, Recv: recv, UpdatedAt: u.UpdatedAt, Epoch: b.epoch, Chained: u.Chained}
	if b.crossed() {
		b.synced = false
		return ErrCrossed
	}
	b.synced = true
	return nil
}

func (b *Book) crossed() bool {
	bid, ok := b.sides[model.Bid].best()
	if !ok {
		return false
	}
	ask, ok := b.sides[model.Ask].best()
	return ok && bid.Price >= ask.Price
}

// Reset makes the book the one that a view shows, synced and at the view's epoch, without copying levels. A nil view
// empties the book, which then waits for a snapshot.
func (b *Book) Reset(v *View) {
	b.view = nil
	if v == nil {
		b.sides[model.Bid].clear()
		b.sides[model.Ask].clear()
		b.meta, b.synced = Meta{Epoch: b.epoch}, false
		return
	}
	for s := range b.sides {
		b.sides[s].chunks, b.sides[s].len = v.sides[s].chunks, v.sides[s].len
		b.sides[s].listGen = 0
	}
	b.meta, b.epoch, b.synced = v.Meta, v.Epoch, true
}

// Rescale changes the number of decimals of every price and size exactly. Where one would lose digits or overflow
// (num.ErrScale, num.ErrRange) the book is unchanged.
func (b *Book) Rescale(fromPS, fromSS, toPS, toSS uint8) error {
	var next [2][]*chunk
	for s := range b.sides {
		list, err := b.sides[s].rescaled(b.gen, func(l model.Level) (model.Level, error) {
			p, err := num.Rescale(int64(l.Price), fromPS, toPS)
			if err != nil {
				return l, err
			}
			q, err := num.Rescale(int64(l.Size), fromSS, toSS)
			return model.Level{Price: num.Price(p), Size: num.Size(q)}, err
		})
		if err != nil {
			return fmt.Errorf("rescale book: %w", err)
		}
		next[s] = list
	}
	for s := range b.sides {
		b.sides[s].chunks, b.sides[s].listGen = next[s], b.gen
	}
	b.view = nil
	return nil
}

// SetEpoch sets the scale epoch of the levels; Rescale does the arithmetic.
func (b *Book) SetEpoch(e uint8) {
	if b.epoch != e {
		b.epoch, b.meta.Epoch = e, e
		b.view = nil
	}
}

// Desync makes the book wait for a snapshot. Its levels stay readable.
func (b *Book) Desync() { b.synced = false }

// Synced tells whether the book has a snapshot and an unbroken chain since.
func (b *Book) Synced() bool { return b.synced }

// Seq returns the venue's chain number of the last applied frame.
func (b *Book) Seq() uint64 { return b.meta.Seq }

// Meta tells which state of the venue's book this is.
func (b *Book) Meta() Meta { return b.meta }

// Epoch returns the scale epoch of the levels.
func (b *Book) Epoch() uint8 { return b.epoch }

// Unknown returns how many removals named a level that was not there, since New.
func (b *Book) Unknown() uint64 { return b.unknown }

// Len returns the number of levels of a side.
func (b *Book) Len(s model.Side) int { return b.sides[s].len }

// Best returns the best level of a side, false where the side is empty.
func (b *Book) Best(s model.Side) (model.Level, bool) { return b.sides[s].best() }

// Append appends the n best levels of a side, best first; all where n <= 0.
func (b *Book) Append(dst []model.Level, s model.Side, n int) []model.Level {
	return appendLevels(dst, b.sides[s].chunks, n)
}

// View returns the present state as an immutable view. It costs one small allocation; what it shares with the book is
// copied by the updates that follow, chunk by chunk as they touch it. Without a change since, it returns the same view.
func (b *Book) View() *View {
	if b.view == nil {
		v := &View{Meta: b.meta}
		for s := range b.sides {
			v.sides[s] = ladder{chunks: b.sides[s].chunks, len: b.sides[s].len}
		}
		b.nextGeneration()
		b.view = v
	}
	return b.view
}
