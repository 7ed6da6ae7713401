package history

import (
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// trades checks the trade blocks and segments, market-day by market-day, and with deep the candles made from them.
func (c *checker) trades() error {
	type marketDay struct{ day, market uint32 }
	var at marketDay
	var rows, all []model.Trade
	finish := func() error {
		slices.SortFunc(all, func(a, b model.Trade) int { return min(1, max(-1, int(int64(a.ID-b.ID)))) })
		for i := 1; i < len(all); i++ {
			if all[i].ID == all[i-1].ID {
				if err := c.report(key.Trade(nil, at.market, key.Hot, int64(all[i].Time)), "trade %d is stored twice", all[i].ID); err != nil {
					return err
				}
			}
		}
		if c.deep {
			c.posted(at.day, at.market, all)
			if err := c.liquidations(at.market, all); err != nil {
				return err
			}
			if err := c.candles(at.market, all); err != nil {
				return err
			}
		}
		all = all[:0]
		return nil
	}
	for row, err := range c.store.Scan(c.ctx, key.All(key.Trades)) {
		if errors.Is(err, kv.ErrDamaged) { // the candles of this market-day cannot be compared
			return c.unreadable(key.Trades, err)
		}
		if err != nil {
			return err
		}
		k, err := key.ParseTrade(row.Key)
		if err == nil {
			if day := (marketDay{key.Day(k.Time), k.Market}); day != at {
				if err := finish(); err != nil {
					return err
				}
				at = day
			}
			if rows, err = record.DecodeTrades(rows[:0], row.Value, record.All); err == nil {
				err = checkTradeBlock(k, row.Value, rows)
			}
		}
		if err != nil {
			if err := c.report(row.Key, "%v", err); err != nil {
				return err
			}
			continue
		}
		for i := range rows {
			c.count(indexKey{key.Trades, at.day, at.market}, int64(rows[i].Time), rows[i].ID)
		}
		all = append(all, rows...)
	}
	return finish()
}

func checkTradeBlock(k key.BlockKey, value []byte, rows []model.Trade) error {
	h, err := record.TradeHeader(value)
	if err != nil {
		return err
	}
	if len(rows) == 0 || int(h.Trades) != len(rows) {
		return fmt.Errorf("head says %d trades of %d", h.Trades, len(rows))
	}
	first, last := rows[0].Time, rows[0].Time
	for i := range rows {
		t := &rows[i]
		first, last = min(first, t.Time), max(last, t.Time)
		switch {
		case t.Epoch != h.Epoch:
			return fmt.Errorf("trade %d is on another scale than its block", t.ID)
		case k.Form == key.Hot && tradeBlockTime(int64(t.Time), t.Epoch) != k.Time:
			return fmt.Errorf("trade %d lies in the block of another second", t.ID)
		case key.Day(int64(t.Time)) != key.Day(k.Time):
			return fmt.Errorf("trade %d lies in another day's segment", t.ID)
		case i > 0 && k.Form == key.Sealed && byTimeAndID(rows[i-1], *t) >= 0:
			return fmt.Errorf("trade %d is out of order", t.ID)
		}
	}
	if h.First != int64(first) || h.Last != int64(last) || k.Form == key.Sealed && int64(first) != k.Time {
		return errors.New("head or key tells other times than the trades")
	}
	return nil
}

// liquidations compares the trades among liquidations with those that they are copies of.
func (c *checker) liquidations(mkt uint32, trades []model.Trade) error {
	var have []model.Trade
	for i := range trades {
		t := &trades[i]
		if t.Kind != model.KindLiquidation && t.Kind != model.KindDeleverage {
			continue
		}
		k := key.Liquidation(nil, int64(t.Time), mkt, t.ID)
		err := c.store.Get(k, func(v []byte) (err error) {
			have, err = record.DecodeTrades(have[:0], v, record.All)
			return err
		})
		switch {
		case err != nil && !errors.Is(err, kv.ErrNotFound):
			continue // told where the family is walked
		case err == nil && (len(have) != 1 || have[0] == *t):
			continue
		case err == nil:
			err = fmt.Errorf("it is %+v, the trade is %+v", have[0], *t)
		}
		if err := c.report(k, "liquidation of trade %d: %v", t.ID, err); err != nil {
			return err
		}
	}
	return nil
}

// books checks the book blocks and segments.
func (c *checker) books() error {
	var cursor record.BookCursor
	return c.each(key.Books, func(row kv.KV) error {
		k, err := key.ParseBook(row.Key)
		if err != nil {
			return err
		}
		if err := cursor.Open(row.Value); err != nil {
			return err
		}
		h := cursor.Header()
		if (cursor.Keyframe() != nil) != (k.Form == key.Sealed) {
			return errors.New("block and segment are mixed up")
		}
		var rows, levels uint32
		last := model.Micros(k.Time)
		for cursor.Next() {
			r := cursor.Row()
			rows++
			levels += uint32(len(r.Update.Bids) + len(r.Update.Asks))
			switch {
			case r.Recv < last:
				return fmt.Errorf("update received at %d comes after one of %d", r.Recv, last)
			case r.Epoch != h.Epoch:
				return errors.New("update is on another scale than its block")
			case !c.holds(k.Market, r.Recv):
				return fmt.Errorf("update received at %d lies in no held interval", r.Recv)
			}
			last = r.Recv
			c.count(indexKey{key.Books, key.DayOfMicros(k.Time), k.Market}, int64(r.Recv), 0)
		}
		if err := cursor.Err(); err != nil {
			return err
		}
		if rows != h.Updates || levels != h.Levels || rows > 0 && (int64(last) != h.Last || h.First < k.Time) {
			return fmt.Errorf("head %+v does not fit %d updates and %d levels up to %d", h, rows, levels, last)
		}
		return nil
	})
}

func (c *checker) holds(mkt uint32, t model.Micros) bool {
	for _, iv := range c.held[mkt] {
		if iv.From <= t && t <= iv.To {
			return true
		}
	}
	return c.torn[key.Coverage]
}

// rebuildBooks walks every held interval from its first whole book and compares the book with each stored state.
func (c *checker) rebuildBooks() error {
	for mkt, ivs := range c.held {
		for _, iv := range c.keep.clamp(model.KindBook, ivs) {
			err := c.rebuild(mkt, iv)
			if isUnreadable(err) {
				err = c.report(key.Held(nil, uint8(model.KindBook), mkt, int64(iv.From)), "rebuild the book: %v", err)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) rebuild(mkt uint32, iv Interval) error {
	if iv.To == forever {
		last, err := c.reader.lastRow(model.MarketID(mkt), iv.From)
		if err != nil {
			return err
		}
		iv.To = max(last, iv.From)
	}
	w := bookWalk{r: c.reader, market: model.MarketID(mkt)}
	defer w.close()
	w.reset(iv.From, iv.To+1)
	compare := func(k []byte, at model.Micros, want *book.View) error {
		if at == iv.From {
			if want.Len(model.Bid)+want.Len(model.Ask) > 0 { // a day whose forerunner was dropped begins with its book
				w.book.SetEpoch(want.Epoch)
				w.book.Reset(want)
			}
			return nil
		}
		err := w.forward(c.ctx, at)
		if err == nil {
			have := w.book.View()
			if have.Epoch == want.Epoch && (have.Seq != want.Seq || !sameLevels(have, want)) {
				err = fmt.Errorf("stored book of sequence %d differs from the rebuilt one of %d", want.Seq, have.Seq)
			}
		}
		if err != nil {
			return c.report(k, "%v", err)
		}
		return nil
	}
	for day := key.DayOfMicros(int64(iv.From)); day <= key.DayOfMicros(int64(iv.To)); day++ {
		states, err := c.states(mkt, day, iv)
		if err != nil {
			return err
		}
		for _, s := range states {
			if err := compare(s.key, s.at, s.view); err != nil {
				return err
			}
		}
	}
	if err := w.forward(c.ctx, iv.To+1); err != nil {
		return c.report(key.Held(nil, uint8(model.KindBook), mkt, int64(iv.From)), "rebuild the book: %v", err)
	}
	return nil
}

func sameLevels(a, b *book.View) bool {
	for _, s := range []model.Side{model.Bid, model.Ask} {
		if !slices.Equal(a.Append(nil, s, 0), b.Append(nil, s, 0)) {
			return false
		}
	}
	return true
}

type bookState struct {
	key  []byte
	at   model.Micros
	view *book.View
}

// states returns the stored books of a market-day inside an interval, ascending.
func (c *checker) states(mkt, day uint32, iv Interval) ([]bookState, error) {
	from := max(model.Micros(key.DayStart(day)*1000), iv.From)
	to := min(model.Micros(key.DayStart(day+1)*1000), iv.To+1)
	var out []bookState
	rg, err := key.KeyframeRange(mkt, int64(from), int64(to))
	if err != nil {
		return nil, err
	}
	for row, err := range c.store.Scan(c.ctx, rg) {
		if err != nil {
			return nil, err
		}
		k, err := key.ParseKeyframe(row.Key)
		if err != nil {
			continue // told already
		}
		if frame, err := record.DecodeKeyframe(row.Value); err == nil {
			out = append(out, bookState{slices.Clone(row.Key), model.Micros(k.Time), frame.View()})
		}
	}
	if rg, err = key.BookRange(mkt, key.Sealed, int64(from), int64(to)); err != nil {
		return nil, err
	}
	var cursor record.BookCursor
	for row, err := range c.store.Scan(c.ctx, rg) {
		if err != nil {
			return nil, err
		}
		k, err := key.ParseBook(row.Key)
		if err != nil {
			continue
		}
		if err := cursor.Open(row.Value); err == nil {
			out = append(out, bookState{slices.Clone(row.Key), model.Micros(k.Time), cursor.Keyframe().View()})
		}
	}
	slices.SortFunc(out, func(a, b bookState) int { return int(min(max(a.at-b.at, -1), 1)) })
	return out, nil
}
