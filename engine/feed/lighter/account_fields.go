package lighter

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// percentScale turns percent into 1/10,000: "5.00" is 500.
const percentScale = 2

// fields reads the members of an account. After the first one that cannot be what its name says err is set.
type fields struct{ err error }

func valueError(what string) error { return &FrameError{Kind: ErrValue, What: what} }

func (f *fields) fail(what string) {
	if f.err == nil {
		f.err = valueError(what)
	}
}

// integer reads a whole number between 0 and most; absent is 0.
func (f *fields) integer(what string, t text, most int64) int64 {
	v, ok := signed([]byte(t))
	if !ok || v < 0 || v > most {
		f.fail(what)
		return 0
	}
	return v
}

// index reads the venue's number of an account or of a market.
func (f *fields) index(what string, t text) int64 { return f.integer(what, t, 1<<56-1) }

func (f *fields) count(what string, t text) uint32 {
	return uint32(f.integer(what, t, math.MaxUint32))
}

func (f *fields) small(what string, t text) uint8 { return uint8(f.integer(what, t, math.MaxUint8)) }

// rounded reads a number at a scale. Values that the venue computes in floating point, total_asset_value for one, come
// with its noise ("15298.072264000002"): digits beyond the scale are rounded, half-even. Absent is 0.
func (f *fields) rounded(what string, t text, scale uint8) int64 {
	if t == "" {
		return 0
	}
	m, err := exact([]byte(t), scale)
	if err == nil {
		return m
	}
	d, err := loose([]byte(t))
	if err == nil {
		var a num.Acc
		a.AddProduct(d.Mant, 1)
		m, err = a.Round(d.Scale, scale)
	}
	if err != nil {
		f.fail(what)
		return 0
	}
	return m
}

func (f *fields) money(what string, t text) num.USD { return num.USD(f.rounded(what, t, num.USDScale)) }

// percent reads an initial margin fraction.
func (f *fields) percent(what string, t text) int32 {
	v := f.rounded(what, t, percentScale)
	if v < 0 || v > math.MaxInt32 {
		f.fail(what)
		return 0
	}
	return int32(v)
}

// price reads a liquidation price, which has up to 17 digits; none is 0, and so is one that is not above 0.
func (f *fields) price(what string, t text) num.Decimal {
	if t == "" {
		return num.Decimal{}
	}
	d, err := loose([]byte(t))
	if err != nil {
		f.fail(what)
	}
	if err != nil || d.Mant <= 0 {
		return num.Decimal{}
	}
	return d
}

// size reads a size without a sign, of which nothing may be lost.
func (f *fields) size(what string, b []byte, scale uint8) num.Size {
	if len(b) == 0 {
		return 0
	}
	m, err := exact(b, scale)
	if err != nil || m < 0 {
		f.fail(what)
		return 0
	}
	return num.Size(m)
}

// entry returns the value of a position at its entry. The average price that the venue tells is cut to the market's
// decimals; value at the mark and unrealised profit are exact, and give the entry value to the last digit. They are not
// taken where they contradict the price by more than its last digit allows.
func (f *fields) entry(r *positionRow, size num.Size, scale uint8, short bool) num.USD {
	value, profit := f.money("position_value", r.PositionValue), f.money("unrealized_pnl", r.UnrealizedPnL)
	average, err := loose([]byte(r.AvgEntryPrice))
	if r.AvgEntryPrice == "" {
		average, err = num.Decimal{}, nil
	}
	if err != nil || average.Mant < 0 {
		f.fail("avg_entry_price")
		return 0
	}
	about, err := product(average, size, scale)
	if err != nil {
		f.fail("avg_entry_price")
		return 0
	}
	if r.PositionValue == "" || r.UnrealizedPnL == "" || value < 0 {
		return about
	}
	entry := value - profit
	if short {
		entry = value + profit
	}
	tick, err := product(num.Decimal{Mant: 1, Scale: average.Scale}, size, scale)
	if err != nil {
		return about
	}
	if off := entry - about; entry < 0 || max(off, -off) > tick+2 {
		return about
	}
	return entry
}

// product returns price x size as money.
func product(price num.Decimal, size num.Size, scale uint8) (num.USD, error) {
	var a num.Acc
	a.AddProduct(price.Mant, int64(size))
	m, err := a.Round(price.Scale+scale, num.USDScale)
	return num.USD(m), err
}

// address reads an owner's address; absent, or the zero address that system accounts show, is unknown.
func (f *fields) address(t text) (a model.Address) {
	if t == "" {
		return a
	}
	digits, ok := strings.CutPrefix(string(t), "0x")
	if b, err := hex.DecodeString(digits); !ok || err != nil || copy(a[:], b) != len(a) || len(b) != len(a) {
		f.fail("l1_address")
		return model.Address{}
	}
	return a
}

// positionRows reads the value at the start of b: a map by market, as channels send it, a list, or null.
func positionRows(b []byte) ([]positionRow, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if len(b) > 0 && b[0] == '[' {
		var rows []positionRow
		err := dec.Decode(&rows)
		return rows, err
	}
	var byMarket map[string]*positionRow
	if err := dec.Decode(&byMarket); err != nil {
		return nil, err
	}
	rows := make([]positionRow, 0, len(byMarket))
	for market, row := range byMarket {
		if row == nil {
			continue
		}
		if row.MarketID == "" {
			row.MarketID = text(market)
		}
		rows = append(rows, *row)
	}
	// Two keys that name one market would otherwise count in any order.
	slices.SortFunc(rows, func(a, b positionRow) int {
		return strings.Compare(string(a.MarketID)+string(a.Position), string(b.MarketID)+string(b.Position))
	})
	return rows, nil
}

func escape(s string) string { return url.QueryEscape(s) }
