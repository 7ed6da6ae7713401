package record

import (
	"fmt"
	"sync"

	"hyperlight/engine/model"
)

// Columns says which column groups of trades to decode.
type Columns uint8

// The column groups. Core holds everything up to Trade.Block, Hash the transaction hash, Rest what follows it.
const (
	Core Columns = 1 << iota
	Hash
	Rest
	All = Core | Hash | Rest
)

const (
	tradeVersion = 1
	groups       = 3
	// minCore is the least that a row takes in the core group: flags, id, price, size, two orders, two accounts.
	minCore = 8
)

// MaxSegmentTrades is the most that a sealed segment may hold. It bounds what a damaged one can make a reader allocate.
const MaxSegmentTrades = 1 << 16

// A trade value, of either form, is
//
//	version, epoch, count, time of the first row, first row's time - smallest, greatest - first row's,
//	section of the core group, section of the hashes, section of the rest
//
// A group is its columns, one after the other, each with a value for each row that has one. In a segment each column is
// a section of its own, compressed by itself: columns have little in common, and one table of symbols for all of them
// costs a byte a trade.

// AppendTradeBlock encodes a hot block: the trades of one market-second, ascending by id. Trade.Epoch is not looked at.
func AppendTradeBlock(dst []byte, epoch uint8, rows []model.Trade) []byte {
	return appendTrades(dst, tradeVersion, epoch, rows, false)
}

// AppendTradeSegment encodes a sealed segment: trades ascending by (time, id). About 1,024 of them is a good size; up to
// MaxSegmentTrades are allowed, so that rows of the same time need not be torn apart. It panics beyond.
func AppendTradeSegment(dst []byte, epoch uint8, rows []model.Trade) []byte {
	if len(rows) > MaxSegmentTrades {
		panic(fmt.Sprintf("record: segment of %d trades", len(rows)))
	}
	return appendTrades(dst, tradeVersion|sealedBit, epoch, rows, true)
}

func appendTrades(dst []byte, version byte, epoch uint8, rows []model.Trade, seal bool) []byte {
	dst = append(dst, version, epoch)
	dst = appendUvarint(dst, uint64(len(rows)))
	if len(rows) == 0 {
		return dst
	}
	base := rows[0].Time
	low, high := base, base
	for i := range rows {
		low, high = min(low, rows[i].Time), max(high, rows[i].Time)
	}
	dst = appendUvarint(dst, uint64(base))
	dst = appendUvarint(dst, uint64(base)-uint64(low))
	dst = appendUvarint(dst, uint64(high)-uint64(base))
	c := tradeCoders.Get().(*tradeCoder)
	defer tradeCoders.Put(c)
	c.reset(base)
	for g := range groups {
		c.cuts = c.cuts[:0]
		switch Columns(1 << g) {
		case Core:
			c.raw = c.appendCore(c.raw[:0], rows)
		case Hash:
			c.raw = c.appendHashes(c.raw[:0], rows)
		case Rest:
			c.raw = c.appendRest(c.raw[:0], rows)
		}
		dst = c.appendGroup(dst, seal)
	}
	return dst
}

// appendGroup writes the columns in raw as a group.
func (c *tradeCoder) appendGroup(dst []byte, seal bool) []byte {
	if !seal {
		return appendSection(dst, c.raw, false)
	}
	c.packed = c.packed[:0]
	lo := 0
	for _, hi := range c.cuts {
		c.packed = appendSection(c.packed, c.raw[lo:hi], true)
		lo = hi
	}
	return appendSection(dst, c.packed, false)
}

// endColumn marks where a column ends in the group being written.
func (c *tradeCoder) endColumn(dst []byte) []byte {
	c.cuts = append(c.cuts, len(dst))
	return dst
}

// TradeHeader reads the head of a trade block or segment.
func TradeHeader(b []byte) (Header, error) {
	h, _, _, err := openTrades(b)
	return h, err
}

func openTrades(b []byte) (h Header, base int64, r reader, err error) {
	if len(b) < 3 {
		return h, 0, r, corrupt("trades")
	}
	if b[0]&^sealedBit != tradeVersion {
		return h, 0, r, fmt.Errorf("decode trades: %w %d", ErrVersion, b[0])
	}
	h.Epoch = b[1]
	r = reader{b: b, i: 2}
	n := r.uvarint()
	if n == 0 {
		return h, 0, r, r.end("trades")
	}
	h.Trades = uint32(n)
	base = int64(r.uvarint())
	h.First = base - int64(r.uvarint())
	h.Last = base + int64(r.uvarint())
	if r.bad || n != uint64(h.Trades) {
		return Header{}, 0, r, corrupt("trades")
	}
	return h, base, r, nil
}

