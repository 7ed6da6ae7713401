package iceberg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"hyperlight/engine/lake"
)

var (
	errOther = errors.New("not the file that is listed")
	errGone  = errors.New("it is not here")
)

// boundBytes is the most of a text that a bound has, as in Iceberg's own writer.
const boundBytes = 16

// measure returns the entry of a file, with what its footer says of its columns.
func (s *state) measure(f lake.File, dir string) (e entry, err error) {
	defer func() {
		if p := recover(); p != nil { // the library takes lengths of a damaged file for granted
			err = fmt.Errorf("%w: %v", errOther, p)
		}
	}()
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.ID.Key())))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e, errGone
	case err != nil:
		return e, errors.New("it cannot be opened")
	}
	defer in.Close()
	if st, err := in.Stat(); err != nil || st.Size() != f.Bytes {
		return e, fmt.Errorf("%w: of another size", errOther)
	}
	p, err := parquet.OpenFile(in, f.Bytes, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.OptimisticRead(true))
	if err != nil {
		return e, fmt.Errorf("read footer: %w", err)
	}
	if p.NumRows() != f.Rows {
		return e, fmt.Errorf("%w: %d rows, not %d", errOther, p.NumRows(), f.Rows)
	}
	day := int32(f.ID.Day / lake.DayMillis)
	sorted := int32(sortID)
	e = entry{Status: added, digest: f.SHA256, File: dataFile{
		Path: s.location + "/" + f.ID.Key(), Format: "PARQUET", Partition: partition{Day: &day}, Rows: f.Rows, Bytes: f.Bytes,
		ColumnBytes: new([]idLong), Values: new([]idLong), Nulls: new([]idLong), Lower: new([]idBytes), Upper: new([]idBytes), SortOrder: &sorted,
	}}
	if f.ID.Dataset.PerMarket() {
		market := int32(f.ID.Market)
		e.File.Partition.Market = &market
	}
	ids := make(map[string]int)
	known(s.fields(), "", ids)
	groups := p.Metadata().RowGroups
	for i, path := range p.Schema().Columns() {
		leaf, _ := p.Schema().Lookup(path...)
		c := column{leaf: leaf}
		for g := range groups {
			c.add(&groups[g].Columns[i].MetaData)
		}
		if id, ok := ids[join(path)]; ok {
			c.note(&e.File, int32(id))
		}
		if len(path) == 1 && path[0] == datasets[s.dataset].day && !c.within(f.ID) {
			return e, fmt.Errorf("%w: its times are of another day", errOther)
		}
	}
	offsets := make([]int64, 0, len(groups))
	for g := range groups {
		first := groups[g].Columns[0].MetaData
		at := first.DataPageOffset
		if d := first.DictionaryPageOffset; d > 0 {
			at = min(at, d)
		}
		offsets = append(offsets, at)
	}
	if slices.IsSorted(offsets) {
		e.File.SplitOffsets = &offsets
	}
	return e, nil
}

// join returns the path of a column as the schema's ids know it: without the level that Parquet adds to lists.
func join(path []string) string {
	name := path[0]
	for _, p := range path[1:] {
		if p != "list" {
			name += "." + p
		}
	}
	return name
}

// column sums up the row groups of a column.
type column struct {
	leaf                 parquet.LeafColumn
	bytes, values, nulls int64
	low, high            []byte // as Parquet has them; nil before the first value
	unknown              bool   // a row group does not say
}

func (c *column) add(m *format.ColumnMetaData) {
	c.bytes += m.TotalCompressedSize
	c.values += m.NumValues
	c.nulls += m.Statistics.NullCount
	if m.Statistics.NullCount == m.NumValues {
		return
	}
	low, high := m.Statistics.MinValue, m.Statistics.MaxValue
	if len(low) == 0 && len(high) == 0 {
		c.unknown = true
		return
	}
	if c.low == nil || c.compare(low, c.low) < 0 {
		c.low = low
	}
	if c.high == nil || c.compare(high, c.high) > 0 {
		c.high = high
	}
}

func (c *column) compare(a, b []byte) int {
	t := c.leaf.Node.Type()
	if t.Kind() == parquet.ByteArray {
		return bytes.Compare(a, b)
	}
	return t.Compare(t.Kind().Value(a), t.Kind().Value(b))
}

// note adds what is known of the column to a file. Of what is below a list only the bytes are.
func (c *column) note(f *dataFile, id int32) {
	*f.ColumnBytes = append(*f.ColumnBytes, idLong{id, c.bytes})
	if c.leaf.MaxRepetitionLevel > 0 {
		return
	}
	*f.Values = append(*f.Values, idLong{id, c.values})
	*f.Nulls = append(*f.Nulls, idLong{id, c.nulls})
	if c.unknown || c.low == nil {
		return
	}
	low, high := c.bound(c.low), c.bound(c.high)
	if c.leaf.Node.Type().Kind() == parquet.ByteArray {
		// A shortened text comes before the whole one, so it serves as the lower bound only.
		low = low[:min(len(low), boundBytes)]
		for len(low) > 0 && utf8.Valid(c.low) && !utf8.Valid(low) {
			low = low[:len(low)-1] // readers take a bound for a text
		}
		if len(high) > boundBytes {
			high = nil
		}
	}
	*f.Lower = append(*f.Lower, idBytes{id, low})
	if high != nil {
		*f.Upper = append(*f.Upper, idBytes{id, high})
	}
}

// micros returns the microseconds of a value of a column of times.
func (c *column) micros(v []byte) int64 {
	t := int64(binary.LittleEndian.Uint64(v))
	if l, ok := logical(c.leaf.Node).(*format.TimestampType); ok {
		if _, ok := l.Unit.Value.(*format.MilliSeconds); ok {
			t *= 1000
		}
	}
	return t
}

// within tells whether the column's times are of the day of a file, as the partition says.
func (c *column) within(id lake.ID) bool {
	return !c.unknown && (c.low == nil || c.micros(c.low) >= int64(id.Day)*1000 && c.micros(c.high) < int64(id.To())*1000)
}

// bound returns a value of Parquet's in the form that Iceberg's bounds have.
func (c *column) bound(v []byte) []byte {
	switch logical(c.leaf.Node).(type) {
	case *format.TimestampType:
		return binary.LittleEndian.AppendUint64(nil, uint64(c.micros(v)))
	case *format.DecimalType:
		return unscaled(int64(binary.LittleEndian.Uint64(v)))
	}
	return slices.Clone(v) // Parquet's plain form of the other types is Iceberg's
}

// unscaled returns a mantissa as the shortest two's complement, the highest byte first.
func unscaled(v int64) []byte {
	u := uint64(v)
	if v < 0 {
		u = ^u
	}
	n := bits.Len64(u)/8 + 1 // with the bit of the sign
	b := binary.BigEndian.AppendUint64(nil, uint64(v))
	return b[8-n:]
}
