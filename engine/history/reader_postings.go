package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// maxPostingSlice is about how many postings of an account are read at once.
const maxPostingSlice = 1 << 14

// postingSlice is a piece of an account's postings, in order. It remembers the sealed segment that it read last, which
// the next account of a batch mostly lies in too.
type postingSlice struct {
	rows    []record.Posting
	reverse bool
	limit   int

	day     uint32
	sealing model.Micros
	segment []record.Posting // of all its accounts
}

// load reads postings of an account with from <= time < to, all within one day, from the end that is read from first, and
// returns the part of the range that is left.
func (s *postingSlice) load(ctx context.Context, r *Reader, account model.AccountID, from, to int64) (restFrom, restTo int64, err error) {
	day := key.Day(from)
	lo, hi := from, min(to, key.DayStart(day+1))
	if s.reverse {
		day = key.Day(to - 1)
		lo, hi = max(from, key.DayStart(day)), to
	}
	restFrom, restTo = hi, to
	if s.reverse {
		restFrom, restTo = from, lo
	}
	for {
		before, err := r.sealing()
		if err != nil {
			return 0, 0, err
		}
		if s.day != day || s.sealing != before {
			s.day, s.sealing, s.segment = day, before, s.segment[:0]
		}
		s.rows = s.rows[:0]
		cutLo, cutHi := lo, hi
		if s.reverse {
			cutLo, err = s.collectReverse(ctx, r.store, account, lo, hi)
			restTo = cutLo
		} else {
			cutHi, err = s.collect(ctx, r.store, account, lo, hi)
			restFrom = cutHi
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read postings: %w", err)
		}
		after, err := r.sealing()
		if err != nil {
			return 0, 0, err
		}
		if before != after {
			continue
		}
		s.rows = slices.DeleteFunc(s.rows, func(p record.Posting) bool { return int64(p.Time) < cutLo || int64(p.Time) >= cutHi })
		s.rows = sortPostings(s.rows)
		return restFrom, restTo, nil
	}
}

// collect copies forward and returns the time up to which it has everything.
func (s *postingSlice) collect(ctx context.Context, store *kv.Store, account model.AccountID, from, to int64) (int64, error) {
	rg, err := key.FillRange(key.Hot, uint64(account), from-from%minuteMillis, to)
	if err != nil {
		return 0, err
	}
	for row, err := range store.Scan(ctx, rg) {
		var k key.FillKey
		if err == nil {
			k, err = key.ParseFill(row.Key)
		}
		if err != nil {
			return 0, err
		}
		if len(s.rows) >= s.limit && k.Time > from {
			to = k.Time
			break
		}
		if s.rows, err = record.DecodePostings(s.rows, row.Value); err != nil {
			return 0, err
		}
	}
	if done, err := s.reachingInto(store, account, from); done || err != nil {
		return to, err
	}
	if rg, err = key.FillRange(key.Sealed, uint64(account), from, to); err != nil {
		return 0, err
	}
	sealed := len(s.rows)
	for row, err := range store.Scan(ctx, rg) {
		var k key.FillKey
		if err == nil {
			k, err = key.ParseFill(row.Key)
		}
		if err != nil {
			return 0, err
		}
		if len(s.rows)-sealed >= s.limit && k.Time > from {
			return k.Time, nil
		}
		if err := s.take(row.Value, account); err != nil {
			return 0, err
		}
	}
	return to, nil
}

// reachingInto takes the account's postings out of the segment that begins before its first one; done tells that no
// other segment has any.
func (s *postingSlice) reachingInto(store *kv.Store, account model.AccountID, from int64) (done bool, err error) {
	if s.inside(account) {
		s.pick(account)
		return true, nil
	}
	rg, err := key.FillsBefore(key.Sealed, uint64(account), from)
	if err != nil {
		return false, err
	}
	err = store.Last(rg, func(_, v []byte) error { return s.take(v, account) })
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return false, err
	}
	n := len(s.segment)
	return err == nil && n > 0 && s.segment[n-1].Account > account, nil
}

