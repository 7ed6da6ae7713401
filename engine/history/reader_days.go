package history

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// StoredDay is what is stored of one market on one UTC day.
type StoredDay struct {
	Market model.MarketID
	Day    model.Millis // its first moment
	// Digest changes when rows of the day come later, or go, or more of it is held. It tells nothing else.
	Digest [sha256.Size]byte
	// Thinned tells that of the day's book updates only the net change of each second is left.
	Thinned bool
}

// StoredDays returns the days of a span of which there are rows to read, by (day, market). It knows the kinds trades, books, candles
// of one minute and funding; of trades and books it reads counts and coverage only, and no row. The span is cut at the days
// that are touched.
func (r *Reader) StoredDays(ctx context.Context, kind model.Kind, ids []model.MarketID, sp Span) ([]StoredDay, error) {
	sp.From = max(sp.From, 0)
	if sp.To <= sp.From {
		return nil, nil
	}
	keep, err := r.keep()
	if err != nil {
		return nil, err
	}
	d := storedDays{r: r, keep: keep, kind: kind, from: key.Day(int64(sp.From)), to: key.Day(int64(sp.To)-1) + 1, sums: map[storedAt]hash.Hash{}}
	switch kind {
	case model.KindTrades, model.KindBook:
		err = d.counts(ctx, kindFamilies[kind], ids)
	case model.KindCandles:
		// Our own candles follow from the trades, as long as those are there.
		if err = d.counts(ctx, key.Trades, ids); err == nil {
			err = d.candles(ctx, ids)
		}
	case model.KindFunding:
		err = d.fundings(ctx, ids)
	default:
		err = fmt.Errorf("kind %s has none", kind)
	}
	if err == nil && kind != model.KindFunding {
		err = d.coverage(ctx, ids)
	}
	if err != nil {
		return nil, fmt.Errorf("look for stored days: %w", err)
	}
	return d.list(), nil
}

type storedAt struct {
	day    uint32
	market model.MarketID
}

// storedDays collects a digest for each day.
type storedDays struct {
	r        *Reader
	keep     *keepState
	kind     model.Kind
	from, to uint32 // days
	sums     map[storedAt]hash.Hash
}

// add adds to the digest of a day, which is one of the answer from then on.
func (d *storedDays) add(at storedAt, parts ...[]byte) {
	h := d.sums[at]
	if h == nil {
		h = sha256.New()
		d.sums[at] = h
	}
	for _, p := range parts {
		h.Write(p)
	}
}

func (d *storedDays) list() []StoredDay {
	out := make([]StoredDay, 0, len(d.sums))
	for at, h := range d.sums {
		row := StoredDay{Market: at.market, Day: model.Millis(key.DayStart(at.day))}
		h.Sum(row.Digest[:0])
		row.Thinned = d.kind == model.KindBook && at.day < d.keep.thinned && !d.keep.pinned(key.Books, at.day)
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b StoredDay) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Market, b.Market))
	})
	return out
}

// counts adds the days of which a family has rows.
func (d *storedDays) counts(ctx context.Context, f key.Family, ids []model.MarketID) error {
	rg, err := key.IndexRange(f, d.from, d.to)
	if err != nil {
		return err
	}
	for row, err := range d.r.store.Scan(ctx, rg) {
		if err != nil {
			return err
		}
		k, err := key.ParseIndexRow(row.Key)
		if err != nil {
			return err
		}
		ix, err := record.DecodeIndex(row.Value)
		if err != nil {
			return err
		}
		at := storedAt{k.Bucket, model.MarketID(k.Market)}
		if ix.Rows > 0 && !d.keep.dropped(f, at.day) && slices.Contains(ids, at.market) {
			d.add(at, row.Value)
		}
	}
	return nil
}

