package record

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// anyTrade draws a trade with plausible and with extreme members.
func anyTrade(t *rapid.T) model.Trade {
	i64 := rapid.OneOf(rapid.Int64Range(-1000, 1000), rapid.Int64Range(0, 1<<45), rapid.Int64())
	u64 := rapid.OneOf(rapid.Uint64Range(0, 1000), rapid.Uint64Range(1<<48, 1<<48+1<<20), rapid.Uint64())
	before := func() model.PositionBefore {
		return model.PositionBefore{Known: rapid.Bool().Draw(t, "known"), Size: num.Size(i64.Draw(t, "size")),
			EntryQuote: num.USD(i64.Draw(t, "quote")), InitialMargin: rapid.Int32().Draw(t, "margin")}
	}
	tr := model.Trade{
		ID: u64.Draw(t, "id"), Time: model.Millis(i64.Draw(t, "time")), Recv: model.Micros(i64.Draw(t, "recv")),
		Epoch: 3, Kind: model.TradeKind(rapid.Uint8().Draw(t, "kind")), MakerAsk: rapid.Bool().Draw(t, "maker ask"),
		Price: num.Price(i64.Draw(t, "price")), Size: num.Size(i64.Draw(t, "size")), USD: num.USD(i64.Draw(t, "usd")),
		AskOrder: u64.Draw(t, "ask"), BidOrder: u64.Draw(t, "bid"),
		AskAccount: model.AccountID(u64.Draw(t, "ask account")), BidAccount: model.AccountID(u64.Draw(t, "bid account")),
		Block: u64.Draw(t, "block"),
		TxHash: rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[0-9a-f]{32}0{48}`), rapid.StringMatching(`[0-9a-f]{0,80}0*`),
			rapid.Just("00"), rapid.String()).Draw(t, "hash"),
		TransactionTime: model.Micros(i64.Draw(t, "transaction time")),
		AskClient:       u64.Draw(t, "ask client"), BidClient: u64.Draw(t, "bid client"),
		TakerFee: rapid.Int32().Draw(t, "taker fee"), MakerFee: rapid.Int32().Draw(t, "maker fee"),
		TakerBefore: before(), MakerBefore: before(),
		TakerSignChanged: rapid.Bool().Draw(t, "taker sign"), MakerSignChanged: rapid.Bool().Draw(t, "maker sign"),
		HasClients: rapid.Bool().Draw(t, "has clients"), Extra: rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "extra"),
	}
	if rapid.Bool().Draw(t, "product") {
		tr.USD = num.USD(int64(tr.Price) * int64(tr.Size))
	}
	return tr
}

// only keeps the members of the wanted groups.
func only(t model.Trade, want Columns) model.Trade {
	out := model.Trade{Epoch: t.Epoch}
	if want&Core != 0 {
		out = t
		out.TxHash, out.Extra = "", ""
		out.TransactionTime, out.AskClient, out.BidClient, out.TakerFee, out.MakerFee = 0, 0, 0, 0, 0
		out.TakerBefore, out.MakerBefore = model.PositionBefore{}, model.PositionBefore{}
		out.TakerSignChanged, out.MakerSignChanged, out.HasClients = false, false, false
	}
	if want&Hash != 0 {
		out.TxHash = t.TxHash
	}
	if want&Rest != 0 {
		out.Extra, out.TransactionTime, out.AskClient, out.BidClient = t.Extra, t.TransactionTime, t.AskClient, t.BidClient
		out.TakerFee, out.MakerFee, out.TakerBefore, out.MakerBefore = t.TakerFee, t.MakerFee, t.TakerBefore, t.MakerBefore
		out.TakerSignChanged, out.MakerSignChanged, out.HasClients = t.TakerSignChanged, t.MakerSignChanged, t.HasClients
	}
	return out
}

func checkTrades(t testing.TB, b []byte, rows []model.Trade, epoch uint8) {
	t.Helper()
	h, err := TradeHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	want := Header{Epoch: epoch, Trades: uint32(len(rows))}
	for i, r := range rows {
		if i == 0 {
			want.First, want.Last = int64(r.Time), int64(r.Time)
		}
		want.First, want.Last = min(want.First, int64(r.Time)), max(want.Last, int64(r.Time))
	}
	if h != want {
		t.Fatalf("header is %+v, want %+v", h, want)
	}
	checkPrices(t, b, rows)
	kept := []model.Trade{{ID: 42}}
	for c := Columns(0); c <= All; c++ {
		got, err := DecodeTrades(kept[:1:1], b, c)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1+len(rows) || got[0].ID != 42 {
			t.Fatalf("%d rows came back of %d", len(got)-1, len(rows))
		}
		for i := range rows {
			if want := only(rows[i], c); got[i+1] != want {
				t.Fatalf("columns %b, row %d:\n got %+v\nwant %+v", c, i, got[i+1], want)
			}
		}
	}
}

func TestTradesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(anyTrade), 0, 30).Draw(t, "rows")
		for i := range rows {
			if i > 0 && rapid.Bool().Draw(t, "repeat") {
				rows[i].TxHash, rows[i].Time, rows[i].Recv, rows[i].Block = rows[i-1].TxHash, rows[i-1].Time, rows[i-1].Recv, rows[i-1].Block
			}
		}
		checkTradesRapid(t, AppendTradeBlock(nil, 3, rows), rows)
		checkTradesRapid(t, AppendTradeSegment([]byte("before"), 3, rows)[6:], rows)
	})
}

func checkTradesRapid(t *rapid.T, b []byte, rows []model.Trade) {
	checkPrices(t, b, rows)
	for c := Columns(0); c <= All; c++ {
		got, err := DecodeTrades(nil, b, c)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]model.Trade, 0, len(rows))
		for _, r := range rows {
			want = append(want, only(r, c))
		}
		if len(rows) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("columns %b:\n got %+v\nwant %+v", c, got, want)
		}
	}
}

func TestTradesOfTheRecording(t *testing.T) {
	for id, r := range loadRecording(t, "ws-btc-eth-20251009.ndjson.gz") {
		if len(r.Trades) == 0 {
			continue
		}
		checkTrades(t, AppendTradeSegment(nil, 0, r.Trades), r.Trades, 0)
		checkTrades(t, AppendTradeBlock(nil, 0, r.Trades), r.Trades, 0)
		var size [2][groups]float64
		for form, encode := range []func([]byte, uint8, []model.Trade) []byte{AppendTradeBlock, AppendTradeSegment} {
			_, _, h, err := openTrades(encode(nil, 0, r.Trades))
			if err != nil {
				t.Fatal(err)
			}
			for g := range groups {
				size[form][g] = float64(len(h.bytes(h.uvarint()>>1))) / float64(len(r.Trades))
			}
		}
		t.Logf("market %d: %d trades; bytes of core, hashes, rest each: hot %.1f, sealed %.1f", id, len(r.Trades), size[0], size[1])
	}
}

func TestTradeVersions(t *testing.T) {
	b := AppendTradeBlock(nil, 0, []model.Trade{{ID: 1}})
	b[0] = 2
	if _, err := DecodeTrades(nil, b, All); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v", err)
	}
	if _, err := TradeHeader(b); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v", err)
	}
	if _, err := DecodeTrades(nil, nil, All); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}
