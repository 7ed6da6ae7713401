package export

import (
	"bytes"
	"slices"
	"sync"

	packer "github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// codec packs the pages of all files with zstd's fastest level, which packs columns that are encoded by their differences as
// well as the next level does, in half the time. Other than the library's codec of that level it also packs pages in which some
// bytes are more frequent than others and nothing is repeated: indices into dictionaries, differences in whole bytes.
type codec struct {
	zstd.Codec // unpacks
	encoder    *packer.Encoder
}

var packed = sync.OnceValue(func() *codec {
	e, err := packer.NewWriter(nil, packer.WithEncoderLevel(packer.SpeedFastest), packer.WithAllLitEntropyCompression(true),
		packer.WithEncoderConcurrency(maxEncoders), packer.WithEncoderCRC(false), packer.WithZeroFrames(true))
	if err != nil {
		panic(err) // of options that never change
	}
	return &codec{encoder: e}
})

func (c *codec) Encode(dst, src []byte) ([]byte, error) {
	return c.encoder.EncodeAll(src, dst[:0]), nil
}

// pageSize is how many bytes of a column, before they are encoded, make a page: all of a row group for a column of integers.
const pageSize = 1 << 20

// groupOptions are what a file and its row groups, each of which is encoded as a file of its own, must have alike. Bounds of
// pages stand in the page index, where readers look, and not once more in the header of each page.
func groupOptions[T Row[T]](l layout) []parquet.WriterOption {
	options := []parquet.WriterOption{
		parquet.Compression(packed()),
		parquet.DefaultEncodingFor(parquet.Int64, &wholeBytes{}),
		parquet.MaxRowsPerRowGroup(int64(l.group)),
		parquet.PageBufferSize(pageSize),
	}
	for _, column := range parquet.SchemaOf(*new(T)).Columns() {
		options = append(options, parquet.SkipPageStatistics(column...))
	}
	return options
}

// chunk is how many rows are taken apart into columns at once: they stay in the processor's cache meanwhile.
const chunk = 512

// group is a row group: first its rows, then what it is in a file. It is used again for another one.
type group[T Row[T]] struct {
	rows  []T
	keep  func(*T)
	out   *parquet.GenericWriter[T]
	file  bytes.Buffer
	ended chan error // one for each call of encode
}

// groups holds the groups that files no longer need, a pool for each dataset: of trades, one takes 50 MB to make.
var groups sync.Map

func pool(d Dataset) *sync.Pool {
	p, ok := groups.Load(d)
	if !ok {
		p, _ = groups.LoadOrStore(d, new(sync.Pool))
	}
	return p.(*sync.Pool)
}

// newGroup returns an empty group with room for so many rows.
func newGroup[T Row[T]](capacity int) *group[T] {
	var zero T
	l := zero.layout()
	if g, ok := pool(l.dataset).Get().(*group[T]); ok {
		return g
	}
	g := &group[T]{rows: make([]T, 0, capacity), keep: zero.keep(), ended: make(chan error, 1)}
	g.out = parquet.NewGenericWriter[T](&g.file, groupOptions[T](l)...)
	return g
}

// release gives up a group that is empty and was waited for.
func (g *group[T]) release() {
	var zero T
	pool(zero.layout().dataset).Put(g)
}

// add copies rows and returns how many.
func (g *group[T]) add(rows []T) int {
	began := len(g.rows)
	g.rows = append(g.rows, rows...)
	if g.keep != nil {
		for i := range g.rows[began:] {
			g.keep(&g.rows[began+i])
		}
	}
	return len(rows)
}

// encode makes a file of the rows in memory.
func (g *group[T]) encode() {
	g.file.Reset()
	g.out.Reset(&g.file)
	var err error
	for part := range slices.Chunk(g.rows, chunk) {
		if _, err = g.out.Write(part); err != nil {
			break
		}
	}
	if err == nil {
		err = g.out.Close()
	}
	clear(g.rows) // their texts
	g.rows = g.rows[:0]
	g.ended <- err
}

// wait waits until encode has ended. What it returns is valid until the next row is added.
func (g *group[T]) wait() (parquet.RowGroup, error) {
	if err := <-g.ended; err != nil {
		return nil, err
	}
	f, err := parquet.OpenFile(bytes.NewReader(g.file.Bytes()), int64(g.file.Len()), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	return f.RowGroups()[0], nil
}