// candles adds the given candles of one minute, and our own of days whose trades are gone.
func (d *storedDays) candles(ctx context.Context, ids []model.MarketID) error {
	span, err := d.firstCandles(ctx)
	if err != nil {
		return err
	}
	for ; key.SpanStart(span) < key.DayStart(d.to); span++ {
		if d.keep.dropped(key.Candles, span) {
			continue
		}
		from := max(key.SpanStart(span), key.DayStart(d.from))
		to := min(key.SpanStart(span+1), key.DayStart(d.to))
		for _, m := range ids {
			if err := d.rawCandles(ctx, key.GivenMinute, m, from, to); err != nil {
				return err
			}
			// The days whose trades retention has dropped stand before all others, but for pinned ones.
			gone := min(to, key.DayStart(d.keep.cuts[key.Trades]))
			for at := from; at < gone; at += key.DayMillis {
				first := at // of days that follow one another, which are read at once
				for at < gone && d.keep.dropped(key.Trades, key.Day(at)) {
					at += key.DayMillis
				}
				if err := d.rawCandles(ctx, key.Minute, m, first, at); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// firstCandles returns the first span of which candles of one minute are stored, or one behind the last: whoever asks for all days
// asks from 1970 on.
func (d *storedDays) firstCandles(ctx context.Context) (first uint32, err error) {
	from, end := key.Span(key.DayStart(d.from)), key.Span(key.DayStart(d.to)-1)+1
	first = end
	for _, res := range []key.Resolution{key.GivenMinute, key.Minute} {
		rg, err := key.CandleBuckets(res, from, end)
		if err != nil {
			return 0, err
		}
		for row, err := range d.r.store.Scan(ctx, rg) {
			if err != nil {
				return 0, err
			}
			k, err := key.ParseCandle(row.Key)
			if err != nil {
				return 0, err
			}
			first = min(first, key.Span(k.Time))
			break
		}
	}
	return first, nil
}

func (d *storedDays) rawCandles(ctx context.Context, res key.Resolution, m model.MarketID, from, to int64) error {
	if from >= to {
		return nil
	}
	rg, err := key.CandleRange(res, uint32(m), from, to)
	if err != nil {
		return err
	}
	for row, err := range d.r.store.Scan(ctx, rg) {
		if err != nil {
			return err
		}
		k, err := key.ParseCandle(row.Key)
		if err != nil {
			return err
		}
		d.add(storedAt{key.Day(k.Time), m}, row.Key, row.Value)
	}
	return nil
}

// fundings adds the settled fundings themselves: there are 24 of a day.
func (d *storedDays) fundings(ctx context.Context, ids []model.MarketID) error {
	var text bytes.Buffer
	for _, m := range ids {
		for f, err := range d.r.Fundings(ctx, m, Span{From: model.Millis(key.DayStart(d.from)), To: model.Millis(key.DayStart(d.to))}) {
			if err != nil {
				return err
			}
			text.Reset()
			fmt.Fprintln(&text, f.Time, f.Rate, f.Value, f.LongPays)
			d.add(storedAt{key.Day(int64(f.Time)), m}, text.Bytes())
		}
	}
	return nil
}

// coverage adds what is held of each of the days found. Candles are chosen by what is held of the trades.
func (d *storedDays) coverage(ctx context.Context, ids []model.MarketID) error {
	found := map[model.MarketID]bool{}
	for at := range d.sums {
		found[at.market] = true
	}
	from, to := model.Micros(key.DayStart(d.from)*1000), model.Micros(key.DayStart(d.to)*1000)
	for _, m := range ids {
		if !found[m] && d.kind != model.KindBook {
			continue
		}
		var held []Interval
		var err error
		switch d.kind {
		case model.KindBook:
			held, err = d.r.bookIntervals(ctx, m, 0, from, to)
		case model.KindTrades:
			held, err = d.r.intervals(ctx, model.KindTrades, m, 0)
		default:
			held, err = d.r.rawIntervals(ctx, model.KindTrades, m, 0)
		}
		if err != nil {
			return err
		}
		for _, iv := range held {
			d.addHeld(m, Interval{From: max(iv.From, from), To: min(iv.To, to-1)})
		}
	}
	return nil
}

// addHeld adds the part that is held of each day that an interval touches. A book that is held all day has rows without any
// update; of the other kinds only days with rows count.
func (d *storedDays) addHeld(m model.MarketID, iv Interval) {
	for iv.From <= iv.To {
		day := key.DayOfMicros(int64(iv.From))
		end := model.Micros(key.DayStart(day+1) * 1000)
		at := storedAt{day, m}
		if d.kind == model.KindBook || d.sums[at] != nil {
			d.add(at, binary.AppendVarint(binary.AppendVarint(nil, int64(iv.From)), int64(min(iv.To, end))))
		}
		iv.From = end
	}
}
