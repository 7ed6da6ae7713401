package lighter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
	"hyperlight/engine/num"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

func usd(t testing.TB, s string) num.USD {
	m, err := num.Parse([]byte(s), num.USDScale)
	if err != nil {
		t.Fatal(err)
	}
	return num.USD(m)
}

// TestRecordedAccounts reads what the venue answered, to the last digit.
func TestRecordedAccounts(t *testing.T) {
	accounts, next, err := ParseAccounts(fixture(t, "account-position-ETH-long-testnet-2025-11.json"), newMarkets())
	if err != nil || len(accounts) != 1 || next != "" {
		t.Fatalf("%d accounts, next %q, %v", len(accounts), next, err)
	}
	a := accounts[0]
	if a.ID != 1077 || a.Index != 1077 || fmt.Sprintf("%x", a.Address) != "15f43d1f2dee81424afd891943262aa90f22cc2a" || a.Status != 1 || a.Type != 0 {
		t.Errorf("account is %+v", a)
	}
	if a.Collateral != usd(t, "9100.242706") || a.Available != usd(t, "12582.743947") {
		t.Errorf("collateral %d, available %d", a.Collateral, a.Available)
	}
	if a.TotalValue != usd(t, "15298.072264") || a.CrossValue != a.TotalValue { // told as 15298.072264000002
		t.Errorf("total %d, cross %d", a.TotalValue, a.CrossValue)
	}
	if len(a.Positions) != 1 {
		t.Fatalf("%d positions", len(a.Positions))
	}
	p := a.Positions[0]
	if p.Size != 180193 || p.Initial != 500 || p.Isolated || p.Liquidation.String() != "2191.1107231380406" {
		t.Errorf("position is %+v", p)
	}
	// The average price times the size would be 48108.647912: the value at the mark less the profit is exact.
	if p.Entry != usd(t, "48108.736782") {
		t.Errorf("entry value %d", p.Entry)
	}

	accounts, _, err = ParseAccounts(fixture(t, "account-index1-2026-07-26.json"), newMarkets())
	if err != nil || len(accounts) != 1 || accounts[0].Index != 1 || accounts[0].Address != (model.Address{}) || len(accounts[0].Positions) != 0 {
		t.Errorf("accounts %+v, %v", accounts, err)
	}
}

