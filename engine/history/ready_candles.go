package history

import (
	"context"
	"fmt"
	"iter"
	"sort"
	"sync/atomic"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// candlePiece is a piece of 1-minute candles of one market, own or given ones: immutable but for the text that is made when
// it is asked for first.
type candlePiece struct {
	changes uint64   // of the mark that it was read under
	stamp   kv.Stamp // of its part of the store where the mark does not speak of it yet, else 0
	rows    []record.Candle
	texts   atomic.Pointer[candleTexts]
}

// candleTexts are the rows of a piece as text.
type candleTexts struct {
	form any
	text []byte // the rows, a comma after each
	ends []uint32
}

// candleText is about what the text of a candle takes, candleSize what it takes with its row.
const (
	candleText = 220
	candleSize = candleText + 112
)

// piece returns the own or given 1-minute candles of a piece. One before the mark's newest is kept for as long as that says
// that no such piece has changed, any other one until something is written there.
func (r *Reader) piece(ctx context.Context, res key.Resolution, mkt, number uint32, mark candleMark) (*candlePiece, error) {
	k := readyKey{kind: readyCandles, market: mkt, at: int64(number), sum: uint64(res)}
	known, _ := r.ready.get(k).(*candlePiece)
	var stamp kv.Stamp
	if number >= mark.newest {
		var buf [32]byte
		stamp = r.store.Stamp(kv.PartOf(key.Candle(buf[:0], res, mkt, int64(number)*pieceMillis)))
		if known != nil && stamp != 0 && known.stamp == stamp {
			return known, nil
		}
	} else if known != nil && known.stamp == 0 && known.changes == mark.changes {
		return known, nil
	}
	p := &candlePiece{changes: mark.changes, stamp: stamp}
	from := int64(number) * pieceMillis
	for c, err := range r.scanCandles(ctx, res, mkt, from, from+pieceMillis, false) {
		if err != nil {
			return nil, err
		}
		p.rows = append(p.rows, c)
	}
	if size := int64(len(p.rows)) * candleSize; (stamp != 0 || number < mark.newest) && r.ready.admits(k, size) {
		r.ready.put(k, p, size)
	}
	return p, nil
}

// as returns the text of the piece in a form.
func (p *candlePiece) as(texts *Texts[record.Candle]) *candleTexts {
	if t := p.texts.Load(); t != nil && t.form == texts.Form {
		return t
	}
	t := &candleTexts{form: texts.Form, text: make([]byte, 0, candleText*len(p.rows)), ends: make([]uint32, len(p.rows))}
	for i := range p.rows {
		t.text = append(texts.Append(t.text, &p.rows[i]), ',')
		t.ends[i] = uint32(len(t.text))
	}
	p.texts.Store(t)
	return t
}

// CandleRun is some candles of one market, ascending. It is valid until the next step.
type CandleRun struct {
	piece *candlePiece // its text is ready or will be; nil: it is not kept
	rows  []record.Candle
	lo    int // of the piece, where rows begin
	texts *Texts[record.Candle]
}

// Len returns the number of candles.
func (r *CandleRun) Len() int { return len(r.rows) }

// Time returns when candle i opens.
func (r *CandleRun) Time(i int) model.Millis { return r.rows[i].Time }

// Append appends the candles from <= i < to with commas between them.
func (r *CandleRun) Append(dst []byte, from, to int) []byte {
	if from >= to {
		return dst
	}
	if r.piece != nil {
		t, start := r.piece.as(r.texts), uint32(0)
		if from += r.lo; from > 0 {
			start = t.ends[from-1]
		}
		return append(dst, t.text[start:t.ends[r.lo+to-1]-1]...)
	}
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, ',')
		}
		dst = r.texts.Append(dst, &r.rows[i])
	}
	return dst
}

// CandleTexts goes through the 1-minute candles of one market as Candles does, ascending and in runs of rows as text. The
// text of candles that end by settled must not depend on anything but the row and the form.
func (r *Reader) CandleTexts(ctx context.Context, m model.MarketID, sp Span, settled model.Millis, texts Texts[record.Candle]) iter.Seq2[*CandleRun, error] {
	return func(yield func(*CandleRun, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("read candles: %w", err)) }
		minute := model.Millis(time.Minute.Milliseconds())
		from, to := int64(CandleStart(max(sp.From, 0)+minute-1, time.Minute)), int64(CandleStart(max(sp.To, 0)+minute-1, time.Minute))
		keep, err := r.keep()
		if err != nil {
			fail(err)
			return
		}
		var mark candleMark
		if r.ready != nil {
			if mark, err = r.mark(uint32(m)); err != nil {
				fail(err)
				return
			}
		}
		for r.ready != nil && from < to {
			if span := key.Span(from); keep.dropped(key.Candles, span) {
				from = key.SpanStart(span + 1)
				continue
			}
			number := pieceOf(from)
			end := int64(number+1) * pieceMillis
			if end > int64(settled) {
				break
			}
			lo, hi := from, min(to, end)
			from = hi
			run, err := r.pieceRun(ctx, m, number, mark, lo, hi, &texts)
			if err != nil {
				fail(err)
				return
			}
			if run.Len() > 0 && !yield(run, nil) {
				return
			}
			if run.Len() == 0 {
				if from, err = r.nextCandle(ctx, uint32(m), from, to, key.Minute, key.GivenMinute); err != nil {
					fail(err)
					return
				}
			}
		}
		if from >= to {
			return
		}
		// What is still being written.
		run := &CandleRun{texts: &texts}
		for c, err := range r.chosenCandles(ctx, key.Minute, m, from, to, false) {
			if err != nil {
				fail(err)
				return
			}
			run.rows = append(run.rows, c)
		}
		if run.Len() > 0 {
			yield(run, nil)
		}
	}
}

