package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/num"
)

// tapeTrade is what a follower reads of a trade row.
type tapeTrade struct {
	ID          int64  `json:"trade_id"`
	Type        string `json:"type"`
	Market      int64  `json:"market_id"`
	Size        string `json:"size"`
	Price       string `json:"price"`
	Ask         int64  `json:"ask_account_id"`
	Bid         int64  `json:"bid_account_id"`
	MakerAsk    bool   `json:"is_maker_ask"`
	TakerSize   string `json:"taker_position_size_before"`
	MakerSize   string `json:"maker_position_size_before"`
	TakerEntry  string `json:"taker_entry_quote_before"`
	MakerEntry  string `json:"maker_entry_quote_before"`
	TakerSigned bool   `json:"taker_position_sign_changed"`
	MakerSigned bool   `json:"maker_position_sign_changed"`
}

// TestTapeTellsPositions follows every account from the trade stream alone: the position before each trade is the one
// after the trade before it, ids rise by one over the whole exchange, forced trades come in their own list, frames are
// newest first, and in the end each followed position is the ledger's.
func TestTapeTellsPositions(t *testing.T) {
	x := New(Options{Seed: 9, Markets: 8, Accounts: 400, Rate: 2500, Volatility: 40, Start: testStart})
	markets := map[int64]int{}
	all := x.Markets()
	for i, m := range all {
		markets[m.Native] = i
	}
	type key struct{ account, market int64 }
	after := map[key]int64{}
	last := x.lastID
	kinds := map[string]int{}
	follow := func(r *tapeTrade, account int64, before string, buys, signed bool) {
		m := all[markets[r.Market]]
		was, err1 := num.Parse([]byte(before), m.SizeScale)
		size, err2 := num.Parse([]byte(r.Size), m.SizeScale)
		if err1 != nil || err2 != nil {
			t.Fatalf("trade %d: %v %v", r.ID, err1, err2)
		}
		k := key{account, r.Market}
		if held, ok := after[k]; ok && held != was {
			t.Fatalf("trade %d: account %d had %d before, the tape left it with %d", r.ID, account, was, held)
		}
		if !buys {
			size = -size
		}
		if (sign(was) != sign(was+size)) != signed {
			t.Fatalf("trade %d: sign changed %v from %d to %d", r.ID, signed, was, was+size)
		}
		after[k] = was + size
	}
	x.Tap(func(channel string, frame []byte) {
		if !strings.HasPrefix(channel, "trade:") {
			return
		}
		var f struct {
			Trades []tapeTrade `json:"trades"`
			Forced []tapeTrade `json:"liquidation_trades"`
		}
		if err := json.Unmarshal(frame, &f); err != nil {
			t.Fatal(err)
		}
		for i, list := range [2][]tapeTrade{f.Trades, f.Forced} {
			for k := len(list) - 1; k >= 0; k-- {
				r := &list[k]
				if last++; r.ID != last || (r.Type == "trade") != (i == 0) {
					t.Fatalf("%s: trade %d of type %s in list %d, expected %d", channel, r.ID, r.Type, i, last)
				}
				kinds[r.Type]++
				taker, maker := r.Ask, r.Bid
				if r.MakerAsk {
					taker, maker = maker, taker
				}
				follow(r, taker, r.TakerSize, r.MakerAsk, r.TakerSigned)
				follow(r, maker, r.MakerSize, !r.MakerAsk, r.MakerSigned)
			}
		}
	})
	x.AdvanceBy(inSoak(40*time.Second, 15*time.Second))
	if kinds["trade"] < 500 || kinds["liquidation"] < 5 {
		t.Errorf("too little happened: %v", kinds)
	}
	checked := 0
	for _, a := range x.Ledger(false) {
		for _, p := range a.Positions {
			if size, ok := after[key{a.Index, p.Market}]; ok {
				checked++
				if size != int64(p.Size) {
					t.Errorf("account %d market %d: %d by the tape, %d in the ledger", a.Index, p.Market, size, p.Size)
				}
			}
		}
	}
	if checked != len(after) {
		t.Errorf("%d positions followed, %d in the ledger", len(after), checked)
	}
}

// TestAccountStream follows a maker's account while it trades: trades come first, positions next, as recorded.
func TestAccountStream(t *testing.T) {
	x := New(Options{Seed: 4, Markets: 2, Accounts: 50, Rate: 3000})
	maker := x.markets[0].makers[0].index
	c := dial(t, serve(t, x, ServeOptions{}))
	c.read()
	c.subscribe(fmt.Sprintf("account_all/%d", maker))
	first := c.read()
	if kind(first) != "subscribed/account_all" || !strings.Contains(first, `"total_trades_count":`) {
		t.Fatalf("%.200s", first)
	}
	for range 3 {
		var f struct {
			Trades    map[string][]tapeTrade     `json:"trades"`
			Positions map[string]json.RawMessage `json:"positions"`
		}
		if err := json.Unmarshal([]byte(c.read()), &f); err != nil {
			t.Fatal(err)
		}
		if len(f.Trades) == 0 || len(f.Positions) != 0 {
			t.Fatalf("first frame: %d markets with trades, %d positions", len(f.Trades), len(f.Positions))
		}
		for _, list := range f.Trades {
			for _, r := range list {
				if r.Ask != maker && r.Bid != maker {
					t.Errorf("trade %d is not the account's", r.ID)
				}
			}
		}
		f.Trades = nil
		if err := json.Unmarshal([]byte(c.read()), &f); err != nil {
			t.Fatal(err)
		}
		if len(f.Trades) != 0 || len(f.Positions) == 0 {
			t.Fatalf("second frame: %d markets with trades, %d positions", len(f.Trades), len(f.Positions))
		}
	}
}
