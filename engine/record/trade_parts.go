package record

// TradeParts says how many bytes of a stored value of trades each group takes; the head is what they share.
type TradeParts struct{ Head, Core, Hash, Rest int }

// PartsOfTrades measures a trade block or segment without decoding its groups.
func PartsOfTrades(b []byte) (p TradeParts, err error) {
	h, _, r, err := openTrades(b)
	if err != nil {
		return p, err
	}
	p.Head = r.i
	if h.Trades == 0 {
		return p, nil
	}
	for _, size := range [groups]*int{&p.Core, &p.Hash, &p.Rest} {
		before := r.i
		r.bytes(r.uvarint() >> 1)
		*size = r.i - before
	}
	return p, r.end("trades")
}
