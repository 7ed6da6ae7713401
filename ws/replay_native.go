package ws

import (
	"iter"
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/engine/replay"
)

// Native writes a venue's own stream frames. The functions append to dst and keep nothing; first makes a frame the answer
// to a subscribe. Replays need Book and Trades, /stream all of them.
type Native struct {
	Book   func(dst []byte, m *model.Market, epoch uint8, u *model.BookUpdate, t model.Millis) []byte
	Trades func(dst []byte, m *model.Market, b *model.TradeBatch) []byte

	Stats        func(dst []byte, m *model.Market, s *model.Stats, t model.Millis, first bool) []byte
	AllStats     func(dst []byte, rows iter.Seq2[*model.Market, *model.Stats], t model.Millis, first bool) []byte
	Height       func(dst []byte, height uint64, t model.Millis, first bool) []byte
	Connected    func(dst []byte, session string) []byte
	Unsubscribed func(dst []byte, channel string) []byte
	Error        func(dst []byte, code int, message string) []byte
	Pong         func(dst []byte) []byte
}

// known tells whether there is a venue's form to replay in.
func (n *Native) known() bool { return n.Book != nil && n.Trades != nil }

// streams tells whether /stream can be served.
func (n *Native) streams() bool {
	return n.known() && n.Stats != nil && n.AllStats != nil && n.Height != nil && n.Connected != nil && n.Unsubscribed != nil &&
		n.Error != nil && n.Pong != nil
}

// setStream makes the source one of channels, in the order in which their frames came: a book is its updates, whichever
// of its two names asks for it, and a forced trade comes as the trade that it is.
func (r *replayRequest) setStream(include replay.KindSet, columns record.Columns) {
	r.source.Order, r.source.Columns = replay.ReceiveOrder, columns
	if include.Has(replay.Trade) || include.Has(replay.Liquidation) {
		r.source.Include |= replay.Kinds(replay.Trade)
	}
	r.source.Include |= include & replay.Kinds(replay.Funding, replay.Stats)
	if include.Has(replay.BookUpdate) || include.Has(replay.Snapshot) {
		r.source.Include |= replay.Kinds(replay.BookUpdate)
		r.source.StartBooks = true
	}
}

// fundingInStats makes funding come as the venue's stream tells it, inside the statistics.
func (r *replayRequest) fundingInStats() {
	if r.source.Include.Has(replay.Funding) {
		r.source.Include = r.source.Include&^replay.Kinds(replay.Funding) | replay.Kinds(replay.Stats)
	}
}

// appendNative writes the frame that the venue sent for the event, with no member of ours: a whole book as the answer to a
// subscribe, one trade a frame. A hole has no frame of the venue; it is told as /ws does, with the venue's channel name.
func (e *replayEncoder) appendNative(b []byte, ev *replay.Event) []byte {
	switch ev.Kind {
	case replay.Trade:
		e.batch.Rows = append(e.batch.Rows[:0], *ev.Trade)
		return e.native.Trades(b, ev.Market, &e.batch)
	case replay.Stats:
		return e.native.Stats(b, ev.Market, ev.Stats, ev.TS.Millis(), false)
	case replay.BookUpdate:
		return e.native.Book(b, ev.Market, ev.Row.Epoch, &ev.Row.Update, ev.Row.Time)
	case replay.Snapshot:
		v := ev.View
		e.bids = v.Append(e.bids[:0], model.Bid, e.req.fullDepth)
		e.asks = v.Append(e.asks[:0], model.Ask, e.req.fullDepth)
		u := model.BookUpdate{Snapshot: true, Bids: e.bids, Asks: e.asks, Seq: v.Seq, Offset: v.Offset,
			UpdatedAt: v.UpdatedAt, Chained: v.Chained}
		return e.native.Book(b, ev.Market, v.Epoch, &u, v.Time)
	default:
		b = append(b, `{"type":"gap","channel":"`...)
		b = append(b, gapKinds[ev.Gap.Kind].String()...)
		b = append(b, ':')
		b = strconv.AppendInt(b, ev.Market.Native, 10)
		b = append(b, `","from":`...)
		b = appendInt(b, ev.Gap.From.Millis())
		b = append(b, `,"to":`...)
		b = appendEnd(b, ev.Gap.To)
		b = append(b, `,"reason":"`...)
		b = append(b, ev.Gap.Cause.String()...)
		return append(b, `"}`...)
	}
}
