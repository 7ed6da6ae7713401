package history

import (
	"errors"
	"fmt"

	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

type indexKey struct {
	family key.Family
	bucket uint32
	market uint32
}

// indexState is the count of a market's bucket; it lives in memory and is written as an absolute value with its rows.
type indexState struct {
	record.Index
	key   indexKey
	dirty bool
}

// count adds rows of one moment to a bucket's index row.
func (w *Writer) count(f key.Family, bucket, mkt uint32, rows uint64, ts int64, id uint64) error {
	ix, err := w.indexOf(indexKey{f, bucket, mkt})
	if err != nil {
		return err
	}
	if ix.Rows == 0 {
		ix.First, ix.Last = ts, ts
	}
	ix.Rows += rows
	ix.First, ix.Last = min(ix.First, ts), max(ix.Last, ts)
	ix.LastID = max(ix.LastID, id)
	w.markIndex(ix)
	return nil
}

func (w *Writer) markIndex(ix *indexState) {
	if !ix.dirty {
		ix.dirty = true
		w.dirtyIndex = append(w.dirtyIndex, ix)
	}
}

func (w *Writer) indexOf(k indexKey) (*indexState, error) {
	if ix := w.index[k]; ix != nil {
		return ix, nil
	}
	ix := &indexState{key: k}
	w.keyBuf = key.IndexRow(w.keyBuf[:0], k.family, k.bucket, k.market)
	err := w.store.Get(w.keyBuf, func(v []byte) (err error) {
		ix.Index, err = record.DecodeIndex(v)
		return err
	})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, fmt.Errorf("read index row: %w", err)
	}
	w.index[k] = ix
	return ix, nil
}
