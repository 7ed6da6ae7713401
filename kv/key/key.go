// Package key owns the layout of every key in the store: which family holds what, in which order the parts of a key
// stand, and the ranges that follow from it. It is pure: it imports nothing of this project, reads no clock and knows
// nothing of values or of the database.
//
// All integers are big-endian, so the byte order of keys is the order of their parts. Capital families are bucketed by
// time (the bucket stands first) and fall to retention by one range; small ones are state.
package key

import (
	"encoding/binary"
	"errors"
)

// Family is the first byte of a key.
type Family byte

// The time-bucketed families.
const (
	Trades           Family = 'T' // day mkt form ts(ms)
	Keyframes        Family = 'K' // day mkt ts(us)
	Books            Family = 'B' // day mkt form ts(us)
	Candles          Family = 'C' // res span mkt ts(ms)
	Funding          Family = 'F' // span mkt ts(ms)
	Liquidations     Family = 'L' // day ts(ms) mkt id
	Stats            Family = 'M' // day mkt ts(ms)
	Gaps             Family = 'G' // day mkt kind from(us)
	Heatmaps         Family = 'H' // day mkt ts(ms)
	AccountSnapshots Family = 'P' // day acct ts(ms)
	Fills            Family = 'I' // day form acct ts(ms) mkt id
	Usage            Family = 'U' // day key_id hour
	RateWindows      Family = 'W' // minute bucket_id
	Idempotency      Family = 'Y' // day account sha256(route, key)
	DeliveryLog      Family = 'D' // day signal_id ts delivery_id
	DeliveryQueue    Family = 'Q' // due_ts delivery_id
)

// The state families.
const (
	AccountState  Family = 'a' // acct
	Addresses     Family = 'd' // address acct
	Users         Family = 'u' // user_id
	Emails        Family = 'e' // sha256(e-mail)
	APIKeys       Family = 'k' // user_id key_id
	KeyHashes     Family = 'h' // sha256(key)
	MonthTotals   Family = 'q' // yyyymm user_id
	Signals       Family = 's' // user_id signal_id
	SignalStates  Family = 't' // signal_id
	Exports       Family = 'x' // dataset day mkt
	Index         Family = 'i' // fam bucket mkt
	Coverage      Family = 'o' // kind mkt start(us)
	Markets       Family = 'm' // mkt
	BillingEvents Family = 'b' // event_id
	ExchangeSums  Family = 'E' // res ts(ms): small, and kept for ever
	Meta          Family = 'g' // name
)

// Form tells blocks that are still written from those that a finished hour was sealed into.
type Form uint8

// The two forms. A reader merges them.
const (
	Hot    Form = 0
	Sealed Form = 1
)

// Resolution is the length of a stored candle.
type Resolution uint8

// The stored resolutions; longer ones are made from them on reading.
const (
	Minute Resolution = 0
	Hour   Resolution = 1
	Daily  Resolution = 2
)

// The stored resolutions of candles that the venue or an archive gave: they never mix with those built from our trades.
const (
	GivenMinute Resolution = 3
	GivenHour   Resolution = 4
	GivenDaily  Resolution = 5
)

// Resolutions lists the stored resolutions, for work that goes through all of them.
var Resolutions = [...]Resolution{Minute, Hour, Daily}

// Givens lists the resolutions of given candles, in the order of Resolutions.
var Givens = [...]Resolution{GivenMinute, GivenHour, GivenDaily}

// Given returns the resolution under which given candles of a length lie.
func (r Resolution) Given() Resolution { return r%GivenMinute + GivenMinute }

// Millis returns the length of a candle in milliseconds.
func (r Resolution) Millis() int64 { return [...]int64{60_000, 3_600_000, DayMillis}[r%GivenMinute] }

const (
	// DayMillis is the length of a day bucket in milliseconds.
	DayMillis = 86_400_000
	// SpanMillis is the length of a span bucket in milliseconds: 64 days.
	SpanMillis = 64 * DayMillis
	// DayMicros is the length of a day bucket in microseconds.
	DayMicros = DayMillis * 1000
)

// ErrMalformed reports bytes that are no key of the family asked for.
var ErrMalformed = errors.New("malformed key")

// Day returns the day bucket of a Unix time in milliseconds. Times before 1970 count as 0, here and in every key.
func Day(ms int64) uint32 { return bucket(ms, DayMillis) }

// DayOfMicros returns the day bucket of a Unix time in microseconds.
func DayOfMicros(us int64) uint32 { return bucket(us, DayMicros) }

// Span returns the 64-day bucket of a Unix time in milliseconds.
func Span(ms int64) uint32 { return bucket(ms, SpanMillis) }

// DayStart returns the first millisecond of a day bucket.
func DayStart(day uint32) int64 { return int64(day) * DayMillis }

// SpanStart returns the first millisecond of a span bucket.
func SpanStart(span uint32) int64 { return int64(span) * SpanMillis }

func bucket(t, length int64) uint32 {
	if t <= 0 {
		return 0
	}
	return uint32(min(t/length, 1<<32-1))
}

func appendU32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

func appendU64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

func appendTime(dst []byte, t int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(max(t, 0)))
}
