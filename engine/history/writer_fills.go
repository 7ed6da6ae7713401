package history

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// minuteMillis is how far the postings of a hot block reach at most: they are of one account and one minute.
const minuteMillis = 60_000

// hotPostings is the most postings of a hot block.
const hotPostings = 1024

// post notes a new trade for both of its accounts. An archive's trade names none.
func (w *Writer) post(mkt uint32, t *model.Trade) {
	w.postings = appendPostings(w.postings, model.MarketID(mkt), t)
}

func appendPostings(dst []record.Posting, m model.MarketID, t *model.Trade) []record.Posting {
	if t.AskAccount|t.BidAccount == 0 && t.AskOrder|t.BidOrder == 0 {
		return dst
	}
	p := record.Posting{Time: t.Time, Market: m, ID: t.ID, Kind: min(t.Kind, model.KindOther)}
	p.Account, p.Maker, p.Buys = t.AskAccount, t.MakerAsk, false
	dst = append(dst, p)
	p.Account, p.Maker, p.Buys = t.BidAccount, !t.MakerAsk, true
	return append(dst, p)
}

func comparePostings(a, b record.Posting) int { return a.Compare(&b) }

// sortPostings brings postings in order, without those that are there twice: see fillBuild.
func sortPostings(ps []record.Posting) []record.Posting {
	slices.SortFunc(ps, comparePostings)
	return slices.CompactFunc(ps, func(a, b record.Posting) bool { return a == b })
}

// writePostings puts the postings of the group into the batch: a hot block for each account and minute. A trade is new
// only once, so that a block's key, its first posting, is new too and nothing needs to be read.
func (w *Writer) writePostings() {
	if len(w.postings) == 0 {
		return
	}
	slices.SortFunc(w.postings, comparePostings)
	for ps := w.postings; len(ps) > 0; {
		n := blockOfPostings(ps)
		w.setPostings(ps[:n])
		ps = ps[n:]
	}
	w.postings = w.postings[:0]
}

// blockOfPostings returns how many of the first postings go into one hot block.
func blockOfPostings(ps []record.Posting) int {
	n, minute := 1, ps[0].Time/minuteMillis
	for n < len(ps) && n < hotPostings && ps[n].Account == ps[0].Account && ps[n].Time/minuteMillis == minute {
		n++
	}
	if n < len(ps) && samePlace(&ps[n], &ps[n-1]) { // a self-trade has one key
		n++
	}
	return n
}

// samePlace tells whether two postings are the sides of a self-trade.
func samePlace(a, b *record.Posting) bool {
	return a.Account == b.Account && a.Time == b.Time && a.Market == b.Market && a.ID == b.ID
}

func (w *Writer) setPostings(ps []record.Posting) {
	w.keyBuf = postingKey(w.keyBuf[:0], key.Hot, &ps[0])
	w.valBuf = record.AppendPostings(w.valBuf[:0], ps, false)
	w.batch.Set(w.keyBuf, w.valBuf)
	w.touchFills(key.Day(int64(ps[0].Time)))
}

func postingKey(dst []byte, form key.Form, p *record.Posting) []byte {
	return key.Fill(dst, form, uint64(p.Account), int64(p.Time), uint32(p.Market), p.ID)
}

// touchFills notes that a day has hot postings. They are sealed day by day, so they count for its last hour, and across
// markets, so that the market says nothing.
func (w *Writer) touchFills(day uint32) { w.touch(key.Fills, 0, fillsHour(day)) }

func fillsHour(day uint32) int64 { return int64(day)*24 + 23 }

// AddAccountSnapshots stores what accounts were worth; a row of an account and millisecond that is there is replaced. When
// it returns without an error the rows are on disk. It may be called from any goroutine while Run runs.
func (w *Writer) AddAccountSnapshots(ctx context.Context, rows []model.AccountSnapshot) error {
	for len(rows) > 0 {
		n := min(len(rows), w.o.MaxRows)
		chunk := rows[:n]
		rows = rows[n:]
		err := w.do(ctx, func() error {
			for i := range chunk {
				s := &chunk[i]
				if s.Time < 0 || w.keep.dropped(key.AccountSnapshots, key.Day(int64(s.Time))) {
					continue
				}
				w.keyBuf = key.AccountSnapshot(w.keyBuf[:0], uint64(s.Account), int64(s.Time))
				w.valBuf = record.AppendAccountSnapshot(w.valBuf[:0], s)
				w.batch.Set(w.keyBuf, w.valBuf)
				w.pendingRows++
			}
			if err := w.commit(); err != nil {
				return err
			}
			if w.losing {
				return fmt.Errorf("store account snapshots: %w", kv.ErrReadOnly)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unposted is the days of which stored trades have no postings yet, ascending: those from before there were any.
type unposted struct {
	days  []uint32
	known bool // the row is there
	dirty bool
}

const unpostedVersion = 1

func (u *unposted) append(dst []byte) []byte {
	dst = append(dst, unpostedVersion)
	last := uint32(0)
	for _, day := range u.days {
		dst = binary.AppendUvarint(dst, uint64(day-last))
		last = day
	}
	return dst
}

func (u *unposted) decode(b []byte) error {
	if len(b) == 0 {
		return record.ErrCorrupt
	}
	if b[0] != unpostedVersion {
		return record.ErrVersion
	}
	var days []uint32
	day := uint64(0)
	for b = b[1:]; len(b) > 0; {
		step, n := binary.Uvarint(b)
		if n <= 0 || step > 1<<32-1 || step == 0 && len(days) > 0 || day+step > 1<<32-1 {
			return record.ErrCorrupt
		}
		day += step
		days = append(days, uint32(day))
		b = b[n:]
	}
	*u = unposted{days: days, known: true}
	return nil
}

func (u *unposted) load(s *kv.Store) error {
	*u = unposted{}
	err := s.Get(key.MetaRow(nil, metaFills), u.decode)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("read days without postings: %w", err)
	}
	return nil
}

// begin makes the row of a store that has none: every day that has trades is still to be posted.
func (u *unposted) begin(days map[uint32]struct{}) {
	if !u.known {
		u.days, u.known, u.dirty = slices.Sorted(maps.Keys(days)), true, true
	}
}

// remove takes a day off the list.
func (u *unposted) remove(day uint32) {
	if at, ok := slices.BinarySearch(u.days, day); ok {
		u.days = slices.Delete(u.days, at, at+1)
		u.dirty = true
	}
}

// collect puts a changed list into the writer's batch.
func (u *unposted) collect(w *Writer) {
	if u.dirty {
		u.dirty = false
		w.batch.Set(key.MetaRow(nil, metaFills), u.append(nil))
	}
}
