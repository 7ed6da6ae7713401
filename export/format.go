package export

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Format is a form in which rows of any range are written.
type Format string

// The formats. Parquet, CSV and NDJSON have the columns of the dataset's files; HftBacktest has the events of a market, of its
// book and of its trades, as the backtester of that name reads them.
const (
	Parquet     Format = "parquet"
	CSV         Format = "csv"
	NDJSON      Format = "ndjson"
	HftBacktest Format = "hftbacktest"
)

// Formats lists all of them.
var Formats = [...]Format{Parquet, CSV, NDJSON, HftBacktest}

// ParseFormat returns the format of a name.
func ParseFormat(text string) (Format, bool) {
	return Format(text), slices.Contains(Formats[:], Format(text))
}

// Text tells whether what is written is lines of text.
func (f Format) Text() bool { return f == CSV || f == NDJSON }

// RangeRequest says which rows are written, and how.
type RangeRequest struct {
	Format  Format
	Dataset Dataset       // of HftBacktest it does not count
	Market  *model.Market // nil: all, of a dataset that is not of one market
	Span    history.Span
}

// rangeBuffer is how much is written at once.
const rangeBuffer = 256 << 10

// WriteRange writes the rows of a range, and returns how many. What it keeps in memory does not grow with the range, fundings and
// gaps aside. progress, which may be nil, is told how many rows are written, from this goroutine.
func (s *Source) WriteRange(ctx context.Context, out io.Writer, r RangeRequest, progress func(rows int64)) (int64, error) {
	if progress == nil {
		progress = func(int64) {}
	}
	if r.Market == nil && (r.Dataset.PerMarket() || r.Format == HftBacktest) {
		return 0, fmt.Errorf("write %s: no market is given", r.Dataset)
	}
	buf := bufio.NewWriterSize(out, rangeBuffer)
	w := rangeWriter{ctx: ctx, source: s, request: r, out: buf, progress: progress}
	if err := w.write(); err != nil {
		return w.rows, err
	}
	if err := buf.Flush(); err != nil {
		return w.rows, fmt.Errorf("write rows: %w", err)
	}
	return w.rows, nil
}

// rangeWriter writes one range.
type rangeWriter struct {
	ctx      context.Context
	source   *Source
	request  RangeRequest
	out      *bufio.Writer
	rows     int64
	progress func(int64)
}

func (w *rangeWriter) write() error {
	s, ctx, m, sp := w.source, w.ctx, w.request.Market, w.request.Span
	if w.request.Format == HftBacktest {
		return w.events()
	}
	var markets []*model.Market
	if m != nil {
		markets = []*model.Market{m}
	}
	switch w.request.Dataset {
	case Trades:
		return writeRange(w, s.Trades(ctx, m, sp))
	case Candles:
		return writeRange(w, s.Candles(ctx, m, sp))
	case Snapshots:
		return writeRange(w, s.Snapshots(ctx, m, sp))
	case BookUpdates:
		return writeRange(w, s.BookUpdates(ctx, m, sp))
	case FundingRates:
		return writeRange(w, s.FundingRates(ctx, markets, sp))
	case Gaps:
		return writeRange(w, s.Gaps(ctx, markets, sp))
	}
	return fmt.Errorf("dataset %q is unknown", w.request.Dataset)
}

func writeRange[T Row[T]](w *rangeWriter, batches iter.Seq2[[]T, error]) error {
	write, end, err := sinkOf[T](w)
	if err != nil {
		return err
	}
	for rows, err := range batches {
		if err == nil {
			err = w.ctx.Err()
		}
		if err == nil {
			err = write(rows)
		}
		if err != nil {
			return err
		}
		w.rows += int64(len(rows))
		w.progress(w.rows)
	}
	return end()
}

// sinkOf returns what takes the rows of a batch, and what ends the output.
func sinkOf[T Row[T]](w *rangeWriter) (write func([]T) error, end func() error, err error) {
	if w.request.Format == Parquet {
		markets := []*model.Market{w.request.Market}
		if w.request.Market == nil {
			markets = w.source.Markets()
		}
		held, err := w.source.held(w.ctx, w.request.Dataset, markets, w.request.Span)
		if err != nil {
			return nil, nil, err
		}
		p := NewWriter[T](w.out, Footer{Venue: venueName, Held: held})
		return p.Write, p.Close, nil
	}
	text := newTextWriter[T](w.out, w.request.Format)
	return text.write, text.header, nil
}
