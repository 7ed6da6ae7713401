package key

// Trade appends the key of a trade block: ts is the full second of a hot block, the time of the first row of a sealed
// segment, in milliseconds.
func Trade(dst []byte, mkt uint32, form Form, ts int64) []byte {
	return block(dst, Trades, Day(ts), mkt, form, ts)
}

// Book appends the key of a book block: ts is the full second of a hot block, the receive time of the first row of a
// sealed segment, in microseconds.
func Book(dst []byte, mkt uint32, form Form, ts int64) []byte {
	return block(dst, Books, DayOfMicros(ts), mkt, form, ts)
}

func block(dst []byte, f Family, day, mkt uint32, form Form, ts int64) []byte {
	dst = append(dst, byte(f))
	dst = appendU32(appendU32(dst, day), mkt)
	return appendTime(append(dst, byte(form)), ts)
}

// Keyframe appends the key of a book keyframe: ts is the full second, in microseconds, at which the book was so.
func Keyframe(dst []byte, mkt uint32, ts int64) []byte {
	return point(dst, Keyframes, DayOfMicros(ts), mkt, ts)
}

// Stat appends the key of a row of market statistics at ts milliseconds.
func Stat(dst []byte, mkt uint32, ts int64) []byte { return point(dst, Stats, Day(ts), mkt, ts) }

// Heatmap appends the key of a row of a market's heatmap at ts milliseconds.
func Heatmap(dst []byte, mkt uint32, ts int64) []byte {
	return point(dst, Heatmaps, Day(ts), mkt, ts)
}

// FundingRow appends the key of a settled funding row at ts milliseconds.
func FundingRow(dst []byte, mkt uint32, ts int64) []byte {
	return point(dst, Funding, Span(ts), mkt, ts)
}

func point(dst []byte, f Family, bucket, mkt uint32, ts int64) []byte {
	dst = append(dst, byte(f))
	return appendTime(appendU32(appendU32(dst, bucket), mkt), ts)
}

// Candle appends the key of a candle that opens at ts milliseconds.
func Candle(dst []byte, res Resolution, mkt uint32, ts int64) []byte {
	return candle(dst, res, Span(ts), mkt, ts)
}

func candle(dst []byte, res Resolution, span, mkt uint32, ts int64) []byte {
	dst = append(dst, byte(Candles), byte(res))
	return appendTime(appendU32(appendU32(dst, span), mkt), ts)
}

// Liquidation appends the key of a liquidation at ts milliseconds: time stands first, for reads across markets.
func Liquidation(dst []byte, ts int64, mkt uint32, id uint64) []byte {
	dst = appendTime(appendU32(append(dst, byte(Liquidations)), Day(ts)), ts)
	return appendU64(appendU32(dst, mkt), id)
}

// Gap appends the key of a gap of a record of the given kind that begins at from microseconds.
func Gap(dst []byte, mkt uint32, kind uint8, from int64) []byte {
	dst = appendU32(appendU32(append(dst, byte(Gaps)), DayOfMicros(from)), mkt)
	return appendTime(append(dst, kind), from)
}

// IndexRow appends the key of the row that counts what a family holds of a market in a bucket.
func IndexRow(dst []byte, f Family, bucket, mkt uint32) []byte {
	return appendU32(appendU32(append(dst, byte(Index), byte(f)), bucket), mkt)
}

// Held appends the key of an interval in which a record of the given kind is whole; start is in microseconds.
func Held(dst []byte, kind uint8, mkt uint32, start int64) []byte {
	return appendTime(appendU32(append(dst, byte(Coverage), kind), mkt), start)
}

// Market appends the key of a market's metadata.
func Market(dst []byte, mkt uint32) []byte { return appendU32(append(dst, byte(Markets)), mkt) }

// MetaRow appends the key of a named row about the store itself.
func MetaRow(dst []byte, name string) []byte { return append(append(dst, byte(Meta)), name...) }
