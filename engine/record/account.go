package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const accountVersion = 1

// Bits of a position's flag byte.
const (
	positionIsolated = 1 << iota
	positionPolled   // the members that only polls tell follow
)

// AppendAccount encodes what is known of an account. Its id is in its key.
func AppendAccount(dst []byte, a *model.Account) []byte {
	dst = append(dst, accountVersion, byte(a.Source), a.Type, a.Status, a.Mode)
	dst = append(dst, a.Address[:]...)
	dst = appendVarint(dst, int64(a.AsOf))
	dst = appendVarint(dst, int64(a.Polled))
	for _, v := range [...]num.USD{a.Collateral, a.Available, a.TotalValue, a.CrossValue} {
		dst = appendVarint(dst, int64(v))
	}
	dst = appendUvarint(dst, uint64(a.TotalOrders))
	dst = appendUvarint(dst, uint64(a.PendingOrders))
	dst = appendUvarint(dst, uint64(len(a.Positions)))
	for i := range a.Positions {
		dst = appendPosition(dst, &a.Positions[i])
	}
	return dst
}

func appendPosition(dst []byte, p *model.Position) []byte {
	var flags byte
	if p.Isolated {
		flags |= positionIsolated
	}
	polled := p.Allocated != 0 || p.FundingPaid != 0 || p.Liquidation != (num.Decimal{}) || p.OpenOrders|p.Pending|p.Tied != 0
	if polled {
		flags |= positionPolled
	}
	dst = append(appendUvarint(dst, uint64(p.Market)), flags, p.Epoch)
	dst = appendVarint(dst, int64(p.Size))
	dst = appendVarint(dst, int64(p.Entry))
	dst = appendVarint(dst, int64(p.Initial))
	dst = appendVarint(dst, int64(p.Realized))
	dst = appendVarint(dst, int64(p.AsOf))
	dst = appendUvarint(dst, p.Trade)
	if !polled {
		return dst
	}
	dst = appendVarint(dst, int64(p.Allocated))
	dst = appendVarint(dst, int64(p.FundingPaid))
	dst = append(appendVarint(dst, p.Liquidation.Mant), p.Liquidation.Scale)
	dst = appendUvarint(dst, uint64(p.OpenOrders))
	dst = appendUvarint(dst, uint64(p.Pending))
	return appendUvarint(dst, uint64(p.Tied))
}

// smallestPosition is the fewest bytes that a position takes.
const smallestPosition = 9

// DecodeAccount decodes an account into a, whose Positions are used again; ID and Index are left as they are.
func DecodeAccount(b []byte, a *model.Account) error {
	r, err := openValue(b, "account", accountVersion)
	if err != nil {
		return err
	}
	positions := a.Positions[:0]
	*a = model.Account{ID: a.ID, Index: a.Index, Source: model.AccountSource(r.byte()), Type: r.byte(), Status: r.byte(), Mode: r.byte()}
	copy(a.Address[:], r.bytes(uint64(len(a.Address))))
	a.AsOf = model.Millis(r.varint())
	a.Polled = model.Millis(r.varint())
	for _, v := range [...]*num.USD{&a.Collateral, &a.Available, &a.TotalValue, &a.CrossValue} {
		*v = num.USD(r.varint())
	}
	a.TotalOrders = uint32(r.uvarint())
	a.PendingOrders = uint32(r.uvarint())
	for range r.count(smallestPosition) {
		positions = append(positions, r.position())
	}
	a.Positions = positions
	return r.end("account")
}

func (r *reader) position() model.Position {
	p := model.Position{Market: model.MarketID(r.uvarint())}
	flags := r.byte()
	p.Isolated = flags&positionIsolated != 0
	p.Epoch = r.byte()
	p.Size = num.Size(r.varint())
	p.Entry = num.USD(r.varint())
	p.Initial = int32(r.varint())
	p.Realized = num.USD(r.varint())
	p.AsOf = model.Millis(r.varint())
	p.Trade = r.uvarint()
	if flags&positionPolled == 0 {
		return p
	}
	p.Allocated = num.USD(r.varint())
	p.FundingPaid = num.USD(r.varint())
	p.Liquidation = num.Decimal{Mant: r.varint(), Scale: min(r.byte(), num.MaxScale)}
	p.OpenOrders = uint32(r.uvarint())
	p.Pending = uint32(r.uvarint())
	p.Tied = uint32(r.uvarint())
	return p
}
