package history

import (
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// pointDeletes is up to how many rows are deleted one by one. The database sorts the deleted ranges of its newest table anew
// for each read that follows one, so that thousands of small ranges cost far more than the rows in them.
const pointDeletes = 64

// cleared are the rows of a range that a batch puts away: all of them, as they were read. Nothing may be written to the range
// in between.
type cleared struct {
	all  key.Range
	keys [][]byte // the first ones
	rows int
}

// add notes a row of the range; the key is copied.
func (c *cleared) add(k []byte) {
	if c.rows++; c.rows <= pointDeletes {
		c.keys = append(c.keys, append([]byte(nil), k...))
	}
}

// delete puts the deletions into a batch, before what is written in their place.
func (c *cleared) delete(batch *kv.Batch) {
	if c.rows > pointDeletes {
		batch.DeleteRange(c.all)
		return
	}
	for _, k := range c.keys {
		batch.Delete(k)
	}
}