// pieceRun returns the candles of lo <= opening < hi within a piece.
func (r *Reader) pieceRun(ctx context.Context, m model.MarketID, number uint32, mark candleMark, lo, hi int64, texts *Texts[record.Candle]) (*CandleRun, error) {
	given, err := r.piece(ctx, key.GivenMinute, uint32(m), number, mark)
	if err != nil {
		return nil, err
	}
	run := &CandleRun{texts: texts}
	if len(given.rows) > 0 {
		// Which of two is chosen depends on what is held.
		for c, err := range r.chosenCandles(ctx, key.Minute, m, lo, hi, false) {
			if err != nil {
				return nil, err
			}
			run.rows = append(run.rows, c)
		}
		return run, nil
	}
	own, err := r.piece(ctx, key.Minute, uint32(m), number, mark)
	if err != nil {
		return nil, err
	}
	var end int
	run.piece = own
	run.lo, end = own.within(lo, hi)
	run.rows = own.rows[run.lo:end]
	return run, nil
}

// nextCandle returns the opening of the first stored candle of from <= opening < to, of whatever of the resolutions, and to
// where there is none: a range may begin years before the record, and have years without a row inside.
func (r *Reader) nextCandle(ctx context.Context, mkt uint32, from, to int64, resolutions ...key.Resolution) (int64, error) {
	for _, res := range resolutions {
		for c, err := range r.scanCandles(ctx, res, mkt, from, to, false) {
			if err != nil {
				return to, err
			}
			to = int64(c.Time)
			break
		}
	}
	return to, nil
}

// candleBefore returns the end of the last stored candle of from <= opening < to, and from where there is none.
func (r *Reader) candleBefore(ctx context.Context, mkt uint32, from, to int64, res key.Resolution) (int64, error) {
	for c, err := range r.scanCandles(ctx, res, mkt, from, to, true) {
		if err != nil {
			return from, err
		}
		return int64(c.Time) + 1, nil
	}
	return from, nil
}

// within returns the rows with lo <= opening < hi.
func (p *candlePiece) within(lo, hi int64) (from, to int) {
	before := func(t int64) int {
		return sort.Search(len(p.rows), func(i int) bool { return int64(p.rows[i].Time) >= t })
	}
	return before(lo), before(hi)
}

// storedCandles goes through the stored candles with from <= opening < to, those of the past from what is kept ready.
func (r *Reader) storedCandles(ctx context.Context, res key.Resolution, m model.MarketID, from, to int64, reverse bool) iter.Seq2[record.Candle, error] {
	if r.ready == nil || res != key.Minute && res != key.GivenMinute || to-from < pieceMillis/16 {
		return r.scanCandles(ctx, res, uint32(m), from, to, reverse)
	}
	return func(yield func(record.Candle, error) bool) {
		mark, err := r.mark(uint32(m))
		var keep *keepState
		if err == nil {
			keep, err = r.keep()
		}
		if err != nil {
			yield(record.Candle{}, err)
			return
		}
		for from < to {
			number := pieceOf(from)
			if reverse {
				number = pieceOf(to - 1)
			}
			lo, hi := max(from, int64(number)*pieceMillis), min(to, int64(number+1)*pieceMillis)
			switch {
			case number >= mark.newest && reverse:
				lo = max(from, int64(mark.newest)*pieceMillis)
			case number >= mark.newest:
				hi = to
			}
			if reverse {
				to = lo
			} else {
				from = hi
			}
			if number >= mark.newest || keep.dropped(key.Candles, key.Span(lo)) {
				for c, err := range r.scanCandles(ctx, res, uint32(m), lo, hi, reverse) {
					if !yield(c, err) || err != nil {
						return
					}
				}
				continue
			}
			p, err := r.piece(ctx, res, uint32(m), number, mark)
			if err != nil {
				yield(record.Candle{}, err)
				return
			}
			if len(p.rows) == 0 {
				if reverse {
					to, err = r.candleBefore(ctx, uint32(m), from, to, res)
				} else {
					from, err = r.nextCandle(ctx, uint32(m), from, to, res)
				}
				if err != nil {
					yield(record.Candle{}, err)
					return
				}
			}
			first, end := p.within(lo, hi)
			for i := range end - first {
				c := &p.rows[first+i]
				if reverse {
					c = &p.rows[end-1-i]
				}
				if !yield(*c, nil) {
					return
				}
			}
		}
	}
}
