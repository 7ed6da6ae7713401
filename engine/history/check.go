package history

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Finding is a fault that Check met.
type Finding struct {
	Key     []byte
	Problem string
}

// maxFindings bounds what Check reports of a badly damaged store.
const maxFindings = 1000

var errEnough = errors.New("enough findings")

// Check walks the market history: every row decodes, lies where its key says, and is counted. Deep also rebuilds every
// book from its updates and compares it with each keyframe, and every candle from its trades. It must not run beside a
// writer. The error is about walking the store; faults of its contents are findings.
func Check(ctx context.Context, store *kv.Store, deep bool) ([]Finding, error) {
	c := &checker{ctx: ctx, store: store, deep: deep, counts: map[indexKey]*record.Index{},
		markets: map[model.MarketID]*model.Market{}, torn: map[key.Family]bool{},
		postings: map[uint32]*postingSum{}, built: map[candleKey]int{}, stored: map[candleKey]int{}, seed: maphash.MakeSeed()}
	c.reader = NewReader(store, func(id model.MarketID) (*model.Market, bool) { m, ok := c.markets[id]; return m, ok })
	steps := []func() error{c.meta, c.marketRows, c.intervals, c.trades, c.fills, c.books, c.small, c.unbuilt, c.index}
	if deep {
		steps = append(steps, c.rebuildBooks)
	}
	for _, step := range steps {
		err := step()
		if isUnreadable(err) {
			err = c.report(nil, "%v", err)
		}
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return c.findings, fmt.Errorf("check store: %w", err)
		}
	}
	return c.findings, nil
}

