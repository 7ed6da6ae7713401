package export

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
)

// File is an open file of the lake. It belongs to one goroutine.
type File struct {
	footer Footer
	file   *os.File // nil for one that is not on disk
	inner  *parquet.File
}

// Open opens a file and checks what it says of itself: ErrNotLake, ErrVersion, ErrDamaged.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open lake file: %w", err), f.Close())
	}
	out, err := NewFile(f, info.Size())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	out.file = f
	return out, nil
}

// NewFile opens a file that lies anywhere.
func NewFile(r io.ReaderAt, size int64) (out *File, err error) {
	// The library panics on some damaged files.
	defer damaged(&err)
	inner, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	footer, err := readFooter(inner.Lookup)
	if err != nil {
		return nil, err
	}
	return &File{footer: footer, inner: inner}, nil
}

// Footer returns what the file says of itself.
func (f *File) Footer() Footer { return f.footer }

// NumRows returns how many rows the file has.
func (f *File) NumRows() int64 { return f.inner.NumRows() }

// Close closes the file.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Reader reads the rows of a file, page by page.
type Reader[T Row[T]] struct {
	in   *parquet.GenericReader[T]
	left int64
}

// NewReader returns a reader of a file's rows, which must be of the dataset of T and have all its columns as they are
// written here: ErrNotLake. Further columns are passed over.
func NewReader[T Row[T]](f *File) (r *Reader[T], err error) {
	defer damaged(&err)
	var zero T
	if want := zero.layout().dataset; f.footer.Dataset != want {
		return nil, fmt.Errorf("%w of %s: its dataset is %s", ErrNotLake, want, f.footer.Dataset)
	}
	if err := checkColumns(parquet.SchemaOf(zero), f.inner.Schema()); err != nil {
		return nil, err
	}
	return &Reader[T]{in: parquet.NewGenericReader[T](f.inner), left: f.inner.NumRows()}, nil
}

// Read fills rows and returns how many it did; io.EOF behind the last. Texts may be kept.
func (r *Reader[T]) Read(rows []T) (n int, err error) {
	defer func() {
		if errors.Is(err, ErrDamaged) {
			n = 0
		}
	}()
	defer damaged(&err)
	n, err = r.in.Read(rows)
	r.left -= int64(n)
	switch {
	case err == nil, err == io.EOF && r.left == 0:
		return n, err
	case err == io.EOF:
		return n, fmt.Errorf("%w: it ends before its last row", ErrDamaged)
	}
	return n, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// Close frees what the reader holds; the file stays open.
func (r *Reader[T]) Close() (err error) {
	defer damaged(&err)
	return r.in.Close()
}

// damaged turns a panic of the library into an error.
func damaged(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// checkColumns tells whether a file has the columns that we know, of the same types.
func checkColumns(want, have *parquet.Schema) error {
	for _, path := range want.Columns() {
		w, _ := want.Lookup(path...)
		h, ok := have.Lookup(path...)
		if !ok {
			return fmt.Errorf("%w: column %v is missing", ErrNotLake, path)
		}
		if w.Node.Type().String() != h.Node.Type().String() || w.Node.Type().Kind() != h.Node.Type().Kind() {
			return fmt.Errorf("%w: column %v is %s, not %s", ErrNotLake, path, h.Node.Type(), w.Node.Type())
		}
		if w.MaxRepetitionLevel != h.MaxRepetitionLevel || w.MaxDefinitionLevel != h.MaxDefinitionLevel && w.MaxRepetitionLevel > 0 {
			return fmt.Errorf("%w: column %v repeats otherwise", ErrNotLake, path)
		}
	}
	return nil
}
