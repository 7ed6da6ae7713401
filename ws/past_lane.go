package ws

import (
	"context"
	"errors"
	"io"
	"strings"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/engine/replay"
)

// pastLane is one subscribed channel of the past: the frames that the venue sent, the state at the beginning first. It is
// used by the session's timeline only.
type pastLane interface {
	// peek returns the time of the next frame; io.EOF at the end.
	peek(ctx context.Context) (model.Micros, error)
	// append writes that frame and moves on to the one after it.
	append(b []byte) []byte
	// release closes what is open in the store, without losing its place. It is called before a wait.
	release()
	close()
}

// pastBook is an order_book channel: the whole book, then what was received. A hole has no frame of the venue's; it ends
// with the whole book again.
type pastBook struct {
	src        replay.Source
	native     *Native
	ev         *replay.Event // read, not yet sent
	bids, asks []model.Level
}

func newPastBook(h replay.HistoryReader, n *Native, m *model.Market, from, to model.Millis) *pastBook {
	return &pastBook{native: n, src: replay.NewSource(h, replay.Request{
		Markets: []*model.Market{m}, From: from, To: to, Include: replay.Kinds(replay.BookUpdate), Order: replay.ReceiveOrder, StartBooks: true,
	})}
}

func (l *pastBook) peek(ctx context.Context) (model.Micros, error) {
	for l.ev == nil {
		ev, err := l.src.Next(ctx)
		if err != nil {
			return 0, err
		}
		if ev.Kind == replay.BookUpdate || ev.Kind == replay.Snapshot {
			l.ev = ev
		}
	}
	return l.ev.TS, nil
}

func (l *pastBook) append(b []byte) []byte {
	ev := l.ev
	l.ev = nil
	if ev.Kind == replay.BookUpdate {
		return l.native.Book(b, ev.Market, ev.Row.Epoch, &ev.Row.Update, ev.Row.Time)
	}
	v := ev.View
	l.bids, l.asks = v.Append(l.bids[:0], model.Bid, 0), v.Append(l.asks[:0], model.Ask, 0)
	u := model.BookUpdate{Snapshot: true, Bids: l.bids, Asks: l.asks, Seq: v.Seq, Offset: v.Offset, UpdatedAt: v.UpdatedAt, Chained: v.Chained}
	return l.native.Book(b, ev.Market, v.Epoch, &u, v.Time)
}

func (l *pastBook) release() { l.src.Release() }
func (l *pastBook) close()   { l.src.Close() }

// pastTrades is a trade channel: the last trades, then those that were received together a frame each.
type pastTrades struct {
	src    replay.Source
	native *Native
	market *model.Market
	first  *model.TradeBatch // of the answer to the subscribe, nil once it is sent
	from   model.Micros
	batch  model.TradeBatch
	at     model.Micros
	ev     *replay.Event // read, and received after the batch
	end    bool
}

func newPastTrades(ctx context.Context, h replay.HistoryReader, n *Native, m *model.Market, from, to model.Millis) (*pastTrades, error) {
	l := &pastTrades{native: n, market: m, from: from.Micros()}
	var last tape
	for t, err := range h.Trades(ctx, m.ID, history.Span{From: max(from-seedReach, 0), To: from + 1}, history.TradeQuery{Columns: record.All, Reverse: true}) {
		if err != nil {
			return nil, err
		}
		received := t.Recv
		if received == 0 {
			received = t.Time.Micros()
		}
		if received < l.from {
			row := keptTrade(t)
			last.insert(&row)
		}
		if len(last.lists[0]) == tapeRows {
			break // forced ones that are older are not looked for: there may never have been as many
		}
	}
	l.first = last.batch()
	l.src = replay.NewSource(h, replay.Request{
		Markets: []*model.Market{m}, From: from, To: to, Include: replay.Kinds(replay.Trade), Order: replay.ReceiveOrder, Columns: record.All,
	})
	return l, nil
}

// keptTrade copies a trade whose texts are the reader's.
func keptTrade(t *model.Trade) model.Trade {
	row := *t
	row.TxHash, row.Extra = strings.Clone(t.TxHash), strings.Clone(t.Extra)
	return row
}

func (l *pastTrades) peek(ctx context.Context) (model.Micros, error) {
	if l.first != nil {
		return l.from, nil
	}
	for {
		if l.ev == nil && !l.end {
			ev, err := l.src.Next(ctx)
			if errors.Is(err, io.EOF) {
				l.end = true
			} else if err != nil {
				return 0, err
			} else if ev.Kind != replay.Trade {
				continue
			} else {
				l.ev = ev
			}
		}
		switch {
		case l.ev == nil && len(l.batch.Rows) == 0:
			return 0, io.EOF
		case l.ev == nil || len(l.batch.Rows) > 0 && l.ev.TS != l.at:
			return l.at, nil
		}
		l.at = l.ev.TS
		l.batch.Rows = append(l.batch.Rows, keptTrade(l.ev.Trade))
		l.ev = nil
	}
}

func (l *pastTrades) append(b []byte) []byte {
	if l.first != nil {
		b = l.native.Trades(b, l.market, l.first)
		l.first = nil
		return b
	}
	b = l.native.Trades(b, l.market, &l.batch)
	l.batch.Rows = l.batch.Rows[:0]
	return b
}

func (l *pastTrades) release() { l.src.Release() }
func (l *pastTrades) close()   { l.src.Close() }

// pastHeight is the height channel. Heights themselves are not recorded: they are those of the trades.
type pastHeight struct {
	src    replay.Source
	native *Native
	height uint64 // the greatest sent
	first  bool
	ev     *replay.Event
}

func newPastHeight(h replay.HistoryReader, n *Native, markets []*model.Market, from, to model.Millis) *pastHeight {
	return &pastHeight{native: n, first: true, src: replay.NewSource(h, replay.Request{
		Markets: markets, From: from, To: to, Include: replay.Kinds(replay.Trade), Order: replay.ReceiveOrder,
	})}
}

func (l *pastHeight) peek(ctx context.Context) (model.Micros, error) {
	for l.ev == nil {
		ev, err := l.src.Next(ctx)
		if err != nil {
			return 0, err
		}
		if ev.Kind == replay.Trade && ev.Trade.Block > l.height {
			l.ev = ev
		}
	}
	return l.ev.TS, nil
}

func (l *pastHeight) append(b []byte) []byte {
	l.height = l.ev.Trade.Block
	b = l.native.Height(b, l.height, l.ev.Trade.Time, l.first)
	l.first, l.ev = false, nil
	return b
}

func (l *pastHeight) release() { l.src.Release() }
func (l *pastHeight) close()   { l.src.Close() }