// meta checks the rows of this package about the store itself. Without a readable state of retention the others are
// checked as if nothing had been dropped.
func (c *checker) meta() error {
	c.keep.cuts = map[key.Family]uint32{}
	return c.each(key.Meta, func(row kv.KV) error {
		name, err := key.ParseMeta(row.Key)
		switch {
		case err != nil:
		case name == metaHeartbeat || name == metaSealing || strings.HasPrefix(name, marks):
			_, err = record.DecodeMoment(row.Value)
		case name == metaKeep:
			err = c.keep.decode(row.Value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// isUnreadable tells an error of the store's contents from one of going through it.
func isUnreadable(err error) bool {
	return isAny(err, kv.ErrDamaged, record.ErrCorrupt, record.ErrVersion)
}

// unreadable reports rows of a family that cannot be read from the disk; what depends on all of them is not checked.
func (c *checker) unreadable(f key.Family, err error) error {
	c.torn[f] = true
	return c.report([]byte{byte(f)}, "%s cannot be read: %v", f.Name(), err)
}

type checker struct {
	ctx      context.Context
	store    *kv.Store
	reader   *Reader
	deep     bool
	keep     keepState
	markets  map[model.MarketID]*model.Market
	counts   map[indexKey]*record.Index
	held     map[uint32][]Interval // of books
	torn     map[key.Family]bool   // families with rows that cannot be read
	findings []Finding
	postings map[uint32]*postingSum // of the trades of each day
	built    map[candleKey]int      // how many candles the trades of each day give
	stored   map[candleKey]int      // how many there are
	seed     maphash.Seed
}

func (c *checker) report(k []byte, format string, args ...any) error {
	c.findings = append(c.findings, Finding{Key: append([]byte(nil), k...), Problem: fmt.Sprintf(format, args...)})
	if len(c.findings) >= maxFindings {
		return errEnough
	}
	return nil
}

// each calls fn for every row of a family; what fn returns is a finding, not an end.
func (c *checker) each(f key.Family, fn func(row kv.KV) error) error {
	for row, err := range c.store.Scan(c.ctx, key.All(f)) {
		if errors.Is(err, kv.ErrDamaged) {
			return c.unreadable(f, err)
		}
		if err != nil {
			return err
		}
		if err := fn(row); err != nil {
			if err := c.report(row.Key, "%v", err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) count(k indexKey, ts int64, id uint64) {
	ix := c.counts[k]
	if ix == nil {
		ix = &record.Index{First: ts, Last: ts}
		c.counts[k] = ix
	}
	ix.Rows++
	ix.First, ix.Last, ix.LastID = min(ix.First, ts), max(ix.Last, ts), max(ix.LastID, id)
}

func (c *checker) marketRows() error {
	return c.each(key.Markets, func(row kv.KV) error {
		id, err := key.ParseMarket(row.Key)
		if err != nil {
			return err
		}
		m, err := record.DecodeMarket(row.Value)
		if err != nil {
			return err
		}
		if uint32(m.ID) != id {
			return fmt.Errorf("row of market %d holds market %d", id, m.ID)
		}
		c.markets[m.ID] = m
		return nil
	})
}

func (c *checker) intervals() error {
	c.held = map[uint32][]Interval{}
	return c.each(key.Coverage, func(row kv.KV) error {
		k, iv, err := decodeHeld(row)
		if err != nil {
			return err
		}
		end := iv.End
		if end == 0 {
			end = forever
		}
		if end < model.Micros(k.Start) {
			return fmt.Errorf("interval ends at %d, before its start", end)
		}
		if model.Kind(k.Kind) != model.KindBook {
			return nil
		}
		before := c.held[k.Market]
		c.held[k.Market] = append(before, Interval{From: model.Micros(k.Start), To: end})
		if n := len(before); n > 0 && before[n-1].To >= model.Micros(k.Start) {
			return fmt.Errorf("interval begins before the one before it ends at %d", before[n-1].To)
		}
		return nil
	})
}

// small checks the families of single rows.
func (c *checker) small() error {
	var one []model.Trade
	checks := []struct {
		family key.Family
		check  func(row kv.KV) error
	}{
		{key.Keyframes, func(row kv.KV) error {
			if _, err := key.ParseKeyframe(row.Key); err != nil {
				return err
			}
			_, err := record.DecodeKeyframe(row.Value)
			return err
		}},
		{key.Liquidations, func(row kv.KV) error {
			k, err := key.ParseLiquidation(row.Key)
			if err != nil {
				return err
			}
			if one, err = record.DecodeTrades(one[:0], row.Value, record.All); err != nil {
				return err
			}
			if len(one) != 1 || one[0].ID != k.ID || int64(one[0].Time) != k.Time {
				return errors.New("liquidation is not the trade that its key names")
			}
			c.count(indexKey{key.Liquidations, key.Day(k.Time), k.Market}, k.Time, k.ID)
			return nil
		}},
		{key.AccountSnapshots, func(row kv.KV) error { _, err := decodeAccountSnapshot(row); return err }},
		{key.Stats, func(row kv.KV) error { _, err := decodeStats(row); return err }},
		{key.Heatmaps, func(row kv.KV) error { _, err := decodeHeatmap(row); return err }},
		{key.Funding, func(row kv.KV) error {
			k, err := key.ParseFundingRow(row.Key)
			if err != nil {
				return err
			}
			c.count(indexKey{key.Funding, key.Span(k.Time), k.Market}, k.Time, 0)
			_, err = decodeFunding(row)
			return err
		}},
		{key.Candles, func(row kv.KV) error {
			k, err := key.ParseCandle(row.Key)
			if err != nil {
				return err
			}
			if c.deep && k.Resolution < key.GivenMinute {
				c.stored[candleDay(candleKey{k.Resolution, k.Market, k.Time})]++
			}
			v, err := record.DecodeCandle(row.Value)
			if err == nil && (v.Trades == 0 && k.Resolution < key.GivenMinute || v.Low > v.Open || v.Low > v.Close || v.High < v.Open || v.High < v.Close) {
				err = errors.New("candle is impossible")
			}
			if err == nil && k.Time%k.Resolution.Millis() != 0 {
				err = errors.New("candle does not open at a multiple of its length")
			}
			return err
		}},
		{key.Gaps, func(row kv.KV) error {
			k, err := key.ParseGap(row.Key)
			if err != nil {
				return err
			}
			g, err := record.DecodeGap(row.Value)
			if err == nil && g.To != 0 && int64(g.To) < k.From {
				err = fmt.Errorf("gap ends at %d, before its start", g.To)
			}
			return err
		}},
	}
	for _, family := range checks {
		if err := c.each(family.family, family.check); err != nil {
			return err
		}
	}
	return nil
}

// index compares the counts with what was counted.
func (c *checker) index() error {
	err := c.each(key.Index, func(row kv.KV) error {
		k, err := key.ParseIndexRow(row.Key)
		if err != nil {
			return err
		}
		ix, err := record.DecodeIndex(row.Value)
		if err != nil {
			return err
		}
		at := indexKey{k.Family, k.Bucket, k.Market}
		have := c.counts[at]
		delete(c.counts, at)
		switch {
		case k.Family != key.Trades && k.Family != key.Books && k.Family != key.Liquidations && k.Family != key.Funding:
			return nil // another package's
		case c.torn[k.Family]:
			return nil
		case have == nil:
			return fmt.Errorf("counts %d rows of %c, of which there is none", ix.Rows, k.Family)
		case k.Family == key.Books:
			// Thinning moves the last row of a second.
			if have.Rows != ix.Rows {
				return fmt.Errorf("counts %d updates of %d", ix.Rows, have.Rows)
			}
		case *have != ix:
			return fmt.Errorf("says %+v of %+v", ix, *have)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for k, have := range c.counts {
		if c.torn[key.Index] || c.torn[k.family] {
			continue
		}
		if err := c.report(key.IndexRow(nil, k.family, k.bucket, k.market), "%d rows of %c are not counted", have.Rows, k.family); err != nil {
			return err
		}
	}
	return nil
}
