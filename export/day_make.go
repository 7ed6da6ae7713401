package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"iter"
	"path"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// venueName is the venue in the footer of a file.
const venueName = "lighter"

// writeBuffer is how much of a file is written at once.
const writeBuffer = 256 << 10

// dayFile is a file that is being written aside. It exists from the first row on.
type dayFile struct {
	d     disk
	id    lake.ID
	out   diskFile
	buf   *bufio.Writer
	sum   hash.Hash
	bytes int64
	rows  int64
}

// Write implements io.Writer.
func (f *dayFile) Write(p []byte) (int, error) {
	n, err := f.buf.Write(p)
	f.sum.Write(p[:n])
	f.bytes += int64(n)
	return n, err
}

func (f *dayFile) open() (err error) {
	key := f.id.Key()
	if err := f.d.MkdirAll(path.Dir(key)); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if f.out, err = f.d.Create(aside(key)); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	f.sum, f.buf = sha256.New(), bufio.NewWriterSize(f.out, writeBuffer)
	return nil
}

// finish puts the content on disk, still aside, and gives it the time at which it was made.
func (f *dayFile) finish(made model.Millis) error {
	if err := f.buf.Flush(); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := f.d.Chtimes(aside(f.id.Key()), time.UnixMilli(int64(made))); err != nil {
		return fmt.Errorf("set the time of a file: %w", err)
	}
	if err := f.out.Sync(); err != nil {
		return fmt.Errorf("sync file: %w", err)
	}
	err := f.out.Close()
	f.out = nil
	if err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	return nil
}

// drop removes what is aside. It is called in any case; a file that has its name is not there any more.
func (f *dayFile) drop() error {
	if f.sum == nil {
		return nil
	}
	var err error
	if f.out != nil {
		err = f.out.Close()
	}
	if gone := f.d.Remove(aside(f.id.Key())); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// write writes the rows of a task aside, and none where there are none. progress is told of each batch.
func (l *Lake) write(ctx context.Context, t *dayTask, f *dayFile, progress func(rows, bytes int64)) error {
	s, sp := &l.source, history.Span{From: t.id.Day, To: t.id.To()}
	switch t.id.Dataset {
	case Trades:
		return writeRows(l, ctx, t, f, s.Trades(ctx, t.market, sp), progress)
	case Candles:
		return writeRows(l, ctx, t, f, s.Candles(ctx, t.market, sp), progress)
	case Snapshots:
		return writeRows(l, ctx, t, f, s.Snapshots(ctx, t.market, sp), progress)
	case BookUpdates:
		return writeRows(l, ctx, t, f, s.BookUpdates(ctx, t.market, sp), progress)
	case FundingRates:
		return writeRows(l, ctx, t, f, s.FundingRates(ctx, nil, sp), progress)
	case Gaps:
		return writeRows(l, ctx, t, f, once(t.gaps), progress)
	}
	return fmt.Errorf("dataset %s is unknown", t.id.Dataset)
}

// once is one batch, or none.
func once[T any](rows []T) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		if len(rows) > 0 {
			yield(rows, nil)
		}
	}
}

func writeRows[T Row[T]](l *Lake, ctx context.Context, t *dayTask, f *dayFile, batches iter.Seq2[[]T, error], progress func(rows, bytes int64)) error {
	var w *Writer[T]
	for rows, err := range batches {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if w == nil {
			held, err := l.heldOf(ctx, t)
			if err == nil {
				err = f.open()
			}
			if err != nil {
				return err
			}
			w = NewWriter[T](f, Footer{Venue: venueName, Held: held, SourceSHA256: hex.EncodeToString(t.source[:])})
		}
		if err := w.Write(rows); err != nil {
			return err
		}
		f.rows = w.Rows()
		progress(f.rows, f.bytes)
	}
	if w == nil {
		return nil
	}
	return w.Close()
}

// heldKinds are the records whose coverage a file of a dataset has in its footer: an import of it takes them over.
var heldKinds = map[Dataset]model.Kind{
	Trades: model.KindTrades, Candles: model.KindCandles, FundingRates: model.KindFunding, Snapshots: model.KindBook, BookUpdates: model.KindBook,
}

// heldOf returns what a file has every row of.
func (l *Lake) heldOf(ctx context.Context, t *dayTask) ([]Held, error) {
	markets := []*model.Market{t.market}
	if t.market == nil {
		markets = l.o.Markets()
	}
	return l.source.held(ctx, t.id.Dataset, markets, history.Span{From: t.id.Day, To: t.id.To()})
}

// held returns of which part of a span every row of a dataset is held.
func (s *Source) held(ctx context.Context, d Dataset, markets []*model.Market, sp history.Span) (out []Held, err error) {
	kind, ok := heldKinds[d]
	if !ok {
		return nil, nil
	}
	for _, m := range markets {
		if err := s.reading(ctx, func() error {
			held, err := s.History.Coverage(ctx, kind, m.ID, sp)
			for _, iv := range held {
				if h := (Held{Market: int32(m.Native), From: (iv.From + 999).Millis(), To: iv.To.Millis()}); h.From < h.To {
					out = append(out, h)
				}
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
