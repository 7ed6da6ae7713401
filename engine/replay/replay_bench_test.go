package replay

import (
	"encoding/binary"
	"testing"

	"hyperlight/bench"
	"hyperlight/bench/bare"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// BenchmarkReplayStore replays a warm store at "max" inside the process: ten minutes of 50 updates of six levels and 17
// trades a second. The baseline is a bare Pebble iterator over a table with one row per event, whose fields it
// reads from fixed places: the plainest design there is. One-second books have 20 levels a side.
func BenchmarkReplayStore(b *testing.B) {
	for _, sealed := range []bool{false, true} {
		s := store(b, 600, sealed, false)
		for _, kinds := range []struct {
			name string
			set  KindSet
		}{{"trades", Kinds(Trade)}, {"ticks", Kinds(Trade, BookUpdate)}, {"seconds", Kinds(Trade, Snapshot)}} {
			replay := func(send func(*Event) error) {
				src := NewSource(s.reader, Request{Markets: []*model.Market{s.market}, From: s.from, To: s.to,
					Include: kinds.set, Depth: 20, StartBooks: kinds.set.Has(BookUpdate)})
				defer src.Close()
				if err := NewPlayer(src, PlayerOptions{}).Run(b.Context(), send); err != nil {
					b.Fatal(err)
				}
			}
			var rows []bare.Row
			replay(func(e *Event) error {
				k := binary.BigEndian.AppendUint64(nil, uint64(e.TS))
				rows = append(rows, bare.Row{Key: binary.BigEndian.AppendUint32(k, uint32(len(rows))), Value: plainEvent(e)})
				return nil
			})
			db := bare.Open(b, "")
			db.Write(rows, 4096)
			db.Settle()
			form := map[bool]string{false: "hot", true: "sealed"}[sealed]
			b.Run(form+"/"+kinds.name, func(b *testing.B) {
				bench.Compare(b, "events", func() (events int) {
					var e plainReader
					db.Read(func(k, v []byte) {
						e.read(k, v)
						events++
					})
					return events
				}, func() (events int) {
					replay(func(*Event) error { events++; return nil })
					return events
				})
			})
		}
	}
}

// plainEvent writes an event with fields of fixed size.
func plainEvent(e *Event) []byte {
	var fields []uint64
	levels := func(s []model.Level) {
		for _, l := range s {
			fields = append(fields, uint64(l.Price), uint64(l.Size))
		}
	}
	hash := ""
	switch e.Kind {
	case Trade:
		t := e.Trade
		fields = []uint64{t.ID, uint64(t.Time), uint64(t.Recv), uint64(t.Price), uint64(t.Size), uint64(t.USD), t.AskOrder, t.BidOrder,
			uint64(t.AskAccount), uint64(t.BidAccount), t.Block}
		hash = t.TxHash
	case BookUpdate:
		u := e.Row.Update
		fields = []uint64{u.Seq, u.Prev, u.Offset, uint64(len(u.Bids)), uint64(len(u.Asks))}
		levels(u.Bids)
		levels(u.Asks)
	case Snapshot:
		var bids, asks []model.Level
		var seq uint64
		if e.Top != nil {
			bids, asks, seq = e.Top.Bids, e.Top.Asks, e.Top.Seq
		} else {
			bids, asks, seq = e.View.Append(nil, model.Bid, 0), e.View.Append(nil, model.Ask, 0), e.View.Seq
		}
		fields = []uint64{seq, 0, 0, uint64(len(bids)), uint64(len(asks))}
		levels(bids)
		levels(asks)
	}
	v := []byte{byte(e.Kind)}
	for _, f := range fields {
		v = binary.BigEndian.AppendUint64(v, f)
	}
	return append(v, hash...)
}

// plainReader holds the last event read; its memory is used again.
type plainReader struct {
	ts     model.Micros
	trade  model.Trade
	update model.BookUpdate
}

func (r *plainReader) read(k, v []byte) {
	u := func(i int) uint64 { return binary.BigEndian.Uint64(v[1+8*i:]) }
	r.ts = model.Micros(binary.BigEndian.Uint64(k))
	if Kind(v[0]) == Trade {
		r.trade = model.Trade{ID: u(0), Time: model.Millis(u(1)), Recv: model.Micros(u(2)), Price: num.Price(u(3)), Size: num.Size(u(4)),
			USD: num.USD(u(5)), AskOrder: u(6), BidOrder: u(7), AskAccount: model.AccountID(u(8)), BidAccount: model.AccountID(u(9)),
			Block: u(10), TxHash: string(v[89:])}
		return
	}
	bids, asks := int(u(3)), int(u(4))
	level := func(i int) model.Level { return model.Level{Price: num.Price(u(i)), Size: num.Size(u(i + 1))} }
	r.update = model.BookUpdate{Seq: u(0), Prev: u(1), Offset: u(2), Bids: r.update.Bids[:0], Asks: r.update.Asks[:0]}
	for i := range bids {
		r.update.Bids = append(r.update.Bids, level(5+2*i))
	}
	for i := range asks {
		r.update.Asks = append(r.update.Asks, level(5+2*(bids+i)))
	}
}