// TestRecordedAccountFrames follows the recorded channel of an account that opens a short position and closes it.
func TestRecordedAccountFrames(t *testing.T) {
	file := filepath.Join(feedtest.Recording(t, ""), "lighter", "ws", "mainnet-account_all-225671-2025-10-12.jsonl")
	d := Dialect{Resolver: newMarkets(), Accounts: true}.NewDecoder()
	var told []string
	for _, frame := range recordedFrames(t, file) {
		err := d.Decode(frame, 1, func(e *model.Event) error {
			u, ok := e.Payload.(*model.AccountUpdate)
			if !ok || u.Account != 225671 || e.Market != model.NoMarket {
				t.Fatalf("event %+v", e)
			}
			for _, p := range u.Positions {
				told = append(told, fmt.Sprintf("%v %d %d %d %d", u.Whole, p.Market, p.Size, p.Entry, p.Initial))
			}
			return nil
		})
		if f := d.Last(); err != nil || f.Kind != feed.FrameAccount || f.Channel != (feed.Channel{Family: feed.FamilyAccount, Native: 225671}) {
			t.Fatalf("%+v, %v", f, err)
		}
	}
	want := "true 24 0 0 2000|false 24 -100 40134200 2000|false 24 0 0 2000"
	if got := strings.Join(told, "|"); got != want {
		t.Errorf("told %s\nwant %s", got, want)
	}
	// Without being told to, a decoder takes them for frames that the engine has no use for.
	plain := NewDecoder(newMarkets())
	err := plain.Decode(recordedFrames(t, file)[0], 1, func(*model.Event) error { return errors.New("emitted") })
	if f := plain.Last(); err != nil || f.Kind != feed.FrameUnknown || f.Channel != (feed.Channel{}) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAccountPositions(t *testing.T) {
	const row = `{"market_id":%s,"symbol":"X","initial_margin_fraction":"%s","sign":%d,"position":"%s","avg_entry_price":"%s","position_value":"%s","unrealized_pnl":"%s","liquidation_price":"%s","margin_mode":%d,"allocated_margin":"%s","total_funding_paid_out":"-1.25","realized_pnl":"-0.5"}`
	body := func(rows ...string) []byte {
		return []byte(`{"code":200,"accounts":[{"account_index":7,"collateral":"10","positions":[` + strings.Join(rows, ",") + `]}]}`)
	}
	for name, c := range map[string]struct {
		row  string
		want string
	}{
		"short":              {fmt.Sprintf(row, "0", "10.00", -1, "2.0000", "100.00", "190.00", "10.0", "250.5", 0, "0"), "0 -20000 200000000 1000 false 0 250.5"},
		"isolated":           {fmt.Sprintf(row, "0", "33.33", 1, "2.0000", "100.00", "190.00", "-10.0", "0", 1, "55.5"), "0 20000 200000000 3333 true 55500000 0"},
		"profit contradicts": {fmt.Sprintf(row, "0", "5", 1, "2.0000", "100.00", "190.00", "70", "", 0, "0"), "0 20000 200000000 500 false 0 0"},
		"no value":           {fmt.Sprintf(row, "0", "5", 1, "2.0000", "100.01", "", "", "", 0, "0"), "0 20000 200020000 500 false 0 0"},
		"negative price":     {fmt.Sprintf(row, "0", "5", 1, "2.0000", "100.00", "200", "0", "-3.1", 0, "0"), "0 20000 200000000 500 false 0 0"},
		"flat":               {fmt.Sprintf(row, "0", "5", -1, "0.0000", "0.00", "-0.000000", "0", "", 0, "0"), "0 0 0 500 false 0 0"},
	} {
		accounts, _, err := ParseAccounts(body(c.row), newMarkets())
		if err != nil || len(accounts) != 1 || len(accounts[0].Positions) != 1 {
			t.Errorf("%s: %+v, %v", name, accounts, err)
			continue
		}
		p := accounts[0].Positions[0]
		got := fmt.Sprintf("%d %d %d %d %v %d %s", p.Market, p.Size, p.Entry, p.Initial, p.Isolated, p.Allocated, p.Liquidation)
		if got != c.want || p.FundingPaid != -1_250_000 || p.Realized != -500_000 {
			t.Errorf("%s: %s (funding %d, realised %d), want %s", name, got, p.FundingPaid, p.Realized, c.want)
		}
	}
	flat := func(market, size string) string {
		return fmt.Sprintf(row, market, "5", 1, size, "1", "", "", "", 0, "0")
	}
	// A market that nobody knows is left out; a size that would lose digits refuses the account.
	accounts, _, err := ParseAccounts(body(flat("99", "1"), flat("24", "1.00"), flat("1", "0.5")), newMarkets())
	if err != nil || len(accounts[0].Positions) != 2 || accounts[0].Positions[0].Market != 1 || accounts[0].Positions[1].Market != 24 {
		t.Errorf("%+v, %v", accounts, err)
	}
	for _, bad := range []string{flat("24", "1.001"), flat("24", "x"), flat("-1", "1"), flat("24", "1e99"), strings.Replace(flat("24", "1"), `"5"`, `"-5"`, 1)} {
		if _, _, err := ParseAccounts(body(bad), newMarkets()); !errors.Is(err, feed.ErrUpstream) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	learning := newMarkets()
	learning.learn = true
	accounts, _, err = ParseAccounts(body(flat("24", "1.001")), learning)
	if err != nil || accounts[0].Positions[0].Size != 1001 {
		t.Errorf("%+v, %v", accounts, err)
	}
}

// TestEntryValue checks that the entry value that the venue rounded away comes back exactly, whatever the mark.
func TestEntryValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1e9).Draw(t, "size")
		entry := rapid.Int64Range(0, 1e13).Draw(t, "entry")
		value := rapid.Int64Range(0, 1e13).Draw(t, "value")
		short := rapid.Bool().Draw(t, "short")
		profit, sign := value-entry, "1"
		if short {
			profit, sign = -profit, "-1"
		}
		var a num.Acc
		a.AddProduct(entry, 1)
		average, err := a.DivRound(size, num.USDScale-4, 2) // size has 4 decimals, the price 2
		if err != nil {
			t.Skip(err)
		}
		text6 := func(v int64) text { return text(num.Decimal{Mant: v, Scale: 6}.String()) }
		r := positionRow{MarketID: "0", Sign: text(sign), Position: text(num.Decimal{Mant: size, Scale: 4}.String()),
			AvgEntryPrice: text(num.Decimal{Mant: average, Scale: 2}.String()), PositionValue: text6(value), UnrealizedPnL: text6(profit)}
		p, ok, err := r.position(newMarkets())
		if err != nil || !ok || int64(p.Entry) != entry {
			t.Fatalf("entry %d, want %d (%v)", p.Entry, entry, err)
		}
	})
}

