package history

import (
	"context"
	"fmt"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// segmentLevels is the least number of changed levels after which a segment ends; with larger books it is four times the
// ladder, so that keyframes take a fifth of the bytes at most. Smaller segments would compress badly. Thinned ones are
// longer: of a book of 600 levels the keyframes took a fifth of a second's bytes, and a read that begins inside such a
// segment still takes well below a millisecond.
const (
	segmentLevels        = 2048
	thinnedSegmentLevels = 8 * segmentLevels
)

// sealBooks writes a market-hour's book record as segments: a keyframe and the updates that follow it.
func (w *Writer) sealBooks(ctx context.Context, run *hourRun, batch *kv.Batch) (int64, error) {
	run.hours = 1
	return w.rewriteBooks(ctx, run.hourKey, batch, false)
}

// rewriteBooks replaces the blocks, keyframes and segments of a market-hour by new segments, whose updates are the same
// ones or, thinned, the net change of each second.
func (w *Writer) rewriteBooks(ctx context.Context, k hourKey, batch *kv.Batch, thinned bool) (int64, error) {
	from, to := model.Micros(k.hour*hourMicros), model.Micros((k.hour+1)*hourMicros)
	var want uint64
	for _, form := range []key.Form{key.Hot, key.Sealed} {
		rg, err := key.BookRange(k.market, form, int64(from), int64(to))
		if err != nil {
			return 0, err
		}
		gone := cleared{all: rg}
		n, err := headers(ctx, w.store, rg, record.BookHeader, gone.add)
		if err != nil {
			return 0, fmt.Errorf("read blocks: %w", err)
		}
		want += n
		gone.delete(batch)
	}
	keyframes, err := key.KeyframeRange(k.market, int64(from), int64(to))
	if err != nil {
		return 0, err
	}
	gone := cleared{all: keyframes}
	for row, err := range w.store.Scan(ctx, keyframes) {
		if err != nil {
			return 0, fmt.Errorf("read keyframes: %w", err)
		}
		gone.add(row.Key)
	}
	gone.delete(batch)
	ivs, err := w.reader.rawIntervals(ctx, model.KindBook, model.MarketID(k.market), forever)
	if err != nil {
		return 0, err
	}
	s := bookSealer{batch: batch, market: k.market, least: segmentLevels, walk: bookWalk{r: w.reader, market: model.MarketID(k.market)}}
	if thinned {
		s.least = thinnedSegmentLevels
	}
	defer s.walk.close()
	for _, iv := range ivs {
		if iv.To < from || iv.From >= to {
			continue
		}
		if err := s.interval(ctx, iv, from, min(to-1, iv.To)+1, thinned); err != nil {
			return 0, err
		}
	}
	if s.read != want {
		return 0, fmt.Errorf("blocks claim %d updates and hold %d: %w", want, s.read, record.ErrCorrupt)
	}
	return int64(s.written) - int64(want), nil
}

// bookSealer cuts updates into segments.
type bookSealer struct {
	batch    *kv.Batch
	market   uint32
	walk     bookWalk
	segment  record.BookSegment
	keyframe record.Keyframe
	open     bool
	at       model.Micros // key of the open segment
	last     model.Micros // its last row
	least    int          // changed levels of a segment, at the least
	limit    int          // of the open one, 0 until there is a book
	epoch    uint8
	read     uint64
	written  uint64
}

// interval seals what of a held interval lies in from <= receive time < to.
func (s *bookSealer) interval(ctx context.Context, iv Interval, from, to model.Micros, thinned bool) error {
	w := &s.walk
	begins := iv.From >= from
	if begins {
		w.reset(iv.From, to)
	} else {
		if err := w.seek(ctx, iv, from, to); err != nil {
			return fmt.Errorf("rebuild the book at the start of the hour: %w", err)
		}
		// Each day can be read without the day before it, which retention may have dropped.
		if int64(from)%key.DayMicros == 0 {
			s.begin(from, w.book.Epoch())
		}
	}
	net := netRow{}
	for {
		row, err := w.peek(ctx)
		if err != nil {
			return err
		}
		if row == nil {
			break
		}
		s.read++
		if thinned {
			if err := s.thin(&net, row); err != nil {
				return err
			}
			continue
		}
		if err := s.add(row); err != nil {
			return err
		}
		if err := w.apply(row); err != nil {
			return err
		}
		s.grow()
		w.ahead = nil
	}
	if err := s.flush(&net); err != nil {
		return err
	}
	s.finish()
	return nil
}

// add puts a row, which the book has not applied yet, into the open segment or into a new one.
func (s *bookSealer) add(row *record.BookRow) error {
	if s.open && (row.Epoch != s.epoch || s.segment.Levels() >= s.limit && row.Recv > s.last) {
		s.finish()
	}
	if !s.open {
		if err := s.walk.rescale(row); err != nil {
			return err
		}
		s.begin(row.Recv, row.Epoch)
	}
	s.segment.AddRow(row)
	s.last = row.Recv
	s.written++
	return nil
}

func (s *bookSealer) begin(at model.Micros, epoch uint8) {
	k := &s.keyframe
	*k = record.Keyframe{Bids: k.Bids[:0], Asks: k.Asks[:0]}
	if b := s.walk.book; b.Synced() {
		k.SetView(b.View())
	}
	k.Epoch = epoch
	s.segment.Begin(k)
	s.open, s.at, s.last, s.epoch, s.limit = true, at, at, epoch, 0
	s.grow()
}

// grow sets the segment's length by the book, once there is one.
func (s *bookSealer) grow() {
	if s.open && s.limit == 0 && s.walk.book.Synced() {
		s.limit = max(4*(s.walk.book.Len(model.Bid)+s.walk.book.Len(model.Ask)), s.least)
	}
}

func (s *bookSealer) finish() {
	if s.open {
		s.batch.Set(key.Book(nil, s.market, key.Sealed, int64(s.at)), s.segment.Finish(nil))
		s.open = false
	}
}

// netRow collects the updates of one second.
type netRow struct {
	held   bool
	sec    model.Micros
	before *book.View // the book before the second, nil where the interval begins in it
	prev   uint64
	row    record.BookRow // of the last update; its receive time is the first one's where the interval begins
}

// thin applies a row and keeps only what its second changes.
func (s *bookSealer) thin(net *netRow, row *record.BookRow) error {
	w := &s.walk
	sec := row.Recv.Second()
	if net.held && (net.sec != sec || net.row.Epoch != row.Epoch) {
		if err := s.flush(net); err != nil {
			return err
		}
	}
	recv := row.Recv
	if !net.held {
		if err := w.rescale(row); err != nil {
			return err
		}
		net.held, net.sec, net.prev, net.before = true, sec, row.Update.Prev, nil
		if w.book.Synced() {
			net.before = w.book.View()
		}
	} else if net.before == nil {
		recv = net.row.Recv
	}
	if err := w.apply(row); err != nil {
		return err
	}
	u := row.Update
	u.Bids, u.Asks = nil, nil
	net.row = record.BookRow{Update: u, Time: row.Time, Recv: recv, Epoch: row.Epoch}
	w.ahead = nil
	return nil
}

// flush adds the net change of the collected second.
func (s *bookSealer) flush(net *netRow) error {
	if !net.held {
		return nil
	}
	net.held = false
	after := s.walk.book.View()
	u := &net.row.Update
	if net.before == nil {
		whole := wholeBook(after)
		whole.Prev = net.prev
		*u = *whole
	} else {
		diff := book.Diff(net.before, after)
		u.Snapshot, u.Bids, u.Asks, u.Prev = false, diff.Bids, diff.Asks, net.before.Seq
	}
	// The segment's keyframe is the book before the second: the walk is already past it.
	walk := s.walk.book
	s.walk.book = book.New()
	s.walk.book.SetEpoch(net.row.Epoch)
	s.walk.book.Reset(net.before)
	err := s.add(&net.row)
	s.walk.book = walk
	s.grow()
	return err
}
