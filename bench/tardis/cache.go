package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"hyperlight/engine/model"
)

// cache writes what tardis-dev keeps of its downloads: a gzip file for each minute, with lines of a receive time, which has
// seven digits behind the second, and a message as received. The library finds them by the channels that are asked for.
type cache struct {
	dir     string
	filters string // channels and symbols, as the library writes them
	minute  int64
	file    *os.File
	zip     *gzip.Writer
	lines   *bufio.Writer
	written int
}

// newCache writes below the root of a cache what a replay of a symbol's trades and books reads.
func newCache(root, symbol string) *cache {
	f := fmt.Sprintf(`[{"channel":"depth","symbols":[%[1]q]},{"channel":"depthSnapshot","symbols":[%[1]q]},`+
		`{"channel":"trade","symbols":[%[1]q]}]`, symbol)
	return &cache{filters: f, dir: filepath.Join(root, "feeds", "binance-futures", fmt.Sprintf("%x", sha256.Sum256([]byte(f))))}
}

// add writes a message; receive times must not run backwards.
func (c *cache) add(recv model.Micros, message []byte) error {
	at := time.UnixMicro(int64(recv)).UTC()
	for c.file == nil || at.Unix()/60 > c.minute {
		next := at.Truncate(time.Minute)
		if c.file != nil { // minutes without a message have a file as well
			next = time.Unix(60*(c.minute+1), 0).UTC()
			if err := c.close(); err != nil {
				return err
			}
		}
		if err := c.open(next); err != nil {
			return err
		}
	}
	c.written++
	_, err := fmt.Fprintf(c.lines, "%s %s\n", at.Format("2006-01-02T15:04:05.0000000Z"), message)
	return err
}

func (c *cache) open(minute time.Time) error {
	name := filepath.Join(c.dir, minute.Format("2006/01/02/15/04")+".json.gz")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	c.minute, c.file, c.zip = minute.Unix()/60, f, gzip.NewWriter(f)
	c.lines = bufio.NewWriterSize(c.zip, 64<<10)
	return nil
}

func (c *cache) close() error {
	if c.file == nil {
		return nil
	}
	return errors.Join(c.lines.Flush(), c.zip.Close(), c.file.Close())
}
