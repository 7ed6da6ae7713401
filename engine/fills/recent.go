package fills

import (
	"cmp"
	"encoding/hex"
	"slices"
	"unsafe"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// hashBytes is how long a transaction's hash is that is kept as bytes: Lighter's has 80 hexadecimal digits.
const hashBytes = 40

// packed is a fill without pointers.
type packed struct {
	id           uint64
	time         model.Millis
	recv         model.Micros
	price        num.Price
	size         num.Size
	usd          num.USD
	order        uint64
	counterparty model.AccountID
	block        uint64
	market       model.MarketID
	feeRate      int32
	epoch        uint8
	kind         model.TradeKind
	flags        uint8
	hashLen      uint8 // of hash; 0: there is none, or it is among the odd ones
	hash         [hashBytes]byte
}

const packedBytes = int(unsafe.Sizeof(packed{}))

const (
	packedMaker = 1 << iota
	packedBuys
)

// place is where a fill stands.
type place struct {
	time   model.Millis
	market model.MarketID
	id     uint64
	maker  bool
}

func (p *packed) place() place { return place{p.time, p.market, p.id, p.flags&packedMaker != 0} }

func comparePlaces(a, b place) int {
	if c := cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.market, b.market), cmp.Compare(a.id, b.id)); c != 0 {
		return c
	}
	switch {
	case a.maker == b.maker:
		return 0
	case b.maker:
		return -1
	}
	return 1
}

// recent is the newest fills of an account, ascending, MaxRecent at most.
type recent struct {
	rows []packed
	odd  map[place]string // hashes that are not hexadecimal, or too long

	// text is the newest fills as they were answered with last; it stands while textOf is above zero.
	text   []byte
	textOf int // as many were asked for
	asked  int // as many were asked for last, since a fill came
}

// size returns the bytes that the fills take.
func (r *recent) size() int { return cap(r.rows)*packedBytes + len(r.odd)*256 + cap(r.text) }

// insert puts a fill in its place, unless it is there, or older than all of as many as are kept.
func (r *recent) insert(f *model.Fill) {
	at := place{f.Time, f.Market, f.ID, f.Maker}
	i, known := slices.BinarySearchFunc(r.rows, at, func(p packed, at place) int { return comparePlaces(p.place(), at) })
	full := len(r.rows) == MaxRecent
	if known || full && i == 0 {
		return
	}
	r.textOf, r.asked = 0, 0
	row := packed{
		id: f.ID, time: f.Time, recv: f.Recv, price: f.Price, size: f.Size, usd: f.USD, order: f.Order, counterparty: f.Counterparty,
		block: f.Block, market: f.Market, feeRate: f.FeeRate, epoch: f.Epoch, kind: f.Kind,
	}
	if f.Maker {
		row.flags |= packedMaker
	}
	if f.Buys {
		row.flags |= packedBuys
	}
	if !row.setHash(f.TxHash) {
		if r.odd == nil {
			r.odd = map[place]string{}
		}
		r.odd[at] = f.TxHash
	}
	if full {
		delete(r.odd, r.rows[0].place())
		copy(r.rows, r.rows[1:i])
		r.rows[i-1] = row
		return
	}
	if len(r.rows) == cap(r.rows) {
		r.rows = append(make([]packed, 0, min(MaxRecent, max(4, 2*len(r.rows)))), r.rows...)
	}
	r.rows = slices.Insert(r.rows, i, row)
}

// setHash keeps a hash as bytes; false where it does not come back from them.
func (p *packed) setHash(s string) bool {
	if len(s) > 2*hashBytes || len(s)%2 != 0 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	n, err := hex.Decode(p.hash[:], []byte(s))
	p.hashLen = uint8(n)
	return err == nil
}

// fill returns the fill of a row. Its hash is made in digits, which must outlive it.
func (r *recent) fill(p *packed, digits []byte) model.Fill {
	f := model.Fill{
		Market: p.market, ID: p.id, Time: p.time, Recv: p.recv, Epoch: p.epoch, Kind: p.kind, Maker: p.flags&packedMaker != 0,
		Buys: p.flags&packedBuys != 0, Price: p.price, Size: p.size, USD: p.usd, FeeRate: p.feeRate, Order: p.order,
		Counterparty: p.counterparty, Block: p.block,
	}
	if p.hashLen > 0 {
		f.TxHash = unsafe.String(unsafe.SliceData(digits), hex.Encode(digits, p.hash[:p.hashLen]))
	} else if r.odd != nil {
		f.TxHash = r.odd[p.place()]
	}
	return f
}

// newest appends the newest n fills, newest first. Their hashes share one piece of memory.
func (r *recent) newest(n int, dst []model.Fill) []model.Fill {
	n = max(min(n, len(r.rows)), 0)
	digits := make([]byte, n*2*hashBytes)
	dst = slices.Grow(dst, n)
	for i := range n {
		dst = append(dst, r.fill(&r.rows[len(r.rows)-1-i], digits[i*2*hashBytes:(i+1)*2*hashBytes]))
	}
	return dst
}

// appendNewest appends the newest n fills as the API writes them, newest first; all is false where a market is not known,
// whose fills are left out.
func (r *recent) appendNewest(dst []byte, n int, market func(model.MarketID) *model.Market) (_ []byte, all bool) {
	var digits [2 * hashBytes]byte
	from := len(dst)
	all = true
	for i := range max(min(n, len(r.rows)), 0) {
		p := &r.rows[len(r.rows)-1-i]
		m := market(p.market)
		if m == nil {
			all = false
			continue
		}
		if len(dst) > from {
			dst = append(dst, ',')
		}
		f := r.fill(p, digits[:])
		dst = f.AppendFill(dst, m)
	}
	return dst, all
}
