package key

import "fmt"

// UsageKey is what the key of an hour's usage says; Hour is its first millisecond.
type UsageKey struct {
	Caller [16]byte // a key's id, a user's for tokens, zero for the local caller
	Hour   int64
}

// WindowKey is what the key of a minute of a rate window says; Minute is its first millisecond.
type WindowKey struct {
	Minute int64
	Bucket [20]byte
}

// AnswerKey is what the key of a kept answer says.
type AnswerKey struct {
	Day     uint32
	Account [16]byte
	Hash    [32]byte // of route and idempotency key
}

// MonthKey is what the key of a month's total says.
type MonthKey struct {
	Period  uint32 // year*100 + month
	Account [16]byte
}

const (
	hourMillis   = 3_600_000
	minuteMillis = 60_000
)

// UsageHour appends the key of what a caller used in the hour of ts milliseconds.
func UsageHour(dst []byte, caller [16]byte, ts int64) []byte {
	ts = max(ts, 0)
	dst = append(appendU32(append(dst, byte(Usage)), Day(ts)), caller[:]...)
	return append(dst, byte(ts%DayMillis/hourMillis))
}

// RateWindow appends the key of what a bucket admitted in the minute of ts milliseconds.
func RateWindow(dst []byte, bucket [20]byte, ts int64) []byte {
	return append(appendU32(append(dst, byte(RateWindows)), Minutes(ts)), bucket[:]...)
}

// KeptAnswer appends the key of an answer kept for an idempotency key that was first used at ts milliseconds.
func KeptAnswer(dst []byte, day uint32, account [16]byte, hash [32]byte) []byte {
	dst = append(appendU32(append(dst, byte(Idempotency)), day), account[:]...)
	return append(dst, hash[:]...)
}

// MonthTotal appends the key of an account's total in a month (year*100 + month).
func MonthTotal(dst []byte, period uint32, account [16]byte) []byte {
	return append(appendU32(append(dst, byte(MonthTotals)), period), account[:]...)
}

// Minutes returns the minute bucket of a Unix time in milliseconds.
func Minutes(ms int64) uint32 { return bucket(ms, minuteMillis) }

// ParseUsageHour takes the key of an hour's usage apart.
func ParseUsageHour(k []byte) (UsageKey, error) {
	r := open(k, Usage, 22)
	day := r.u32()
	u := UsageKey{Caller: r.id()}
	hour := r.u8()
	r.bad = r.bad || hour > 23
	u.Hour = DayStart(day) + int64(hour)*hourMillis
	return u, r.err(Usage, 0, 0)
}

// ParseRateWindow takes the key of a minute of a rate window apart.
func ParseRateWindow(k []byte) (WindowKey, error) {
	r := open(k, RateWindows, 25)
	w := WindowKey{Minute: int64(r.u32()) * minuteMillis}
	r.take(w.Bucket[:])
	return w, r.err(RateWindows, 0, 0)
}

// ParseKeptAnswer takes the key of a kept answer apart.
func ParseKeptAnswer(k []byte) (AnswerKey, error) {
	r := open(k, Idempotency, 53)
	a := AnswerKey{Day: r.u32(), Account: r.id()}
	r.take(a.Hash[:])
	return a, r.err(Idempotency, 0, 0)
}

// ParseMonthTotal takes the key of a month's total apart.
func ParseMonthTotal(k []byte) (MonthKey, error) {
	r := open(k, MonthTotals, 21)
	m := MonthKey{Period: r.u32(), Account: r.id()}
	if month := m.Period % 100; month < 1 || month > 12 {
		r.bad = true
	}
	return m, r.err(MonthTotals, 0, 0)
}

// UsageRange returns the usage rows of a caller in from <= ts < to (milliseconds, whole hours), as far as they lie in
// the day of from.
func UsageRange(caller [16]byte, from, to int64) (Range, error) {
	if from < 0 || from%hourMillis != 0 || to%hourMillis != 0 {
		return Range{}, fmt.Errorf("usage from %d to %d: not at a full hour: %w", from, to, ErrMalformed)
	}
	day := Day(from)
	dst := append(appendU32([]byte{byte(Usage)}, day), caller[:]...)
	start := append(dst[:len(dst):len(dst)], byte((from-DayStart(day))/hourMillis))
	end := append(dst[:len(dst):len(dst)], byte(max(min((to-DayStart(day))/hourMillis, 24), 0)))
	return NewRange(start, end)
}

// MonthRange returns the totals of all accounts from a month on.
func MonthRange(period uint32) (Range, error) {
	return NewRange(appendU32([]byte{byte(MonthTotals)}, period), All(MonthTotals).End)
}

// WindowRange returns the rate windows of all buckets from the minute of ts milliseconds on.
func WindowRange(ts int64) (Range, error) {
	return NewRange(appendU32([]byte{byte(RateWindows)}, Minutes(ts)), All(RateWindows).End)
}

// AnswerRange returns the kept answers of all accounts from a day on.
func AnswerRange(day uint32) (Range, error) {
	return NewRange(appendU32([]byte{byte(Idempotency)}, day), All(Idempotency).End)
}

func (r *reader) id() (id [16]byte) {
	r.take(id[:])
	return id
}
