package export

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"slices"

	"hyperlight/engine/lake"
)

// footerEnd is what follows the footer of a file: its length and four letters.
const footerEnd = 8

// sameRows tells whether a file that was written aside has the rows of the listed one and says the same of what it holds, so that
// only the digest of what they were made of differs. That is so where rows moved in the record without changing, as candles do
// whose trades retention has dropped: such a file keeps its hash. The bytes before the footer follow from the rows alone.
func (l *Lake) sameRows(old lake.File, f *dayFile) bool {
	if f.rows != old.Rows || old.SchemaVersion != SchemaVersion || l.check(old) != nil {
		return false
	}
	was, err := l.disk.Open(old.ID.Key())
	if err != nil {
		return false
	}
	defer was.Close()
	is, err := l.disk.Open(aside(old.ID.Key()))
	if err != nil {
		return false
	}
	defer is.Close()
	return sameContent(was, old.Bytes, is, f.bytes)
}

func sameContent(a *os.File, sizeA int64, b *os.File, sizeB int64) bool {
	fileA, errA := NewFile(a, sizeA)
	fileB, errB := NewFile(b, sizeB)
	if errA != nil || errB != nil || !slices.Equal(fileA.Footer().Held, fileB.Footer().Held) {
		return false
	}
	rowsA, rowsB := rowBytes(a, sizeA), rowBytes(b, sizeB)
	if rowsA < 0 || rowsA != rowsB {
		return false
	}
	var bufA, bufB [64 << 10]byte
	for at := int64(0); at < rowsA; {
		n := min(int64(len(bufA)), rowsA-at)
		if _, err := a.ReadAt(bufA[:n], at); err != nil {
			return false
		}
		if _, err := b.ReadAt(bufB[:n], at); err != nil {
			return false
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			return false
		}
		at += n
	}
	return true
}

// rowBytes returns how many bytes of a file stand before its footer, -1 where it has none.
func rowBytes(r io.ReaderAt, size int64) int64 {
	var end [footerEnd]byte
	if _, err := r.ReadAt(end[:], size-footerEnd); err != nil {
		return -1
	}
	return size - footerEnd - int64(binary.LittleEndian.Uint32(end[:]))
}
