package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"time"

	"hyperlight/bench/tape"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// record is what both sides replay: the same trades and the same books.
type record struct {
	name     string
	symbol   string // lower case, as in Binance's streams
	market   *model.Market
	file     string // of Lighter's frames, for the import
	from, to time.Time
	filters  string // JSON
	live     bool   // a recording of a venue
	trades   int
	frames   int // whole books, updates and trades
}

// first is when the made-up record begins.
var first = time.Date(2025, 10, 9, 10, 0, 0, 0, time.UTC)

// twin writes one event in the words of both venues from the same numbers.
type twin struct {
	r    *record
	ours *bufio.Writer
	peer *cache
	buf  []byte
}

// makeUp makes a record as the benchmark Replay of bench has it: a market of 1,000 levels, 50 updates of six levels and 17
// trades a second; for each second of one-second books there are 17 trades.
func makeUp(dir string, span time.Duration) (r *record, err error) {
	r = &record{name: fmt.Sprintf("made up, %v", span), symbol: "btcusdt", file: filepath.Join(dir, "madeup.ndjson.gz"),
		from: first, to: first.Add(span), market: &model.Market{ID: 1, Native: 1, Symbol: "MADEUP", Type: "perp", Active: true,
			PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}}}
	f, err := os.Create(r.file)
	if err != nil {
		return nil, err
	}
	z := gzip.NewWriter(f)
	w := &twin{r: r, ours: bufio.NewWriter(z), peer: newCache(filepath.Join(dir, "cache"), r.symbol)}
	r.filters = w.peer.filters
	err = w.fill()
	return r, errors.Join(err, w.ours.Flush(), z.Close(), f.Close(), w.peer.close())
}

func (w *twin) fill() error {
	rnd := rand.New(rand.NewSource(1))
	u := &model.BookUpdate{Snapshot: true, Seq: 10_000_000_000, Chained: true}
	for i := range num.Price(500) {
		u.Bids = append(u.Bids, model.Level{Price: 319_999 - i, Size: 10_000})
		u.Asks = append(u.Asks, model.Level{Price: 320_001 + i, Size: 10_000})
	}
	id := uint64(10_000_000_000)
	for at := model.Micros(w.r.from.UnixMicro()); at < model.Micros(w.r.to.UnixMicro()); at += 20_000 {
		u.UpdatedAt = at - 15_000
		if err := w.book(at, u); err != nil {
			return err
		}
		u = &model.BookUpdate{Prev: u.Seq, Seq: u.Seq + 1 + uint64(rnd.Intn(5)), Offset: u.Offset + 1, Chained: true}
		for range 3 {
			u.Bids = append(u.Bids, model.Level{Price: num.Price(319_999 - rnd.Intn(60)), Size: num.Size(1 + rnd.Intn(100_000))})
			u.Asks = append(u.Asks, model.Level{Price: num.Price(320_001 + rnd.Intn(60)), Size: num.Size(1 + rnd.Intn(100_000))})
		}
		if rnd.Intn(3) != 0 {
			continue
		}
		id++
		t := model.Trade{ID: id, Time: at.Millis(), Recv: at + 3, Price: 320_000, Size: num.Size(1 + rnd.Intn(100_000)),
			USD: num.USD(rnd.Intn(1e9)), MakerAsk: rnd.Intn(2) == 0, AskOrder: id * 3, BidOrder: id * 5, AskAccount: 5, BidAccount: 6,
			Block: 77, TxHash: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
		if err := w.trade(&t); err != nil {
			return err
		}
	}
	return nil
}

// book writes a whole book or an update.
func (w *twin) book(at model.Micros, u *model.BookUpdate) error {
	sent := u.UpdatedAt.Millis()
	w.begin(at)
	w.buf = lighter.AppendBookFrame(w.buf, w.r.market, 0, u, sent)
	if err := w.end(); err != nil {
		return err
	}
	b := w.buf[:0]
	if u.Snapshot {
		b = fmt.Appendf(b, `{"stream":"%s@depthSnapshot","generated":true,"data":{"lastUpdateId":%d,"E":%d,"T":%d,"bids":`, w.r.symbol, u.Seq, sent, sent)
		b = append(w.pairs(b, u.Bids), `,"asks":`...)
	} else {
		b = fmt.Appendf(b, `{"stream":"%s@depth@0ms","data":{"e":"depthUpdate","E":%d,"T":%d,"s":"BTCUSDT","U":%d,"u":%d,"pu":%d,"b":`,
			w.r.symbol, sent, sent, u.Prev, u.Seq, u.Prev)
		b = append(w.pairs(b, u.Bids), `,"a":`...)
	}
	w.buf = append(w.pairs(b, u.Asks), "}}"...)
	return w.peer.add(at, w.buf)
}

func (w *twin) pairs(b []byte, levels []model.Level) []byte {
	b = append(b, '[')
	for i, l := range levels {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.AppendPair(b, w.r.market.PriceScale, w.r.market.SizeScale)
	}
	return append(b, ']')
}

func (w *twin) trade(t *model.Trade) error {
	w.r.trades++
	w.begin(t.Recv)
	w.buf = lighter.AppendTradeFrame(w.buf, w.r.market, &model.TradeBatch{Rows: []model.Trade{*t}})
	if err := w.end(); err != nil {
		return err
	}
	b := fmt.Appendf(w.buf[:0], `{"stream":"%s@trade","data":{"e":"trade","E":%d,"T":%d,"s":"BTCUSDT","t":%d,"p":"`, w.r.symbol, t.Time, t.Time, t.ID)
	b = append(num.Append(b, int64(t.Price), w.r.market.PriceScale), `","q":"`...)
	b = num.Append(b, int64(t.Size), w.r.market.SizeScale)
	w.buf = fmt.Appendf(b, `","X":"MARKET","m":%t}}`, !t.MakerAsk)
	return w.peer.add(t.Recv, w.buf)
}

func (w *twin) begin(recv model.Micros) {
	w.r.frames++
	w.buf = fmt.Appendf(w.buf[:0], `{"seq":%d,"recv_us":%d,"msg":`, w.r.frames, recv)
}

func (w *twin) end() error {
	_, err := w.ours.Write(append(w.buf, "}\n"...))
	return err
}

// writeMarkets writes the list of the markets for the import.
func writeMarkets(name string, records []*record) error {
	var all []*model.Market
	for _, r := range records {
		all = append(all, r.market)
	}
	return os.WriteFile(name, tape.Markets(all...), 0o644)
}
