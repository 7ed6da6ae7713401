package ws

import (
	"encoding/json"
	"testing"

	"hyperlight/bench"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// plainBook and plainTrade are the frames as one declares them for the standard library; numbers are strings already.
type (
	plainBook struct {
		Type    string `json:"type"`
		Channel string `json:"channel"`
		Book    struct {
			Code   int         `json:"code"`
			Asks   []levelJSON `json:"asks"`
			Bids   []levelJSON `json:"bids"`
			Nonce  uint64      `json:"nonce"`
			Begin  uint64      `json:"begin_nonce"`
			Offset uint64      `json:"offset"`
		} `json:"order_book"`
		Snapshot  bool   `json:"snapshot"`
		Seq       uint64 `json:"seq"`
		Timestamp int64  `json:"timestamp"`
	}
	plainTrade struct {
		Type      string          `json:"type"`
		Channel   string          `json:"channel"`
		Trade     plainTradeInner `json:"trade"`
		Seq       uint64          `json:"seq"`
		Timestamp int64           `json:"timestamp"`
	}
	plainTradeInner struct {
		ID       uint64 `json:"trade_id"`
		Hash     string `json:"tx_hash"`
		Type     string `json:"type"`
		Market   int64  `json:"market_id"`
		Price    string `json:"price"`
		Size     string `json:"size"`
		USD      string `json:"usd_amount"`
		Ask      uint64 `json:"ask_id"`
		AskStr   string `json:"ask_id_str"`
		Bid      uint64 `json:"bid_id"`
		BidStr   string `json:"bid_id_str"`
		AskAcc   uint64 `json:"ask_account_id"`
		BidAcc   uint64 `json:"bid_account_id"`
		MakerAsk bool   `json:"is_maker_ask"`
		Block    uint64 `json:"block_height"`
		Time     int64  `json:"timestamp"`
	}
)

// BenchmarkEncodeRatio compares the frames with encoding/json, whose structs were filled beforehand, and with copying the
// ready bytes, which no encoder can reach.
func BenchmarkEncodeRatio(b *testing.B) {
	m := testMarketList[0]
	u := &model.BookUpdate{Prev: 18032384126, Seq: 18032384612, Offset: 415809}
	pb := plainBook{Type: "order_book_update", Channel: "order_book/0", Seq: 991, Timestamp: 1760000000123}
	pb.Book.Nonce, pb.Book.Begin, pb.Book.Offset = u.Seq, u.Prev, u.Offset
	for i := range 3 {
		bid, ask := model.Level{Price: num.Price(433_210 - i), Size: num.Size(15_000 + i)}, model.Level{Price: num.Price(433_211 + i), Size: num.Size(i * 7000)}
		u.Bids, u.Asks = append(u.Bids, bid), append(u.Asks, ask)
		text := func(l model.Level) levelJSON {
			return levelJSON{string(num.Append(nil, int64(l.Price), 2)), string(num.Append(nil, int64(l.Size), 4))}
		}
		pb.Book.Bids, pb.Book.Asks = append(pb.Book.Bids, text(bid)), append(pb.Book.Asks, text(ask))
	}
	t := &model.Trade{ID: 1_000_000_000, Time: 1760000000123, Price: 433_210, Size: 25000, USD: 10_830_250_000, AskAccount: 42, BidAccount: 99,
		AskOrder: 281476000000001, BidOrder: 281476000000002, TxHash: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Block: 7}
	pt := plainTrade{Type: "trade_update", Channel: "trade/0", Seq: 991, Timestamp: 1760000000123, Trade: plainTradeInner{ID: t.ID, Hash: t.TxHash,
		Type: "trade", Price: "4332.10", Size: "2.5000", USD: "10830.250000", Ask: t.AskOrder, AskStr: "281476000000001", Bid: t.BidOrder,
		BidStr: "281476000000002", AskAcc: 42, BidAcc: 99, Block: 7, Time: int64(t.Time)}}
	for _, c := range []struct {
		name   string
		encode func(dst []byte) []byte
		plain  any
	}{
		{"book", func(dst []byte) []byte {
			dst, _ = appendBookFrame(dst, "order_book/0", m, bookFrame{update: u, seq: 991, at: 1760000000123})
			return dst
		}, &pb},
		{"trade", func(dst []byte) []byte {
			dst, _ = appendTradeFrame(dst, "trade/0", m, tradeFrame{trade: t, seq: 991, at: 1760000000123})
			return dst
		}, &pt},
	} {
		ready := c.encode(nil)
		dst := make([]byte, 0, 2*len(ready))
		ours := bench.Times(64, func() { dst = c.encode(dst[:0]) })
		b.Run(c.name+"/json", func(b *testing.B) {
			bench.Compare(b, "frames", bench.Times(64, func() {
				if _, err := json.Marshal(c.plain); err != nil {
					b.Fatal(err)
				}
			}), ours)
		})
		b.Run(c.name+"/copy", func(b *testing.B) {
			bench.Compare(b, "frames", bench.Times(64, func() { dst = append(dst[:0], ready...) }), ours)
		})
	}
}
