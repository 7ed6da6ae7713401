package key

// Part returns the leading bytes of a key that name the rows which are written together: of what is filed by time and market
// the bucket and the market, of a held interval its kind and market, of a row about the store its name. Where a family is
// ordered otherwise, all of it is one part. Two keys of one part have nothing but keys of that part between them.
func Part(k []byte) []byte {
	if len(k) == 0 {
		return k
	}
	n := 1
	switch Family(k[0]) {
	case Trades, Books, Keyframes, Stats, Funding, Gaps, Heatmaps:
		n = 1 + 4 + 4
	case Candles, Index:
		n = 1 + 1 + 4 + 4
	case Coverage:
		n = 1 + 1 + 4
	case Meta:
		n = len(k)
	}
	return k[:min(n, len(k))]
}
