package record

import (
	"cmp"
	"fmt"
	"sync"

	"hyperlight/engine/model"
)

// Posting leads from an account to a trade of it: its place, and what a list of fills is narrowed by.
type Posting struct {
	Account model.AccountID
	Time    model.Millis
	ID      uint64
	Market  model.MarketID
	Kind    model.TradeKind
	Maker   bool // the account's role
	Buys    bool // the account's side
}

// Compare orders postings by account, then by their place in a list of fills. Two that are equal are one.
func (p *Posting) Compare(o *Posting) int {
	if c := cmp.Or(cmp.Compare(p.Account, o.Account), cmp.Compare(p.Time, o.Time), cmp.Compare(p.Market, o.Market), cmp.Compare(p.ID, o.ID)); c != 0 {
		return c
	}
	switch {
	case p.Maker == o.Maker:
		return 0
	case o.Maker:
		return -1
	}
	return 1
}

const (
	postingVersion = 1
	// MaxPostings is the most that a block or segment may hold.
	MaxPostings = 1 << 13

	postingMaker = 1 << 0
	postingBuys  = 1 << 1
	postingKind  = 2 // where the kind begins
)

// A value of postings, of either form, is
//
//	version, count, smallest time, id of the first, and five columns: runs of one account (difference to the account
//	before, length); times (of a run's first row from the smallest, of others from the row before); markets; ids (of a
//	run's first row from the first of all, of others from the row before); flags
//
// In a segment each column is a section of its own, compressed by itself. Runs stand alone, so that one account's
// postings are found without working out the others'.

// AppendPostings encodes postings, ascending as Compare says; at most MaxPostings, beyond which it panics.
func AppendPostings(dst []byte, rows []Posting, seal bool) []byte {
	if len(rows) > MaxPostings {
		panic(fmt.Sprintf("record: block of %d postings", len(rows)))
	}
	version := byte(postingVersion)
	if seal {
		version |= sealedBit
	}
	dst = appendUvarint(append(dst, version), uint64(len(rows)))
	if len(rows) == 0 {
		return dst
	}
	base := rows[0].Time
	for i := range rows {
		base = min(base, rows[i].Time)
	}
	dst = appendUvarint(appendUvarint(dst, uint64(base)), rows[0].ID)
	c := postingCoders.Get().(*postingCoder)
	defer postingCoders.Put(c)
	c.raw = appendRuns(c.raw[:0], rows)
	dst = c.end(dst, seal)
	for i := range rows {
		before := base
		if i > 0 && rows[i-1].Account == rows[i].Account {
			before = rows[i-1].Time
		}
		c.raw = appendUvarint(c.raw, uint64(rows[i].Time-before))
	}
	dst = c.end(dst, seal)
	for i := range rows {
		c.raw = appendUvarint(c.raw, uint64(rows[i].Market))
	}
	dst = c.end(dst, seal)
	for i := range rows {
		before := rows[0].ID
		if i > 0 && rows[i-1].Account == rows[i].Account {
			before = rows[i-1].ID
		}
		c.raw = appendVarint(c.raw, int64(rows[i].ID-before))
	}
	dst = c.end(dst, seal)
	for i := range rows {
		flags := byte(min(rows[i].Kind, 31)) << postingKind
		if rows[i].Maker {
			flags |= postingMaker
		}
		if rows[i].Buys {
			flags |= postingBuys
		}
		c.raw = append(c.raw, flags)
	}
	return c.end(dst, seal)
}

func appendRuns(dst []byte, rows []Posting) []byte {
	var last model.AccountID
	for i := 0; i < len(rows); {
		n := 1
		for i+n < len(rows) && rows[i+n].Account == rows[i].Account {
			n++
		}
		dst = appendUvarint(appendUvarint(dst, uint64(rows[i].Account-last)), uint64(n))
		last = rows[i].Account
		i += n
	}
	return dst
}

// postingCoder is the working memory of one call.
type postingCoder struct{ raw []byte }

var postingCoders = sync.Pool{New: func() any { return &postingCoder{} }}

// end writes the column in raw and begins another one.
func (c *postingCoder) end(dst []byte, seal bool) []byte {
	if seal {
		dst = appendSection(dst, c.raw, true)
	} else {
		dst = append(dst, c.raw...)
	}
	c.raw = c.raw[:0]
	return dst
}

// CountPostings returns how many postings a block or segment holds, without reading them.
func CountPostings(b []byte) (int, error) {
	r, n, _, _, err := openPostings(b)
	if err == nil && n == 0 {
		err = r.end("postings")
	}
	return n, err
}

