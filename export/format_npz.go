package export

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/klauspost/compress/flate"
)

// The array is what NumPy's savez_compressed makes of it: a zip with one .npy, in it the rows of a structured type.
const (
	npyName   = "data.npy"
	npyMagic  = "\x93NUMPY\x01\x00"
	npyFields = "[('ev', '<u8'), ('exch_ts', '<i8'), ('local_ts', '<i8'), ('px', '<f8'), ('qty', '<f8'), ('order_id', '<u8'), ('ival', '<i8'), ('fval', '<f8')]"
	// npyRow is how many bytes a row has.
	npyRow = 64
	// npyAlign is what the length of all that stands before the rows is a multiple of.
	npyAlign = 64
)

// events writes the array of a market's events. Its length stands before its rows, so they are read twice.
func (w *rangeWriter) events() error {
	count := int64(0)
	if err := w.source.marketEvents(w.ctx, &w.request, func(*event) error { count++; return w.ctx.Err() }); err != nil {
		return err
	}
	archive := zip.NewWriter(w.out)
	archive.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	// Without a time, so that the same rows are the same bytes.
	file, err := archive.CreateHeader(&zip.FileHeader{Name: npyName, Method: zip.Deflate})
	if err != nil {
		return fmt.Errorf("begin %s: %w", npyName, err)
	}
	block := npyHeader(count)
	flush := func() error {
		_, err := file.Write(block)
		block = block[:0]
		if err != nil {
			return fmt.Errorf("write events: %w", err)
		}
		w.progress(w.rows)
		return w.ctx.Err()
	}
	if err := w.source.marketEvents(w.ctx, &w.request, func(e *event) error {
		block = e.append(block)
		w.rows++
		if len(block) < rangeBuffer {
			return nil
		}
		return flush()
	}); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	if w.rows != count {
		return fmt.Errorf("write events: there were %d and are %d: the record changed meanwhile, run it again", count, w.rows)
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("finish events: %w", err)
	}
	return nil
}

// npyHeader returns what stands before so many rows.
func npyHeader(rows int64) []byte {
	text := "{'descr': " + npyFields + ", 'fortran_order': False, 'shape': (" + strconv.FormatInt(rows, 10) + ",), }"
	begin := len(npyMagic) + 2
	for (begin+len(text)+1)%npyAlign != 0 {
		text += " "
	}
	text += "\n"
	out := binary.LittleEndian.AppendUint16([]byte(npyMagic), uint16(len(text)))
	return append(out, text...)
}

// append appends an event as it lies in the array. Members that only orders have are 0.
func (e *event) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, e.kind)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.exch))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.local))
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.price))
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.size))
	return append(dst, make([]byte, npyRow-40)...)
}

// binary64 returns the binary number nearest to a column's. The backtester has no other.
func binary64(mant int64) float64 {
	if mant < 1<<53 && mant > -1<<53 {
		return float64(mant) / 1e6 // both are exact, so the quotient is the nearest
	}
	v, _ := strconv.ParseFloat(string(appendDecimal(nil, mant, decimalScale)), 64)
	return v
}