func TestAccountCalls(t *testing.T) {
	var queries []string
	r := serve(t, nil, answers(map[string]string{
		"/api/v1/account": `{"code":200,"accounts":[{"account_index":5,"l1_address":"0x00000000000000000000000000000000000000aa","collateral":"1.5"}]}`,
	}, &queries))
	a, err := r.Account(t.Context(), feed.Refresh, 5, newMarkets())
	if err != nil || a.Index != 5 || a.Collateral != 1_500_000 || a.Polled == 0 || a.Address[19] != 0xaa {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err = r.Account(t.Context(), feed.Refresh, 6, newMarkets()); !errors.Is(err, feed.ErrUpstream) || errors.Is(err, ErrNoAccount) {
		t.Errorf("an answer about another account gave %v", err)
	}
	all, err := r.AccountsOf(t.Context(), feed.Refresh, a.Address, newMarkets())
	if err != nil || len(all) != 1 || !strings.HasSuffix(queries[2], "?by=l1_address&value=0x00000000000000000000000000000000000000aa") {
		t.Errorf("%+v, %v, %v", all, err, queries)
	}
	for _, code := range []string{"29404", "21100"} {
		r := serve(t, nil, func(ctx *fasthttp.RequestCtx) {
			ctx.SetStatusCode(400)
			ctx.SetBodyString(`{"code":` + code + `,"message":"not found"}`)
		})
		if _, err := r.Account(context.Background(), feed.Refresh, 5, newMarkets()); !errors.Is(err, ErrNoAccount) {
			t.Errorf("%s: %v", code, err)
		}
		if _, err := r.AccountsOf(context.Background(), feed.Refresh, a.Address, newMarkets()); !errors.Is(err, ErrNoAccount) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// FuzzParseAccounts checks that nothing panics, and that what is accepted is whole: sorted positions, an entry value
// that is not negative, none where the position is flat.
func FuzzParseAccounts(f *testing.F) {
	f.Add([]byte(`{"code":200,"accounts":[{"account_index":7,"l1_address":"0x15f43D1f2DeE81424aFd891943262aa90F22cc2A","collateral":"10","positions":[{"market_id":0,"sign":-1,"position":"1.5","avg_entry_price":"2669.84","position_value":"4","unrealized_pnl":1e-7}]}]}`))
	f.Add([]byte(`{"accounts":[{"index":281474976710655,"total_asset_value":"15298.072264000002","positions":null}],"next_cursor":null}`))
	known := newMarkets()
	d := Dialect{Resolver: known, Accounts: true}.NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(ps []model.Position) {
			for i, p := range ps {
				if i > 0 && ps[i-1].Market >= p.Market || p.Entry < 0 || p.Size == 0 && p.Entry != 0 || p.Liquidation.Mant < 0 || p.Initial < 0 {
					t.Fatalf("positions %+v", ps)
				}
			}
		}
		accounts, _, err := ParseAccounts(body, known)
		if err == nil {
			for _, a := range accounts {
				check(a.Positions)
			}
		}
		// The same positions in an account's channel.
		var answer struct {
			Accounts []struct{ Positions json.RawMessage }
		}
		if json.Unmarshal(body, &answer) != nil || len(answer.Accounts) == 0 || len(answer.Accounts[0].Positions) == 0 {
			return
		}
		frame := append([]byte(`{"channel":"account_all:`+strconv.Itoa(7)+`","positions":`), answer.Accounts[0].Positions...)
		frame = append(bytes.TrimSpace(frame), `,"type":"update/account_all"}`...)
		_ = d.Decode(frame, 1, func(e *model.Event) error {
			check(e.Payload.(*model.AccountUpdate).Positions)
			return nil
		})
	})
}
