package export

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"hyperlight/engine/lake"
)

// Verify checks each listed file: its size, its SHA-256, and that its rows can be read, are in order and as many as are
// listed. visit is called for each with what is wrong with it, nil for nothing; its own error ends the walk. A file that is made
// again meanwhile is checked as it is then; one that is taken off the list is none any more.
func (l *Lake) Verify(ctx context.Context, visit func(lake.File, error) error) error {
	for _, f := range l.o.Manifest.All() {
		if err := ctx.Err(); err != nil {
			return err
		}
		now, fault := l.verify(ctx, f)
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, listed := l.o.Manifest.Get(f.ID); !listed {
			continue
		}
		if err := visit(now, fault); err != nil {
			return err
		}
	}
	return nil
}

// verify returns the file's row as it is now, and what is wrong with it.
func (l *Lake) verify(ctx context.Context, f lake.File) (now lake.File, err error) {
	file, now, err := l.Open(f.ID)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := checkSum(&untilDone{ctx, file}, now); err != nil {
		return now, err
	}
	in, err := NewFile(file, now.Bytes)
	if err != nil {
		return now, err
	}
	if footer := in.Footer(); footer.Dataset != now.ID.Dataset {
		return now, fmt.Errorf("%w: its dataset is %s", ErrChanged, footer.Dataset)
	} else if source, err := hex.DecodeString(footer.SourceSHA256); err != nil || len(source) != len(now.Source) {
		return now, fmt.Errorf("%w: it does not say what it was made of", ErrDamaged)
	}
	rows, err := countRows(ctx, in)
	if err == nil && rows != now.Rows {
		err = fmt.Errorf("%w: it has %d rows of %d", ErrChanged, rows, now.Rows)
	}
	return now, err
}

// countRows reads a file to its end.
func countRows(ctx context.Context, f *File) (int64, error) {
	switch f.footer.Dataset {
	case Trades:
		return countOf[Trade](ctx, f)
	case Snapshots:
		return countOf[Snapshot](ctx, f)
	case Candles:
		return countOf[Candle](ctx, f)
	case FundingRates:
		return countOf[FundingRate](ctx, f)
	case Gaps:
		return countOf[Gap](ctx, f)
	}
	return countOf[BookUpdate](ctx, f)
}

func countOf[T Row[T]](ctx context.Context, f *File) (rows int64, err error) {
	r, err := NewReader[T](f)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	batch := make([]T, batchRows)
	var last T
	compare := last.order()
	for {
		clear(batch)
		n, err := r.Read(batch)
		for i := range batch[:n] {
			if rows > 0 && compare(&last, &batch[i]) > 0 {
				return rows, fmt.Errorf("row %d: %w", rows, ErrOrder)
			}
			last = batch[i]
			rows++
		}
		switch {
		case err == io.EOF:
			return rows, nil
		case err != nil:
			return rows, err
		case ctx.Err() != nil:
			return rows, ctx.Err()
		}
	}
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r *untilDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
