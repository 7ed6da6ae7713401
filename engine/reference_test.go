package engine_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// The reference is written to be obviously right, not fast: encoding/json, maps, and numbers scaled digit by digit. It
// shares no code with what it checks.

const btcEth = "captures/lighter/ws-btc-eth-20251009.ndjson.gz"

type refLevel struct{ Price, Size string }

type refTrade struct {
	TradeID    uint64 `json:"trade_id"`
	TxHash     string `json:"tx_hash"`
	Type       string `json:"type"`
	Price      string `json:"price"`
	Size       string `json:"size"`
	USD        string `json:"usd_amount"`
	AskID      uint64 `json:"ask_id"`
	BidID      uint64 `json:"bid_id"`
	AskAccount uint64 `json:"ask_account_id"`
	BidAccount uint64 `json:"bid_account_id"`
	MakerAsk   bool   `json:"is_maker_ask"`
	Block      uint64 `json:"block_height"`
	Timestamp  int64  `json:"timestamp"`

	TakerBefore json.Number `json:"taker_position_size_before"`
	MakerBefore json.Number `json:"maker_position_size_before"`
}

type refFrame struct {
	Type      string `json:"type"`
	Channel   string `json:"channel"`
	Timestamp int64  `json:"timestamp"`
	Book      struct {
		Asks, Bids []refLevel
		Offset     uint64
	} `json:"order_book"`
	Trades       []refTrade `json:"trades"`
	Liquidations []refTrade `json:"liquidation_trades"`

	recv int64
}

func (f *refFrame) market(t testing.TB) int {
	t.Helper()
	_, id, _ := strings.Cut(f.Channel, ":")
	n, err := strconv.Atoi(id)
	if err != nil {
		t.Fatalf("channel %q: %v", f.Channel, err)
	}
	return n
}

// readReference reads every frame of a wrapped recording, in order.
func readReference(t testing.TB, path string) []refFrame {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var frames []refFrame
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var w struct {
			Recv int64           `json:"recv_us"`
			Msg  json.RawMessage `json:"msg"`
		}
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		var fr refFrame
		if err := json.Unmarshal(w.Msg, &fr); err != nil {
			t.Fatal(err)
		}
		fr.recv = w.Recv
		frames = append(frames, fr)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return frames
}

// refBook is a book as two maps from price to size, both as integers of a fixed number of decimals.
type refBook struct{ bids, asks map[int64]int64 }

// refScales are the decimals of the two recorded markets: ETH and BTC.
var refScales = map[int][2]int{0: {2, 4}, 1: {1, 5}}

func (b *refBook) apply(t testing.TB, f *refFrame) {
	t.Helper()
	if f.Type == "subscribed/order_book" {
		b.bids, b.asks = map[int64]int64{}, map[int64]int64{}
	}
	s := refScales[f.market(t)]
	put := func(side map[int64]int64, levels []refLevel) {
		for _, l := range levels {
			p, q := scaled(t, l.Price, s[0]), scaled(t, l.Size, s[1])
			if q == 0 {
				delete(side, p)
			} else {
				side[p] = q
			}
		}
	}
	put(b.bids, f.Book.Bids)
	put(b.asks, f.Book.Asks)
}

// scaled turns "12.3" with 2 decimals into 1230.
func scaled(t testing.TB, text string, decimals int) int64 {
	t.Helper()
	whole, frac, _ := strings.Cut(text, ".")
	if len(frac) > decimals {
		t.Fatalf("%q has more than %d decimals", text, decimals)
	}
	n, err := strconv.ParseInt(whole+frac+strings.Repeat("0", decimals-len(frac)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// equal fails the test where a view is not exactly the reference.
func (b *refBook) equal(t testing.TB, where string, v *book.View) {
	t.Helper()
	if v == nil {
		t.Fatalf("%s: no book", where)
	}
	for _, s := range []struct {
		side model.Side
		want map[int64]int64
	}{{model.Bid, b.bids}, {model.Ask, b.asks}} {
		if v.Len(s.side) != len(s.want) {
			t.Fatalf("%s: %d %s levels, want %d", where, v.Len(s.side), s.side, len(s.want))
		}
		for l := range v.Levels(s.side, 0) {
			if got, ok := s.want[int64(l.Price)]; !ok || got != int64(l.Size) {
				t.Fatalf("%s: %s %d is %d, want %d", where, s.side, l.Price, l.Size, got)
			}
		}
	}
}

// refTrades returns every trade of a market once, ascending by id.
func refTrades(t testing.TB, frames []refFrame, market int) []refTrade {
	t.Helper()
	seen := map[uint64]bool{}
	var out []refTrade
	for i := range frames {
		f := &frames[i]
		if !strings.HasPrefix(f.Channel, "trade:") || f.market(t) != market {
			continue
		}
		for _, tr := range append(slices.Clone(f.Trades), f.Liquidations...) {
			if !seen[tr.TradeID] {
				seen[tr.TradeID] = true
				out = append(out, tr)
			}
		}
	}
	slices.SortFunc(out, func(a, b refTrade) int {
		switch {
		case a.TradeID < b.TradeID:
			return -1
		case a.TradeID > b.TradeID:
			return 1
		}
		return 0
	})
	return out
}
