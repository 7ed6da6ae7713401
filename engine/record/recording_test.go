package record

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// recording is what a real recording holds of one market.
type recording struct {
	Trades  []model.Trade // as first seen, ascending by (time, id)
	Updates []BookRow
}

// scales of the recorded markets: price, size.
var recordedScales = map[int][2]uint8{0: {2, 4}, 1: {1, 5}, 24: {4, 2}}

// loadRecording reads a recording with the standard library's JSON parser: slow, but nothing of ours.
func loadRecording(t testing.TB, name string) map[int]*recording {
	t.Helper()
	f, err := os.Open(feedtest.Recording(t, "captures/lighter/"+name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]*recording{}
	seen := map[uint64]bool{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		addFrame(t, out, seen, lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for _, r := range out {
		slices.SortFunc(r.Trades, func(a, b model.Trade) int {
			if a.Time != b.Time {
				return int(a.Time - b.Time)
			}
			return int(a.ID) - int(b.ID)
		})
	}
	return out
}

type wrapped struct {
	Recv int64           `json:"recv_us"`
	Msg  json.RawMessage `json:"msg"`
}

type frame struct {
	Channel   string  `json:"channel"`
	Type      string  `json:"type"`
	Timestamp int64   `json:"timestamp"`
	Updated   int64   `json:"last_updated_at"`
	Book      *ladder `json:"order_book"`
	Trades    []trade `json:"trades"`
	Forced    []trade `json:"liquidation_trades"`
}

type ladder struct {
	Bids, Asks []struct{ Price, Size string }
	Offset     uint64 `json:"offset"`
	Nonce      uint64 `json:"nonce"`
	Begin      uint64 `json:"begin_nonce"`
}

type trade struct {
	ID         uint64 `json:"trade_id"`
	Hash       string `json:"tx_hash"`
	Type       string `json:"type"`
	Market     int    `json:"market_id"`
	Size       string `json:"size"`
	Price      string `json:"price"`
	USD        string `json:"usd_amount"`
	Ask        uint64 `json:"ask_id"`
	Bid        uint64 `json:"bid_id"`
	AskAccount uint64 `json:"ask_account_id"`
	BidAccount uint64 `json:"bid_account_id"`
	MakerAsk   bool   `json:"is_maker_ask"`
	Block      uint64 `json:"block_height"`
	Time       int64  `json:"timestamp"`
	TakerFee   int32  `json:"taker_fee"`
	MakerFee   int32  `json:"maker_fee"`
	TakerSize  string `json:"taker_position_size_before"`
	TakerQuote string `json:"taker_entry_quote_before"`
	TakerIMF   int32  `json:"taker_initial_margin_fraction_before"`
	TakerSign  bool   `json:"taker_position_sign_changed"`
	MakerSize  string `json:"maker_position_size_before"`
	MakerQuote string `json:"maker_entry_quote_before"`
	MakerIMF   int32  `json:"maker_initial_margin_fraction_before"`
	MakerSign  bool   `json:"maker_position_sign_changed"`
}

func parse(t testing.TB, s string, scale uint8) int64 {
	t.Helper()
	if s == "" {
		return 0
	}
	v, err := num.Parse([]byte(s), scale)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return v
}

func addFrame(t testing.TB, out map[int]*recording, seen map[uint64]bool, line []byte) {
	var w wrapped
	if err := json.Unmarshal(line, &w); err != nil {
		t.Fatal(err)
	}
	if w.Msg == nil {
		w.Msg = line
	}
	var f frame
	if err := json.Unmarshal(w.Msg, &f); err != nil {
		t.Fatal(err)
	}
	if w.Recv == 0 {
		w.Recv = f.Timestamp * 1000
	}
	market := func(id int) *recording {
		if out[id] == nil {
			out[id] = &recording{}
		}
		return out[id]
	}
	for _, list := range [][]trade{f.Trades, f.Forced} {
		for i := range list {
			if r := &list[i]; !seen[r.ID] {
				seen[r.ID] = true
				m := market(r.Market)
				m.Trades = append(m.Trades, r.model(t, w.Recv))
			}
		}
	}
	if b := f.Book; b != nil {
		var id int
		if err := json.Unmarshal([]byte(f.Channel[len("order_book:"):]), &id); err != nil {
			t.Fatal(err)
		}
		m := market(id)
		m.Updates = append(m.Updates, b.row(t, &f, id, w.Recv))
	}
}

func (r *trade) model(t testing.TB, recv int64) model.Trade {
	ps, ss := recordedScales[r.Market][0], recordedScales[r.Market][1]
	return model.Trade{
		ID: r.ID, Time: model.Millis(r.Time), Recv: model.Micros(recv), Kind: model.ParseTradeKind(r.Type), MakerAsk: r.MakerAsk,
		Price: num.Price(parse(t, r.Price, ps)), Size: num.Size(parse(t, r.Size, ss)), USD: num.USD(parse(t, r.USD, 6)),
		AskOrder: r.Ask, BidOrder: r.Bid, AskAccount: model.AccountID(r.AskAccount), BidAccount: model.AccountID(r.BidAccount),
		Block: r.Block, TxHash: r.Hash, TakerFee: r.TakerFee, MakerFee: r.MakerFee,
		TakerSignChanged: r.TakerSign, MakerSignChanged: r.MakerSign,
		TakerBefore: model.PositionBefore{Known: r.TakerSize != "", Size: num.Size(parse(t, r.TakerSize, ss)),
			EntryQuote: num.USD(parse(t, r.TakerQuote, 6)), InitialMargin: r.TakerIMF},
		MakerBefore: model.PositionBefore{Known: r.MakerSize != "", Size: num.Size(parse(t, r.MakerSize, ss)),
			EntryQuote: num.USD(parse(t, r.MakerQuote, 6)), InitialMargin: r.MakerIMF},
	}
}

func (b *ladder) row(t testing.TB, f *frame, id int, recv int64) BookRow {
	ps, ss := recordedScales[id][0], recordedScales[id][1]
	u := model.BookUpdate{Snapshot: f.Type == "subscribed/order_book", Offset: b.Offset, UpdatedAt: model.Micros(f.Updated)}
	if u.Chained = b.Nonce != 0; u.Chained {
		u.Prev, u.Seq = b.Begin, b.Nonce
	} else {
		u.Prev, u.Seq = b.Offset-1, b.Offset
	}
	for _, l := range b.Bids {
		u.Bids = append(u.Bids, model.Level{Price: num.Price(parse(t, l.Price, ps)), Size: num.Size(parse(t, l.Size, ss))})
	}
	for _, l := range b.Asks {
		u.Asks = append(u.Asks, model.Level{Price: num.Price(parse(t, l.Price, ps)), Size: num.Size(parse(t, l.Size, ss))})
	}
	return BookRow{Update: u, Time: model.Millis(f.Timestamp), Recv: model.Micros(recv)}
}
