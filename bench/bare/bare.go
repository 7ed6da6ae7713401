// Package bare is a Pebble database without anything of ours around it: the baseline of what reads and writes the store.
// Only tests import it.
package bare

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Row is a row of a store, in memory of its own.
type Row struct{ Key, Value []byte }

// Rows returns every row of the families, all of them where none is named.
func Rows(b testing.TB, s *kv.Store, families ...key.Family) (rows []Row) {
	b.Helper()
	if len(families) == 0 {
		families = []key.Family{key.Trades, key.Keyframes, key.Books, key.Candles, key.Funding, key.Liquidations, key.Stats, key.Gaps,
			key.Index, key.Coverage, key.Markets, key.Meta}
	}
	for _, f := range families {
		for row, err := range s.Scan(b.Context(), key.All(f)) {
			if err != nil {
				b.Fatalf("scan store: %v", err)
			}
			rows = append(rows, Row{bytes.Clone(row.Key), bytes.Clone(row.Value)})
		}
	}
	return rows
}

// Size returns how many bytes rows have, keys included.
func Size(rows []Row) (n int) {
	for _, r := range rows {
		n += len(r.Key) + len(r.Value)
	}
	return n
}

// DB is a Pebble database with the store's sizes and compression, otherwise the library's own settings, and nothing
// around it.
type DB struct {
	b  testing.TB
	db *pebble.DB

	turn uint32
}

// Open opens a bare database in a directory, or in memory where dir is empty.
func Open(b testing.TB, dir string) *DB {
	b.Helper()
	o := &pebble.Options{FormatMajorVersion: pebble.FormatNewest, MemTableSize: kv.DefaultMemTableBytes, Logger: quiet{}}
	if dir == "" {
		o.FS, dir = vfs.NewMem(), "bare"
	}
	o.CacheSize = kv.DefaultCacheBytes
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	db, err := pebble.Open(dir, o)
	if err != nil {
		b.Fatalf("open bare database: %v", err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Errorf("close bare database: %v", err)
		}
	})
	return &DB{b: b, db: db}
}

// Write commits rows in groups of at most so many rows, each group on disk before the next one begins.
func (x *DB) Write(rows []Row, group int) { x.write(nil, rows, group) }

// WriteNew is Write with a prefix that no call before had, so that the rows are new ones.
func (x *DB) WriteNew(rows []Row, group int) {
	x.turn++
	x.write(binary.BigEndian.AppendUint32(nil, x.turn), rows, group)
}

func (x *DB) write(prefix []byte, rows []Row, group int) {
	batch := x.db.NewBatch()
	var k []byte
	for i, r := range rows {
		k = append(append(k[:0], prefix...), r.Key...)
		if err := batch.Set(k, r.Value, nil); err != nil {
			x.b.Fatalf("set row: %v", err)
		}
		if (i+1)%group != 0 && i+1 != len(rows) {
			continue
		}
		if err := batch.Commit(pebble.Sync); err != nil {
			x.b.Fatalf("commit: %v", err)
		}
		batch.Reset()
	}
	if err := batch.Close(); err != nil {
		x.b.Fatalf("close batch: %v", err)
	}
}

// Settle writes everything to tables, as a store that has been at rest for a while, and returns their bytes.
func (x *DB) Settle() uint64 {
	if err := x.db.Flush(); err != nil {
		x.b.Fatalf("flush: %v", err)
	}
	if err := x.db.Compact(x.b.Context(), []byte{0}, []byte{0xff}, true); err != nil {
		x.b.Fatalf("compact: %v", err)
	}
	total := x.db.Metrics().Total()
	return uint64(total.TablesSize)
}

// Read calls fn with every row in order.
func (x *DB) Read(fn func(k, v []byte)) {
	it, err := x.db.NewIter(nil)
	if err != nil {
		x.b.Fatalf("open iterator: %v", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			x.b.Fatalf("read value: %v", err)
		}
		fn(it.Key(), v)
	}
	if err := it.Close(); err != nil {
		x.b.Fatalf("close iterator: %v", err)
	}
}

// quiet drops what the library would log; a fatal fault still ends the run.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}