// DecodeTrades appends the trades of a block or segment to dst and returns it; after an error dst comes back as it was
// given. Fields outside the wanted groups are zero, Epoch is always set. The texts of one call share one piece of
// memory. A call with Core alone that finds room in dst allocates nothing.
func DecodeTrades(dst []model.Trade, b []byte, want Columns) ([]model.Trade, error) {
	c := tradeCoders.Get().(*tradeCoder)
	defer tradeCoders.Put(c)
	h, err := c.open(b)
	if err != nil || h.Trades == 0 {
		return dst, err
	}
	start := len(dst)
	out := growTrades(dst, int(h.Trades), h.Epoch)
	if err := c.decode(out[start:], want); err != nil {
		return dst, err
	}
	return out, nil
}

// open reads the head of a block or segment and finds its groups.
func (c *tradeCoder) open(b []byte) (Header, error) {
	h, base, r, err := openTrades(b)
	if err != nil || h.Trades == 0 {
		return h, err
	}
	c.reset(model.Millis(base))
	for i := range c.parts {
		c.parts[i] = group{r: reader{b: r.bytes(r.uvarint() >> 1)}, sealed: b[0]&sealedBit != 0}
	}
	if err := r.end("trades"); err != nil {
		return h, err
	}
	// Every row has flags in the core group, so the length of that column bounds what is allocated for them.
	if uint64(h.Trades) > c.parts[0].rows() {
		return h, corrupt("trades")
	}
	return h, nil
}

// group is a column group that is being decoded.
type group struct {
	r      reader // over the columns of a block, over the sections of a segment
	sealed bool
}

// rows returns how many rows the core group can hold at most.
func (g *group) rows() uint64 {
	if !g.sealed {
		return uint64(g.r.left() / minCore)
	}
	peek := g.r
	first := peek.section()
	return min(max(first.raw, uint64(len(first.stored))), MaxSegmentTrades)
}

// growTrades appends n trades that are zero but for their epoch.
func growTrades(dst []model.Trade, n int, epoch uint8) []model.Trade {
	start := len(dst)
	if cap(dst)-start < n {
		grown := make([]model.Trade, start, max(start+n, 2*cap(dst)))
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:start+n]
	clear(dst[start:])
	for i := start; i < len(dst); i++ {
		dst[i].Epoch = epoch
	}
	return dst
}

// tradeCoder is the working memory of one call.
type tradeCoder struct {
	base     model.Millis
	raw      []byte // a group being written, a column being read
	packed   []byte // a sealed group being written
	cuts     []int  // where the columns of raw end
	flags    []byte // of each row in the group
	numbers  []uint64
	more     []byte // of each row in the rest group
	accounts []model.AccountID
	known    map[model.AccountID]int
	text     []byte // all texts of the call
	hashes   []span // of each row
	extras   []span // of each row

	parts  [groups]group
	part   *group // being decoded
	column reader
	begun  bool // a column of the part has been opened
}

var tradeCoders = sync.Pool{New: func() any { return &tradeCoder{known: map[model.AccountID]int{}} }}

// keepBytes is the most working memory that a coder keeps between calls.
const keepBytes = 8 << 20

func (c *tradeCoder) reset(base model.Millis) {
	c.base = base
	c.accounts = c.accounts[:0]
	c.text, c.hashes, c.extras = c.text[:0], c.hashes[:0], c.extras[:0]
	clear(c.known)
	if cap(c.raw) > keepBytes {
		c.raw = nil
	}
	if cap(c.text) > keepBytes {
		c.text = nil
	}
}

func (c *tradeCoder) decode(rows []model.Trade, want Columns) error {
	for g := range c.parts {
		if want&(1<<g) == 0 {
			continue
		}
		c.part, c.column, c.begun = &c.parts[g], c.parts[g].r, false
		switch Columns(1 << g) {
		case Core:
			c.readCore(rows)
		case Hash:
			c.readHashes(rows)
		case Rest:
			c.readRest(rows)
		}
		if c.column.bad || c.column.left() != 0 || c.part.sealed && (c.part.r.bad || c.part.r.left() != 0) {
			return corrupt("trades")
		}
	}
	c.setTexts(rows)
	return nil
}

// nextColumn goes on to the next column, whose bytes are valid until the next call. Faults stick to the reader.
func (c *tradeCoder) nextColumn() *reader {
	if !c.part.sealed {
		return &c.column // the columns simply follow one another
	}
	done := c.column
	var raw []byte
	var err error
	raw, c.raw, err = c.part.r.section().unpack(c.raw, "trades")
	c.column = reader{b: raw}
	// The group's reader stands for the column before the first one.
	if err != nil || c.part.r.bad || c.begun && (done.bad || done.left() != 0) {
		c.column = reader{bad: true}
	}
	c.begun = true
	return &c.column
}
