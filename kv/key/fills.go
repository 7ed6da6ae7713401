package key

// FillKey is what the key of a block of postings says: its first posting. Time is in milliseconds.
type FillKey struct {
	Form    Form
	Account uint64
	Time    int64
	Market  uint32
	ID      uint64
}

// Fill appends the key of a block of postings, which is the place of its first one. The day stands first, as that of the
// trades that the postings lead to; hot blocks of a day lie together, so that sealing takes them out with one range.
func Fill(dst []byte, form Form, account uint64, ts int64, mkt uint32, id uint64) []byte {
	return appendU64(appendU32(fillAt(dst, Day(ts), form, account, ts), mkt), id)
}

func fillAt(dst []byte, day uint32, form Form, account uint64, ts int64) []byte {
	dst = append(appendU32(append(dst, byte(Fills)), day), byte(form))
	return appendTime(appendU64(dst, account), ts)
}

// ParseFill reads a key of Fill.
func ParseFill(k []byte) (FillKey, error) {
	r := open(k, Fills, 34)
	day := r.u32()
	f := FillKey{Form: Form(r.u8()), Account: r.u64(), Time: r.time(), Market: r.u32(), ID: r.u64()}
	r.bad = r.bad || f.Form > Sealed
	return f, r.err(Fills, day, Day(f.Time))
}

// FillRange returns the blocks of one form that begin with a posting of the account with from <= ts < to (milliseconds),
// as far as they lie in the day of from.
func FillRange(form Form, account uint64, from, to int64) (Range, error) {
	day := Day(from)
	return NewRange(fillAt(nil, day, form, account, from), fillAt(nil, day, form, account, to))
}

// FillsBefore returns the blocks of one form and of the day of ts that begin before the account's first posting from ts on.
func FillsBefore(form Form, account uint64, ts int64) (Range, error) {
	day := Day(ts)
	return NewRange(append(appendU32([]byte{byte(Fills)}, day), byte(form)), fillAt(nil, day, form, account, ts))
}

// FillDay returns all blocks of one form of a day.
func FillDay(form Form, day uint32) Range {
	start := append(appendU32([]byte{byte(Fills)}, day), byte(form))
	end := append(appendU32([]byte{byte(Fills)}, day), byte(form)+1)
	return Range{Start: start, End: end}
}

// AccountSnapshot appends the key of what an account was worth at ts milliseconds.
func AccountSnapshot(dst []byte, account uint64, ts int64) []byte {
	return snapshotAt(dst, Day(ts), account, ts)
}

func snapshotAt(dst []byte, day uint32, account uint64, ts int64) []byte {
	return appendTime(appendU64(appendU32(append(dst, byte(AccountSnapshots)), day), account), ts)
}

// AccountSnapshotKey is what the key of an account's snapshot says; Time is in milliseconds.
type AccountSnapshotKey struct {
	Account uint64
	Time    int64
}

// ParseAccountSnapshot reads a key of AccountSnapshot.
func ParseAccountSnapshot(k []byte) (AccountSnapshotKey, error) {
	r := open(k, AccountSnapshots, 21)
	day := r.u32()
	s := AccountSnapshotKey{Account: r.u64(), Time: r.time()}
	return s, r.err(AccountSnapshots, day, Day(s.Time))
}

// AccountSnapshotRange returns the snapshots of an account with from <= ts < to (milliseconds), as far as they lie in the
// day of from.
func AccountSnapshotRange(account uint64, from, to int64) (Range, error) {
	day := Day(from)
	return NewRange(snapshotAt(nil, day, account, from), snapshotAt(nil, day, account, to))
}
