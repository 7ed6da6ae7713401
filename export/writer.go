package export

import (
	"fmt"
	"io"
	"runtime"

	"github.com/parquet-go/parquet-go"
)

// maxEncoders bounds how many row groups of a file are encoded at once.
const maxEncoders = 4

// Writer writes a file of one dataset. Row groups are encoded beside one another, one on each processor but at most four,
// and the file is the same whatever their number. It keeps the rows of one group more than are being encoded: of the widest
// dataset, trades, some 40 MB each. It belongs to one goroutine; those that it starts end by themselves, also where it is
// given up without Close.
type Writer[T Row[T]] struct {
	out     *parquet.GenericWriter[T]
	order   func(a, b *T) int
	last    T
	rows    int64
	size    int         // of a row group, in rows
	filling *group[T]   // takes the rows that come
	pending []*group[T] // groups that are being encoded, in the order of the file
	free    []*group[T]
	err     error // the first one: a file that lacks rows is never finished
}

// NewWriter returns a writer of a file. The footer's dataset is that of T.
func NewWriter[T Row[T]](w io.Writer, f Footer) *Writer[T] {
	return newWriter[T](w, f, min(runtime.GOMAXPROCS(0), maxEncoders))
}

// newWriter returns a writer that encodes so many row groups at once.
func newWriter[T Row[T]](w io.Writer, f Footer, encoders int) *Writer[T] {
	var zero T
	l := zero.layout()
	f.Dataset = l.dataset
	sorted := make([]parquet.SortingColumn, len(l.sorted))
	for i, name := range l.sorted {
		sorted[i] = parquet.Ascending(name)
	}
	options := append(groupOptions[T](l), parquet.SortingWriterConfig(parquet.SortingColumns(sorted...)),
		parquet.CreatedBy("hyperlight", fmt.Sprint(SchemaVersion), ""))
	for _, kv := range f.metadata() {
		options = append(options, parquet.KeyValueMetadata(kv[0], kv[1]))
	}
	return &Writer[T]{out: parquet.NewGenericWriter[T](w, options...), order: zero.order(), size: l.group, pending: make([]*group[T], 0, encoders)}
}

// Write adds rows. They must follow those before in the order of the dataset: ErrOrder, and none of them is added. The rows
// may be used again when it returns. After an error the file cannot be finished.
func (w *Writer[T]) Write(rows []T) error {
	if w.err != nil {
		return w.err
	}
	w.err = w.write(rows)
	return w.err
}

func (w *Writer[T]) write(rows []T) error {
	last := &w.last
	for i := range rows {
		if (i > 0 || w.rows > 0) && w.order(last, &rows[i]) > 0 {
			return fmt.Errorf("write row %d: %w", w.rows+int64(i), ErrOrder)
		}
		last = &rows[i]
	}
	if len(rows) > 0 {
		w.last = *last
	}
	for len(rows) > 0 {
		if w.filling == nil {
			w.filling = w.newGroup()
		}
		n := w.filling.add(rows[:min(len(rows), w.size-len(w.filling.rows))])
		rows = rows[n:]
		w.rows += int64(n)
		if len(w.filling.rows) == w.size {
			if err := w.encode(); err != nil {
				return err
			}
		}
	}
	return nil
}

// newGroup returns an empty row group.
func (w *Writer[T]) newGroup() *group[T] {
	if n := len(w.free); n > 0 {
		g := w.free[n-1]
		w.free = w.free[:n-1]
		return g
	}
	return newGroup[T](int(min(w.rows, int64(w.size)))) // few files have more rows than their first group
}

// encode has the group that was filled encoded, when there is room for one more.
func (w *Writer[T]) encode() error {
	if len(w.pending) == cap(w.pending) {
		if err := w.take(); err != nil {
			return err
		}
	}
	w.pending = append(w.pending, w.filling)
	go w.filling.encode()
	w.filling = nil
	return nil
}

// take waits for the first group that is being encoded and puts it into the file.
func (w *Writer[T]) take() error {
	g := w.pending[0]
	w.pending = append(w.pending[:0], w.pending[1:]...)
	encoded, err := g.wait()
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	// Chunks of a file of the same schema, encodings and codec are copied as they are.
	if _, err := w.out.WriteRowGroup(encoded); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	w.free = append(w.free, g)
	return nil
}

// Rows returns how many rows were written.
func (w *Writer[T]) Rows() int64 { return w.rows }

// SetSource notes the digest of the stored rows that the file was made of, for whoever knows it only at the end.
func (w *Writer[T]) SetSource(sha256 string) { w.out.SetKeyValueMetadata(sourceKey, sha256) }

// Close writes the last row group and the footer. It does not close what the file is written to.
func (w *Writer[T]) Close() error {
	if w.err == nil && w.filling != nil {
		w.err = w.encode()
	}
	for w.err == nil && len(w.pending) > 0 {
		w.err = w.take()
	}
	for _, g := range w.free {
		g.release()
	}
	w.filling, w.free = nil, nil
	if w.err != nil {
		return w.err
	}
	if err := w.out.Close(); err != nil {
		w.err = fmt.Errorf("finish file: %w", err)
	}
	return w.err
}
