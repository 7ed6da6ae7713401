package risk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func decimal(t testing.TB, text string) num.Decimal {
	t.Helper()
	d, err := num.ParseDecimal([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return d
}

func usd(t testing.TB, text string) num.USD {
	t.Helper()
	v, err := num.Parse([]byte(text), num.USDScale)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return num.USD(v)
}

// perp is a market with the decimals of the recordings.
func perp(id model.MarketID, priceScale, sizeScale uint8, initial, maintenance, closeOut int32) *model.Market {
	return &model.Market{
		ID: id, PriceScale: priceScale, SizeScale: sizeScale, Scales: []model.Scale{{Price: priceScale, Size: sizeScale}},
		DefaultInitialMargin: initial, MinInitialMargin: min(initial, 200), MaintenanceMargin: maintenance, CloseOutMargin: closeOut,
	}
}

func one(m *model.Market, mark num.Decimal) func(model.MarketID) (Market, bool) {
	return func(id model.MarketID) (Market, bool) { return Market{Info: m, Mark: mark}, id == m.ID }
}

// recording reads a recorded answer of the venue.
func recording(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("HYPERLIGHT_RECORDINGS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	body, err := os.ReadFile(filepath.Join(dir, "lighter", "rest", name))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("no recordings: %v", err)
	}
	return body
}

// The venue's own account: its liquidation price comes out to every digit that it printed.
func TestLiquidationPriceOfTheVenue(t *testing.T) {
	body := recording(t, "account-position-ETH-long-testnet-2025-11.json")
	var raw struct {
		Accounts []struct {
			Collateral string `json:"collateral"`
			TotalValue string `json:"total_asset_value"`
			Positions  []struct {
				Position  string `json:"position"`
				Value     string `json:"position_value"`
				Profit    string `json:"unrealized_pnl"`
				Liquidate string `json:"liquidation_price"`
			} `json:"positions"`
		} `json:"accounts"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		t.Fatal(err)
	}
	told := raw.Accounts[0]
	p := told.Positions[0]
	size, err := num.Parse([]byte(p.Position), 4)
	if err != nil {
		t.Fatal(err)
	}
	profit := usd(t, p.Profit)
	a := &model.Account{Collateral: usd(t, told.Collateral), Positions: []model.Position{{
		Size: num.Size(size), Entry: usd(t, p.Value) - profit, Initial: 500,
	}}}
	s := Assess(a, one(perp(0, 2, 4, 500, 120, 80), decimal(t, "3013.80")))
	e := &s.Exposures[0]
	if e.Notional != usd(t, p.Value) || e.Profit != profit {
		t.Errorf("value %d and profit %d, the venue tells %s and %s", e.Notional, e.Profit, p.Value, p.Profit)
	}
	if want := usd(t, "15298.072264"); s.Cross.Value != want { // the venue prints 15298.072264000002
		t.Errorf("account value %d, want %d", s.Cross.Value, want)
	}
	// The venue computes in binary floats and prints some 17 digits: 13 decimals here.
	if got := e.exactLiquidationPrice().FloatString(len(p.Liquidate) - len("2191.")); got != p.Liquidate {
		t.Errorf("liquidation price %s, the venue tells %s", got, p.Liquidate)
	}
	if got, _ := e.LiquidationPrice(); got.String() != "2191.11072314" {
		t.Errorf("liquidation price %s, want 2191.11072314", got)
	}
	if s.State != Healthy {
		t.Errorf("state %s", s.State)
	}
}

// The contract's example: value 1,000, two at mark 3,000, maintenance 3 %.
func TestContractExample(t *testing.T) {
	m := perp(0, 2, 4, 1000, 300, 200)
	for _, c := range []struct {
		size  num.Size
		price string
	}{{2_0000, "2577.31958763"}, {-2_0000, "3398.05825243"}} {
		a := &model.Account{Collateral: usd(t, "1000"), Positions: []model.Position{{Size: c.size, Entry: usd(t, "6000")}}}
		s := Assess(a, one(m, decimal(t, "3000")))
		want := [4]num.USD{usd(t, "1000"), usd(t, "600"), usd(t, "180"), usd(t, "120")}
		if got := [4]num.USD{s.Account.Value, s.Account.Initial, s.Account.Maintenance, s.Account.CloseOut}; got != want {
			t.Errorf("value and requirements %v, want %v", got, want)
		}
		if got, ok := s.Exposures[0].LiquidationPrice(); !ok || got.String() != c.price {
			t.Errorf("liquidation price %s, want %s", got, c.price)
		}
	}
}

func TestStates(t *testing.T) {
	m := perp(0, 2, 4, 1000, 300, 200)
	for _, c := range []struct {
		collateral string
		want       State
	}{
		{"600", Healthy}, {"599.999999", PreLiquidation}, {"180", PreLiquidation}, {"179.999999", PartialLiquidation},
		{"120", PartialLiquidation}, {"119.999999", FullLiquidation}, {"-1", FullLiquidation},
	} {
		a := &model.Account{Collateral: usd(t, c.collateral), Positions: []model.Position{{Size: 2_0000, Entry: usd(t, "6000")}}}
		if got := Assess(a, one(m, decimal(t, "3000"))).State; got != c.want {
			t.Errorf("collateral %s: %s, want %s", c.collateral, got, c.want)
		}
	}
	flat := &model.Account{Collateral: usd(t, "-5"), Positions: []model.Position{{Size: 0}}}
	if got := Assess(flat, one(m, decimal(t, "3000"))).State; got != Healthy {
		t.Errorf("without a position: %s", got)
	}
}

// An isolated position lives of its own margin, and takes nothing of the cross account's.
func TestIsolated(t *testing.T) {
	m := perp(0, 2, 4, 1000, 300, 200)
	a := &model.Account{Collateral: usd(t, "100000"), Positions: []model.Position{
		{Size: 2_0000, Entry: usd(t, "6000"), Isolated: true, Allocated: usd(t, "150")},
	}}
	s := Assess(a, one(m, decimal(t, "3000")))
	if s.State != PartialLiquidation || s.Cross.Exposed {
		t.Errorf("state %s, cross exposed %v", s.State, s.Cross.Exposed)
	}
	alone := Assess(&model.Account{Collateral: usd(t, "150"), Positions: []model.Position{{Size: 2_0000, Entry: usd(t, "6000")}}},
		one(m, decimal(t, "3000")))
	got, _ := s.Exposures[0].LiquidationPrice()
	if want, _ := alone.Exposures[0].LiquidationPrice(); got != want {
		t.Errorf("isolated %s, as an account of its own %s", got, want)
	}
	if want := usd(t, "100150"); s.Account.Value != want {
		t.Errorf("account value %d, want %d", s.Account.Value, want)
	}
}

// What cannot be valued is counted, and in no sum.
func TestUnknownMarkets(t *testing.T) {
	m := perp(0, 2, 4, 1000, 300, 200)
	a := &model.Account{Collateral: usd(t, "10"), Positions: []model.Position{
		{Market: 0, Size: 1_0000, Entry: usd(t, "3000")}, {Market: 7, Size: 1}, {Market: 8},
	}}
	s := Assess(a, one(m, decimal(t, "3000")))
	if s.Unknown != 1 || len(s.Exposures) != 1 {
		t.Errorf("%d unknown, %d exposures", s.Unknown, len(s.Exposures))
	}
	if s := Assess(a, one(m, num.Decimal{})); s.Unknown != 2 || s.Account.Exposed {
		t.Errorf("without a mark: %d unknown", s.Unknown)
	}
}

// The book of a market that just got more digits meets a map of before: a cascade is computed all the same.
func TestCascadeIntoFinerBook(t *testing.T) {
	m := NewMap(1, []Entry{{Price: 95, Size: 20, Notional: 190, Long: true}})
	book := Levels{Levels: []model.Level{{Price: 90, Size: 104}, {Price: 80, Size: 5000}}, PriceScale: PriceScale, SizeScale: 2}
	c, err := m.Cascade(100, 92, book, 5)
	if err != nil {
		t.Fatal(err)
	}
	if c.Final != 80 || c.Closed.Size != 20 || c.Exhausted {
		t.Errorf("%+v", c)
	}
}
