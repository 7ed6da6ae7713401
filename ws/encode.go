package ws

import (
	"strconv"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// levelBytes is about how long one level is in a frame.
const levelBytes = 40

// bookFrame is what an order_book_update says: a view for a whole book, or else an update.
type bookFrame struct {
	view   *book.View
	depth  int // levels per side of a view; 0 means all
	update *model.BookUpdate
	epoch  uint8 // scale epoch of update
	seq    uint64
	at     model.Millis

	named  bool               // the owners of the levels are named
	owners *model.Attribution // what is known of them; may be nil
	whale  num.USD            // value from which an order is a whale's
}

// appendBookFrame writes an order_book_update in its typed form. shared is the length of dst from which on the wrapped
// form is the same.
func appendBookFrame(dst []byte, name string, m *model.Market, f bookFrame) (out []byte, shared int) {
	dst = append(dst, `{"type":"order_book_update","channel":"`...)
	dst = append(dst, name...)
	dst = append(dst, `","order_book":`...)
	shared = len(dst)
	dst = appendBookBody(dst, m, f)
	if f.named {
		dst = appendOwners(dst, m, f)
	}
	return append(dst, '}'), shared
}

// appendBookBody writes the members from the order_book object on, without the last brace.
func appendBookBody(dst []byte, m *model.Market, f bookFrame) []byte {
	dst = append(dst, `{"code":0,"asks":[`...)
	var seq, prev, offset uint64
	if f.view != nil {
		v := f.view
		ps, ss := m.ScaleAt(v.Epoch)
		dst = appendView(dst, v, model.Ask, f.depth, ps, ss)
		dst = append(dst, `],"bids":[`...)
		dst = appendView(dst, v, model.Bid, f.depth, ps, ss)
		seq, prev, offset = v.Seq, v.Seq, v.Offset
	} else {
		u := f.update
		ps, ss := m.ScaleAt(f.epoch)
		dst = appendLevels(dst, u.Asks, ps, ss)
		dst = append(dst, `],"bids":[`...)
		dst = appendLevels(dst, u.Bids, ps, ss)
		seq, prev, offset = u.Seq, u.Prev, u.Offset
	}
	dst = append(dst, `],"nonce":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"begin_nonce":`...)
	dst = strconv.AppendUint(dst, prev, 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendUint(dst, offset, 10)
	if f.view != nil {
		dst = append(dst, `},"snapshot":true,"seq":`...)
	} else {
		dst = append(dst, `},"snapshot":false,"seq":`...)
	}
	dst = strconv.AppendUint(dst, f.seq, 10)
	dst = append(dst, `,"timestamp":`...)
	return strconv.AppendInt(dst, int64(f.at), 10)
}

func appendView(dst []byte, v *book.View, s model.Side, n int, ps, ss uint8) []byte {
	first := true
	for l := range v.Levels(s, n) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = l.AppendObject(dst, ps, ss)
	}
	return dst
}

func appendLevels(dst []byte, levels []model.Level, ps, ss uint8) []byte {
	for i, l := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		if l.Size != 0 {
			dst = l.AppendObject(dst, ps, ss)
			continue
		}
		dst = append(dst, `{"price":"`...)
		dst = num.Append(dst, int64(l.Price), ps)
		dst = append(dst, `","size":"0"}`...)
	}
	return dst
}

// tradeFrame is what a trade_update says.
type tradeFrame struct {
	trade     *model.Trade
	seq       uint64
	at        model.Millis
	recovered bool
}

// appendTradeFrame writes a trade_update in its typed form; shared as in appendBookFrame.
func appendTradeFrame(dst []byte, name string, m *model.Market, f tradeFrame) (out []byte, shared int) {
	dst = append(dst, `{"type":"trade_update","channel":"`...)
	dst = append(dst, name...)
	dst = append(dst, `","trade":`...)
	shared = len(dst)
	return append(appendTradeBody(dst, m, f), '}'), shared
}

// appendTradeBody writes the members from the trade object on, without the last brace.
func appendTradeBody(dst []byte, m *model.Market, f tradeFrame) []byte {
	t := f.trade
	ps, ss := m.ScaleAt(t.Epoch)
	dst = append(dst, `{"trade_id":`...)
	dst = strconv.AppendUint(dst, t.ID, 10)
	dst = append(dst, `,"tx_hash":`...)
	if t.TxHash == "" {
		dst = append(dst, "null"...)
	} else {
		dst = model.AppendString(dst, t.TxHash)
	}
	dst = append(dst, `,"type":"`...)
	dst = append(dst, t.Kind.String()...)
	dst = append(dst, `","market_id":`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `,"price":"`...)
	dst = num.Append(dst, int64(t.Price), ps)
	dst = append(dst, `","size":"`...)
	dst = num.Append(dst, int64(t.Size), ss)
	dst = append(dst, `","usd_amount":"`...)
	dst = num.Append(dst, int64(t.USD), num.USDScale)
	dst = append(dst, `",`...)
	dst = t.AppendParties(dst)
	dst = append(dst, `,"block_height":`...)
	dst = strconv.AppendUint(dst, t.Block, 10)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(t.Time), 10)
	if f.recovered {
		dst = append(dst, `},"recovered":true,"seq":`...)
	} else {
		dst = append(dst, `},"seq":`...)
	}
	dst = strconv.AppendUint(dst, f.seq, 10)
	dst = append(dst, `,"timestamp":`...)
	return strconv.AppendInt(dst, int64(f.at), 10)
}

// appendGapFrame writes a gap message. An end that is not known yet is null.
func appendGapFrame(dst []byte, name string, g *model.Gap, seq uint64, at model.Millis) []byte {
	dst = append(dst, `{"type":"gap","channel":"`...)
	dst = append(dst, name...)
	dst = append(dst, `","from":`...)
	dst = strconv.AppendInt(dst, int64(g.From.Millis()), 10)
	dst = append(dst, `,"to":`...)
	dst = appendEnd(dst, g.To)
	dst = append(dst, `,"reason":"`...)
	dst = append(dst, g.Cause.String()...)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"timestamp":`...)
	return append(strconv.AppendInt(dst, int64(at), 10), '}')
}

// appendEnd writes the end of a hole in milliseconds, null while it is open.
func appendEnd(dst []byte, to model.Micros) []byte {
	if to == 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, int64(to.Millis()), 10)
}