// inside tells whether the segment read last has everything sealed of an account: others stand before and after it.
func (s *postingSlice) inside(account model.AccountID) bool {
	n := len(s.segment)
	return n > 0 && s.segment[0].Account < account && account < s.segment[n-1].Account
}

// take reads a segment and picks the account's postings.
func (s *postingSlice) take(v []byte, account model.AccountID) (err error) {
	if s.segment, err = record.DecodePostings(s.segment[:0], v); err == nil {
		s.pick(account)
	}
	return err
}

func (s *postingSlice) pick(account model.AccountID) {
	by := func(p record.Posting, a model.AccountID) int { return cmp.Compare(p.Account, a) }
	lo, _ := slices.BinarySearchFunc(s.segment, account, by)
	hi := lo
	for hi < len(s.segment) && s.segment[hi].Account == account {
		hi++
	}
	s.rows = append(s.rows, s.segment[lo:hi]...)
}

// collectReverse copies backward and returns the time from which on it has everything.
func (s *postingSlice) collectReverse(ctx context.Context, store *kv.Store, account model.AccountID, from, to int64) (int64, error) {
	rg, err := key.FillRange(key.Hot, uint64(account), from-from%minuteMillis, to)
	if err != nil {
		return 0, err
	}
	minute := to/minuteMillis + 1 // of the row before
	for row, err := range store.ScanReverse(ctx, rg) {
		var k key.FillKey
		if err == nil {
			k, err = key.ParseFill(row.Key)
		}
		if err != nil {
			return 0, err
		}
		if at := k.Time / minuteMillis; at < minute {
			// A block reaches to the end of its minute.
			if len(s.rows) >= s.limit && minute*minuteMillis < to {
				from = max(from, minute*minuteMillis)
				break
			}
			minute = at
		}
		if s.rows, err = record.DecodePostings(s.rows, row.Value); err != nil {
			return 0, err
		}
	}
	if s.inside(account) {
		s.pick(account)
		return from, nil
	}
	if rg, err = key.FillRange(key.Sealed, uint64(account), from, to); err != nil {
		return 0, err
	}
	sealed, start := len(s.rows), to
	for row, err := range store.ScanReverse(ctx, rg) {
		var k key.FillKey
		if err == nil {
			k, err = key.ParseFill(row.Key)
		}
		if err != nil {
			return 0, err
		}
		// The segment before may end in the very millisecond in which this one begins.
		if len(s.rows)-sealed >= s.limit && start+1 < to {
			return max(from, start+1), nil
		}
		start = k.Time
		if err := s.take(row.Value, account); err != nil {
			return 0, err
		}
	}
	if len(s.rows)-sealed >= s.limit && start+1 < to {
		return max(from, start+1), nil
	}
	_, err = s.reachingInto(store, account, from)
	return from, err
}

// matches tells whether a posting is one that a query asks for, whatever its After says.
func (q *FillQuery) matches(p *record.Posting) bool {
	switch {
	case q.Market != nil && *q.Market != p.Market:
	case q.Side == FillBuys && !p.Buys, q.Side == FillSells && p.Buys:
	case q.Role == FillMaker && !p.Maker, q.Role == FillTaker && p.Maker:
	case q.Kinds != 0 && q.Kinds&Kinds(p.Kind) == 0:
	default:
		return true
	}
	return false
}

// passed tells whether a posting comes after the place that the query goes on from.
func (q *FillQuery) passed(p *record.Posting) bool {
	if q.After == nil {
		return true
	}
	a := record.Posting{Account: p.Account, Time: q.After.Time, Market: q.After.Market, ID: q.After.ID, Maker: q.After.Maker}
	if q.Reverse {
		return p.Compare(&a) < 0
	}
	return p.Compare(&a) > 0
}
