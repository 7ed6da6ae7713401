package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// postingSum stands for a set of postings whatever their order: those of a day do not fit into memory.
type postingSum struct{ n, sum uint64 }

func (s *postingSum) add(seed maphash.Seed, p *record.Posting) {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], uint64(p.Account))
	binary.LittleEndian.PutUint64(b[8:], uint64(p.Time))
	binary.LittleEndian.PutUint64(b[16:], p.ID)
	binary.LittleEndian.PutUint32(b[24:], uint32(p.Market))
	b[28] = byte(p.Kind)
	if p.Maker {
		b[29] = 1
	}
	if p.Buys {
		b[30] = 1
	}
	s.n++
	s.sum += maphash.Bytes(seed, b[:])
}

// posted notes which postings the trades of a market-day must have.
func (c *checker) posted(day, mkt uint32, trades []model.Trade) {
	s := c.postings[day]
	if s == nil {
		s = &postingSum{}
		c.postings[day] = s
	}
	var ps [2]record.Posting
	for i := range trades {
		for _, p := range appendPostings(ps[:0], model.MarketID(mkt), &trades[i]) {
			s.add(c.seed, &p)
		}
	}
}

// fills checks the postings: every block decodes and lies where its key says, sealed ones do not overlap, and with deep
// every trade has its two and nothing else has any.
func (c *checker) fills() error {
	var u unposted
	k := key.MetaRow(nil, metaFills)
	err := c.store.Get(k, func(v []byte) error {
		if err := u.decode(v); err != nil {
			return c.report(k, "%s: %v", metaFills, err)
		}
		return nil
	})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	found := map[uint32]*postingSum{}
	if err := c.postingBlocks(found); err != nil {
		return err
	}
	if !c.deep || !u.known || c.torn[key.Fills] || c.torn[key.Trades] {
		return nil
	}
	for day, want := range c.postings {
		if found[day] == nil {
			found[day] = &postingSum{}
		}
		have := found[day]
		delete(found, day)
		if _, waits := slices.BinarySearch(u.days, day); waits || *have == *want {
			continue
		}
		if err := c.report(key.FillDay(key.Hot, day).Start, "%d postings of a day whose trades have %d, or others", have.n, want.n); err != nil {
			return err
		}
	}
	for day, have := range found {
		if err := c.report(key.FillDay(key.Hot, day).Start, "%d postings of a day without trades", have.n); err != nil {
			return err
		}
	}
	return nil
}

// postingBlocks goes through the postings day by day and sums them: hot and sealed ones side by side in the order of the
// accounts, as some may be in both until the day is sealed again.
func (c *checker) postingBlocks(found map[uint32]*postingSum) error {
	for rg := key.All(key.Fills); ; {
		day, some := uint32(0), false
		for row, err := range c.store.Scan(c.ctx, rg) {
			if errors.Is(err, kv.ErrDamaged) {
				return c.unreadable(key.Fills, err)
			}
			if err != nil {
				return err
			}
			k, err := key.ParseFill(row.Key)
			if err != nil {
				if err := c.report(row.Key, "%v", err); err != nil {
					return err
				}
				rg.Start = append(slices.Clone(row.Key), 0)
				day, some = 0, true
				break
			}
			day, some = key.Day(k.Time), true
			rg.Start = binary.BigEndian.AppendUint32([]byte{byte(key.Fills)}, day+1)
			sum := &postingSum{}
			if err := c.postingDay(day, sum); errors.Is(err, kv.ErrDamaged) {
				return c.unreadable(key.Fills, err)
			} else if err != nil {
				return err
			}
			found[day] = sum
			break
		}
		if !some {
			return nil
		}
	}
}

// postingDay checks the blocks of a day and sums the postings of one account after the other.
func (c *checker) postingDay(day uint32, sum *postingSum) error {
	nextHot, stopHot := iter.Pull2(c.blocksOf(day, key.Hot))
	defer stopHot()
	nextSealed, stopSealed := iter.Pull2(c.blocksOf(day, key.Sealed))
	defer stopSealed()
	hot, hotErr, moreHot := nextHot()
	sealed, sealedErr, moreSealed := nextSealed()
	var all []record.Posting
	flush := func() {
		all = sortPostings(all)
		for i := range all {
			sum.add(c.seed, &all[i])
		}
		all = all[:0]
	}
	take := func(p record.Posting) {
		if len(all) > 0 && all[0].Account != p.Account {
			flush()
		}
		all = append(all, p)
	}
	for moreHot || moreSealed {
		switch {
		case hotErr != nil:
			return hotErr
		case sealedErr != nil:
			return sealedErr
		case moreHot && (!moreSealed || hot.Account <= sealed.Account):
			take(hot)
			hot, hotErr, moreHot = nextHot()
		default:
			take(sealed)
			sealed, sealedErr, moreSealed = nextSealed()
		}
	}
	flush()
	return nil
}

// blocksOf goes through the postings of a day's blocks of one form, and reports those that are not as they must be.
func (c *checker) blocksOf(day uint32, form key.Form) iter.Seq2[record.Posting, error] {
	return func(yield func(record.Posting, error) bool) {
		var rows []record.Posting
		var last record.Posting
		for row, err := range c.store.Scan(c.ctx, key.FillDay(form, day)) {
			if err != nil {
				yield(record.Posting{}, err)
				return
			}
			k, err := key.ParseFill(row.Key)
			if err == nil {
				if rows, err = record.DecodePostings(rows[:0], row.Value); err == nil {
					err = checkPostings(k, rows, last)
				}
			}
			if err != nil {
				if err := c.report(row.Key, "%v", err); err != nil {
					yield(record.Posting{}, err)
					return
				}
				continue
			}
			last = rows[len(rows)-1]
			for _, p := range rows {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

func checkPostings(k key.FillKey, rows []record.Posting, before record.Posting) error {
	if len(rows) == 0 {
		return errors.New("block without postings")
	}
	first := &rows[0]
	if uint64(first.Account) != k.Account || int64(first.Time) != k.Time || uint32(first.Market) != k.Market || first.ID != k.ID {
		return errors.New("key is not the place of the first posting")
	}
	if k.Form == key.Sealed && before.ID|uint64(before.Time) != 0 && before.Compare(first) >= 0 {
		return errors.New("segment begins before the one before it ends")
	}
	for i := range rows {
		p := &rows[i]
		switch {
		case i > 0 && rows[i-1].Compare(p) >= 0:
			return fmt.Errorf("posting of trade %d is out of order", p.ID)
		case key.Day(int64(p.Time)) != key.Day(k.Time):
			return fmt.Errorf("posting of trade %d is of another day", p.ID)
		case k.Form == key.Hot && (p.Account != first.Account || p.Time/minuteMillis != first.Time/minuteMillis):
			return fmt.Errorf("posting of trade %d is of another account or minute", p.ID)
		}
	}
	return nil
}
