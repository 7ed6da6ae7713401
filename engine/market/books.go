package market

import (
	"errors"
	"fmt"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// staleLimit is how many stale updates in a row show that not they but our chain is wrong: the venue began a new one.
	staleLimit = 256
	// A snapshot is asked for at most once a second, and again where none came for ten seconds of updates.
	askInterval, askAgain = 1 * second, 10 * second
)

// onBook applies a book frame. Good ones are published and told; the others are counted, and where they break the chain
// the book is lost until the next snapshot.
func (s *Shard) onBook(st *state, e *model.Event, u *model.BookUpdate) {
	e.Recv = max(e.Recv, st.bookRecv) // books are cut by this clock: it must not run backwards within one
	if u.Snapshot {
		s.onSnapshot(st, e, u)
		return
	}
	if st.book.Synced() && e.Epoch != st.book.Epoch() {
		var err error
		if u, err = st.fit(e, u); err != nil {
			s.r.o.Logger.Warn("book lost at a change of scale", "market", st.id, "error", err)
			s.loseBook(st, e, st.bookRecv, model.CauseParse)
			s.ask(st, e.Recv)
			return
		}
		e.Payload = u
	}
	unknown := st.book.Unknown()
	err := st.book.Apply(u, e.Time, e.Recv)
	unknownRemovals.Add(int(st.book.Unknown() - unknown))
	switch {
	case err == nil:
		bookUpdates.Inc()
		s.goodBook(st, e, u)
	case errors.Is(err, book.ErrUnsynced):
		unsyncedUpdates.Inc()
		s.ask(st, e.Recv)
	case errors.Is(err, book.ErrStale):
		staleUpdates.Inc()
		if st.stale++; st.stale >= staleLimit {
			s.loseBook(st, e, st.bookRecv, model.CauseNonce)
			s.ask(st, e.Recv)
		}
	case errors.Is(err, book.ErrGap):
		s.loseBook(st, e, st.bookRecv, model.CauseNonce)
		s.ask(st, e.Recv)
	case errors.Is(err, book.ErrCrossed):
		s.loseBook(st, e, st.bookRecv, model.CauseCrossed)
		s.ask(st, e.Recv)
	default:
		panic(fmt.Sprintf("market: book returned an unknown error: %v", err))
	}
}

// onSnapshot takes a whole book. One that comes while the book is in sync is either an old one repeated, which is
// dropped, or shows that the stream was interrupted without anybody telling, which is told now.
func (s *Shard) onSnapshot(st *state, e *model.Event, u *model.BookUpdate) {
	if m := st.book.Meta(); st.book.Synced() && u.Seq != m.Seq && u.Seq != 0 {
		if u.Seq < m.Seq && e.Time != 0 && e.Time <= m.Time {
			staleUpdates.Inc()
			return
		}
		s.loseBook(st, e, st.bookRecv, model.CauseDisconnect)
	}
	if g := st.bookGap; g != nil && e.Recv <= g.From {
		e.Recv = g.From + 1 // a gap is never empty, and the snapshot lies behind it
		s.advance(e.Recv.Second())
	}
	st.book.SetEpoch(e.Epoch)
	if err := st.book.Apply(u, e.Time, e.Recv); err != nil {
		s.loseBook(st, e, st.bookRecv, model.CauseCrossed)
		s.ask(st, e.Recv)
		return
	}
	bookSnapshots.Inc()
	st.asking, st.wanted = false, false
	if g := st.bookGap; g != nil {
		st.bookGap = nil
		st.gapSince.Store(0)
		g.To = e.Recv
		s.tellGap(st, e, g)
	}
	s.goodBook(st, e, u)
}

// goodBook publishes the book after an applied frame and tells it.
func (s *Shard) goodBook(st *state, e *model.Event, u *model.BookUpdate) {
	levelChanges.Add(len(u.Bids) + len(u.Asks))
	st.stale = 0
	st.bookRecv = e.Recv
	v := st.book.View()
	st.view.Store(v)
	st.fresh.Store(true)
	s.tell(e, v)
}

// loseBook takes the book out of sync and, once, tells the gap that begins. A book that was never whole has no gap:
// nothing was held that could end.
func (s *Shard) loseBook(st *state, e *model.Event, from model.Micros, cause model.Cause) {
	st.book.Desync()
	st.fresh.Store(false)
	st.stale = 0
	if st.bookGap != nil || st.bookRecv == 0 {
		return
	}
	st.bookGap = &model.Gap{Kind: model.KindBook, From: from, Cause: cause}
	st.gapCause.Store(uint32(cause))
	st.gapSince.Store(int64(from))
	countGap(st.bookGap)
	s.tellGap(st, e, st.bookGap)
}

// ask requests a new snapshot: at once, but not faster than the venue can bear where it helps for a moment only, and
// again where an answer got lost.
func (s *Shard) ask(st *state, now model.Micros) {
	if s.r.o.Resync == nil {
		return
	}
	st.wanted = true
	if s.back != 0 {
		now = s.back // no event is received earlier than the last tick, however long the clock takes to get there again
	}
	st.asked = min(st.asked, now)
	since := now - st.asked
	if st.asked != 0 && (since < askInterval || st.asking && since < askAgain) {
		return
	}
	st.asked, st.asking = now, true
	resyncs.Inc()
	s.r.o.Resync(st.id)
}

// fit brings a book and an update of different scale epochs together, at the later of the two.
func (st *state) fit(e *model.Event, u *model.BookUpdate) (*model.BookUpdate, error) {
	m, from := st.market.Load(), st.book.Epoch()
	if int(max(e.Epoch, from)) >= len(m.Scales) {
		return nil, fmt.Errorf("scale epoch %d is unknown", max(e.Epoch, from))
	}
	ps, ss := m.ScaleAt(from)
	eps, ess := m.ScaleAt(e.Epoch)
	if e.Epoch > from {
		if err := st.book.Rescale(ps, ss, eps, ess); err != nil {
			return nil, err
		}
		st.book.SetEpoch(e.Epoch)
		return u, nil
	}
	// The frame was decoded before the change and came behind another one.
	c := e.Clone()
	u = c.Payload.(*model.BookUpdate)
	for _, side := range [...][]model.Level{u.Bids, u.Asks} {
		for i, l := range side {
			p, err := num.Rescale(int64(l.Price), eps, ps)
			if err != nil {
				return nil, err
			}
			q, err := num.Rescale(int64(l.Size), ess, ss)
			if err != nil {
				return nil, err
			}
			side[i] = model.Level{Price: num.Price(p), Size: num.Size(q)}
		}
	}
	e.Epoch = from
	return u, nil
}
