package tape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"hyperlight/engine/model"
)

// mostPending bounds the updates that are kept until the whole book comes which they belong to.
const mostPending = 10_000

// binance reads a recording of Binance USD-M futures: lines of a receive time in ns and a frame. Its chain is Lighter's:
// pu becomes begin_nonce, u nonce. The whole book comes from REST a while after the stream began, so that updates before it
// wait; where the chain breaks nothing is written before the next whole book. The tickers of its streams say nothing that
// the books do not.
type binance struct {
	synced  bool
	seq     uint64
	offset  uint64
	stream  uint64 // u of the last update of the stream, whether it could be used or not
	pending []binanceUpdate
	trade   uint64 // id of the last one
}

type binanceUpdate struct {
	data binanceData
	recv model.Micros
}

// binanceData is an update, a trade or a whole book; single letters are the venue's names.
type binanceData struct {
	Event      string      `json:"e"`
	Symbol     string      `json:"s"`
	Sent       int64       `json:"E"`
	Changed    int64       `json:"T"`
	Last       uint64      `json:"u"`
	First      uint64      `json:"U"` // named, so that the next member is not taken for it
	Before     uint64      `json:"pu"`
	Bids       [][2]string `json:"b"`
	Asks       [][2]string `json:"a"`
	Trade      uint64      `json:"t"`
	Price      string      `json:"p"`
	Size       string      `json:"q"`
	MakerBuys  bool        `json:"m"`
	Snapshot   uint64      `json:"lastUpdateId"`
	BookOfBids [][2]string `json:"bids"`
	BookOfAsks [][2]string `json:"asks"`
}

type binanceFrame struct {
	Stream string          `json:"stream"`
	Data   json.RawMessage `json:"data"`
}

// binanceMarkets are the recorded markets with the decimals of their steps; the venue writes more of them.
var binanceMarkets = map[string]*model.Market{
	"BTCUSDT": newMarket(2, "BTCUSDT", 1, 3),
	"ETHUSDT": newMarket(3, "ETHUSDT", 2, 3),
}

func newBinance(line []byte) (source, *model.Market, error) {
	d, _, err := parseBinance(line)
	if err != nil {
		return nil, nil, err
	}
	m := binanceMarkets[d.Symbol]
	if m == nil {
		return nil, nil, errFormat
	}
	return &binance{}, m, nil
}

// parseBinance takes a line apart; of a frame that is not needed only the symbol is certain.
func parseBinance(line []byte) (d binanceData, recv model.Micros, err error) {
	at, body, ok := bytes.Cut(line, []byte{' '})
	ns, err := strconv.ParseInt(string(at), 10, 64)
	if !ok || err != nil {
		return d, 0, errFormat
	}
	var f binanceFrame
	if err := json.Unmarshal(body, &f); err != nil {
		return d, 0, err
	}
	if f.Data != nil {
		body = f.Data
	}
	if bytes.Contains(body, []byte(`"bookTicker"`)) {
		var ticker struct {
			Symbol string `json:"s"`
		}
		err := json.Unmarshal(body, &ticker)
		return binanceData{Event: "bookTicker", Symbol: ticker.Symbol}, 0, err
	}
	err = json.Unmarshal(body, &d)
	return d, model.Micros(ns / 1000), err
}

func (b *binance) line(line []byte, w *Writer) error {
	d, recv, err := parseBinance(line)
	if err != nil {
		return err
	}
	switch {
	case d.Event == "depthUpdate":
		return b.takeUpdate(w, binanceUpdate{d, recv})
	case d.Event == "trade":
		return b.takeTrade(w, &d, recv)
	case d.Snapshot != 0:
		return b.takeBook(w, &d, recv)
	}
	return nil
}

func (b *binance) takeUpdate(w *Writer, u binanceUpdate) error {
	broken := b.stream != 0 && u.data.Before != b.stream
	b.stream = u.data.Last
	if broken {
		w.Counts.Breaks++
		b.synced, b.pending = false, b.pending[:0]
	}
	if !b.synced {
		if len(b.pending) == mostPending {
			return fmt.Errorf("no whole book within %d updates", mostPending)
		}
		b.pending = append(b.pending, u)
		return nil
	}
	return b.writeUpdate(w, &u.data, u.recv)
}

func (b *binance) takeBook(w *Writer, d *binanceData, recv model.Micros) error {
	bids, err := parseLevels(w.market, d.BookOfBids)
	if err != nil {
		return err
	}
	asks, err := parseLevels(w.market, d.BookOfAsks)
	if err != nil {
		return err
	}
	b.offset++
	b.seq, b.synced = d.Snapshot, true
	u := &model.BookUpdate{Snapshot: true, Bids: bids, Asks: asks, Seq: d.Snapshot, Offset: b.offset, Chained: true,
		UpdatedAt: model.Millis(d.Changed).Micros()}
	if err := w.book(u, model.Millis(d.Sent), recv); err != nil {
		return err
	}
	for i := range b.pending {
		if err := b.writeUpdate(w, &b.pending[i].data, recv); err != nil {
			return err
		}
	}
	b.pending = nil
	return nil
}

// writeUpdate writes an update as the one after the last; those that the whole book had in it are left out. The first
// one behind it may begin before it.
func (b *binance) writeUpdate(w *Writer, d *binanceData, recv model.Micros) error {
	if d.Last <= b.seq {
		return nil
	}
	bids, err := parseLevels(w.market, d.Bids)
	if err != nil {
		return err
	}
	asks, err := parseLevels(w.market, d.Asks)
	if err != nil {
		return err
	}
	b.offset++
	u := &model.BookUpdate{Bids: bids, Asks: asks, Prev: b.seq, Seq: d.Last, Offset: b.offset, Chained: true,
		UpdatedAt: model.Millis(d.Changed).Micros()}
	b.seq = d.Last
	return w.book(u, model.Millis(d.Sent), recv)
}

func (b *binance) takeTrade(w *Writer, d *binanceData, recv model.Micros) error {
	l, err := parseLevel(w.market, d.Price, d.Size)
	if err != nil {
		return err
	}
	row, err := newTrade(w.market, d.Trade, l, model.Millis(d.Changed), recv)
	if err != nil {
		return err
	}
	row.MakerAsk = !d.MakerBuys
	first := d.Trade != b.trade+1
	b.trade = d.Trade
	return w.trade(row, recv, first)
}
