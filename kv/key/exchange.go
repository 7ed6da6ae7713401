package key

// ExchangeSum appends the key of the sums over all markets of the hour or day that begins at ts milliseconds.
func ExchangeSum(dst []byte, res Resolution, ts int64) []byte {
	return appendTime(append(dst, byte(ExchangeSums), byte(res)), ts)
}

// ExchangeSumRange returns the sums of one resolution with from <= ts < to (milliseconds).
func ExchangeSumRange(res Resolution, from, to int64) (Range, error) {
	return NewRange(ExchangeSum(nil, res, from), ExchangeSum(nil, res, to))
}

// ExchangeSumKey is what the key of sums over all markets says; Time is their first moment in milliseconds.
type ExchangeSumKey struct {
	Resolution Resolution
	Time       int64
}

// ParseExchangeSum takes the key of sums over all markets apart.
func ParseExchangeSum(k []byte) (ExchangeSumKey, error) {
	r := open(k, ExchangeSums, 2+8)
	p := ExchangeSumKey{Resolution: Resolution(r.u8()), Time: r.time()}
	if p.Resolution != Hour && p.Resolution != Daily {
		r.bad = true
	}
	return p, r.err(ExchangeSums, 0, 0)
}
