package export

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// Writer writes a file of one dataset. It keeps one row group in memory at most and belongs to one goroutine.
type Writer[T Row[T]] struct {
	out  *parquet.GenericWriter[T]
	last T
	rows int64
}

// NewWriter returns a writer of a file. The footer's dataset is that of T.
func NewWriter[T Row[T]](w io.Writer, f Footer) *Writer[T] {
	var zero T
	l := zero.layout()
	f.Dataset = l.dataset
	sorted := make([]parquet.SortingColumn, len(l.sorted))
	for i, name := range l.sorted {
		sorted[i] = parquet.Ascending(name)
	}
	options := []parquet.WriterOption{
		parquet.Compression(&zstd.Codec{Level: zstd.DefaultLevel}), // zstd's level 3
		parquet.MaxRowsPerRowGroup(l.group),
		parquet.DataPageStatistics(true),
		parquet.SortingWriterConfig(parquet.SortingColumns(sorted...)),
		parquet.CreatedBy("hyperlight", fmt.Sprint(SchemaVersion), ""),
	}
	for _, kv := range f.metadata() {
		options = append(options, parquet.KeyValueMetadata(kv[0], kv[1]))
	}
	return &Writer[T]{out: parquet.NewGenericWriter[T](w, options...)}
}

// Write adds rows. They must follow those before in the order of the dataset: ErrOrder.
func (w *Writer[T]) Write(rows []T) error {
	for i := range rows {
		if w.rows+int64(i) > 0 && w.last.compare(&rows[i]) > 0 {
			return fmt.Errorf("write row %d: %w", w.rows+int64(i), ErrOrder)
		}
		w.last = rows[i]
	}
	n, err := w.out.Write(rows)
	w.rows += int64(n)
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

// Rows returns how many rows were written.
func (w *Writer[T]) Rows() int64 { return w.rows }

// SetSource notes the digest of the stored rows that the file was made of, for whoever knows it only at the end.
func (w *Writer[T]) SetSource(sha256 string) { w.out.SetKeyValueMetadata(sourceKey, sha256) }

// Close writes the last row group and the footer. It does not close what the file is written to.
func (w *Writer[T]) Close() error {
	if err := w.out.Close(); err != nil {
		return fmt.Errorf("finish file: %w", err)
	}
	return nil
}