func openPostings(b []byte) (r reader, n int, base, id uint64, err error) {
	if len(b) == 0 {
		return r, 0, 0, 0, corrupt("postings")
	}
	if b[0]&^sealedBit != postingVersion {
		return r, 0, 0, 0, fmt.Errorf("decode postings: %w %d", ErrVersion, b[0])
	}
	r = reader{b: b, i: 1}
	count := r.uvarint()
	if r.bad || count > MaxPostings {
		return r, 0, 0, 0, corrupt("postings")
	}
	if count > 0 {
		base, id = r.uvarint(), r.uvarint()
	}
	if r.bad {
		return r, 0, 0, 0, corrupt("postings")
	}
	return r, int(count), base, id, nil
}

// DecodePostings appends the postings of a block or segment to dst; after an error dst comes back as it was given.
func DecodePostings(dst []Posting, b []byte) ([]Posting, error) {
	return decodePostings(dst, b, func(model.AccountID) bool { return true })
}

// DecodePostingsOf is DecodePostings for those of one account.
func DecodePostingsOf(dst []Posting, b []byte, account model.AccountID) ([]Posting, error) {
	return decodePostings(dst, b, func(a model.AccountID) bool { return a == account })
}

// run is the rows of one account.
type run struct {
	rows   int
	wanted bool
}

func decodePostings(dst []Posting, b []byte, want func(model.AccountID) bool) ([]Posting, error) {
	r, n, base, id, err := openPostings(b)
	if err != nil {
		return dst, err
	}
	if n == 0 {
		return dst, r.end("postings")
	}
	p := postingReader{r: r, sealed: b[0]&sealedBit != 0}
	c := postingCoders.Get().(*postingCoder)
	defer postingCoders.Put(c)
	start := len(dst)
	runs, dst, ok := p.runs(c, dst, n, want)
	if !ok {
		return dst[:start], corrupt("postings")
	}
	if len(dst) == start {
		return dst, nil
	}
	out := dst[start:]
	p.column(c)
	p.each(runs, func(i, first int) {
		at := model.Millis(p.col.uvarint())
		if i == first {
			at += model.Millis(base)
		} else {
			at += out[i-1].Time
		}
		out[i].Time = at
	})
	p.column(c)
	p.each(runs, func(i, _ int) { out[i].Market = model.MarketID(p.col.uvarint()) })
	p.column(c)
	p.each(runs, func(i, first int) {
		before := id
		if i != first {
			before = out[i-1].ID
		}
		out[i].ID = before + uint64(p.col.varint())
	})
	p.column(c)
	p.each(runs, func(i, _ int) {
		flags := p.col.uvarint()
		p.bad = p.bad || flags >= 0x80
		out[i].Maker, out[i].Buys = flags&postingMaker != 0, flags&postingBuys != 0
		out[i].Kind = model.TradeKind(flags >> postingKind)
	})
	p.finish()
	if p.bad {
		return dst[:start], corrupt("postings")
	}
	return dst, nil
}

// postingReader goes through the columns.
type postingReader struct {
	r      reader // over the columns of a block, over the sections of a segment
	sealed bool
	bad    bool
	col    reader
	begun  bool
}

// column goes on to the next column.
func (p *postingReader) column(c *postingCoder) {
	if !p.sealed {
		if !p.begun {
			p.col = p.r
		}
		p.begun = true
		return
	}
	p.endColumn()
	raw, grown, err := p.r.section().unpack(c.raw, "postings")
	c.raw = grown
	p.bad = p.bad || err != nil || p.r.bad
	p.col, p.begun = reader{b: raw}, true
}

func (p *postingReader) endColumn() {
	p.bad = p.bad || p.begun && (p.col.bad || p.col.left() != 0)
}

func (p *postingReader) finish() {
	p.endColumn()
	p.bad = p.bad || p.sealed && (p.r.bad || p.r.left() != 0)
}

// runs reads the accounts and appends a row for each posting that is wanted.
func (p *postingReader) runs(c *postingCoder, dst []Posting, n int, want func(model.AccountID) bool) ([]run, []Posting, bool) {
	p.column(c)
	var runs []run
	var account model.AccountID
	for left := n; left > 0; {
		step, length := p.col.uvarint(), p.col.uvarint()
		account += model.AccountID(step)
		if p.col.bad || length == 0 || length > uint64(left) || step == 0 && len(runs) > 0 {
			return nil, dst, false
		}
		left -= int(length)
		wanted := want(account)
		if k := len(runs); k > 0 && !wanted && !runs[k-1].wanted {
			runs[k-1].rows += int(length)
		} else {
			runs = append(runs, run{int(length), wanted})
		}
		if wanted {
			for range length {
				dst = append(dst, Posting{Account: account})
			}
		}
		if p.bad {
			return nil, dst, false
		}
	}
	return runs, dst, !p.bad
}

// each calls read for every wanted row, with the place of its run's first one, and passes over the others.
func (p *postingReader) each(runs []run, read func(i, first int)) {
	at := 0
	for k := range runs {
		if !runs[k].wanted {
			for range runs[k].rows {
				p.col.uvarint() // a row of any column: flags are below 0x80
			}
			continue
		}
		first := at
		for range runs[k].rows {
			read(at, first)
			at++
		}
	}
}
