package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"hyperlight/engine/lake"
	"hyperlight/export"
)

// span is the recorded day in the words of a query.
func span() string { return fmt.Sprintf("start=%d&end=%d", recordedDay, recordedDay+lake.DayMillis) }

type restRow = map[string]any

// pages fetches all rows of a list, page by page; the total of each page has to be the number of rows. What the answer says of all
// of them, as the market, is in each.
func (a *appliance) pages(path, member string) (out []restRow) {
	a.t.Helper()
	for next := ""; ; {
		var data restRow
		got, body, err := a.try(path + next)
		if err != nil || got.Status != 200 {
			a.t.Fatalf("%s: %v %.300s", path+next, err, body)
		}
		decode := json.NewDecoder(bytes.NewReader(got.Data))
		decode.UseNumber()
		if err := decode.Decode(&data); err != nil {
			a.t.Fatal(err)
		}
		rows := data[member].([]any)
		for _, row := range rows {
			r := row.(restRow)
			for _, of := range []string{"market_id", "symbol", "resolution"} {
				if v, ok := data[of]; ok {
					r[of] = v
				}
			}
			out = append(out, r)
		}
		switch total := got.Meta.Total; {
		case got.Meta.NextCursor != "":
			next = "&cursor=" + got.Meta.NextCursor
		case total != nil && *total > int64(len(out)) && len(rows) > 0:
			next = fmt.Sprintf("&offset=%d", len(out))
		default:
			if total != nil && *total != int64(len(out)) {
				a.t.Errorf("%s: total is %d of %d rows", path, *total, len(out))
			}
			return out
		}
	}
}

// fixed returns a decimal with so many digits after its point; what does not fit exactly fails.
func fixed(t testing.TB, text string, digits int) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no decimal", text)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
	if !r.IsInt() || !r.Num().IsInt64() {
		t.Fatalf("%q does not fit", text)
	}
	return r.Num().Int64()
}

// fromREST returns the row of a file that is the row of an answer. Members and columns have the same names.
func fromREST[T export.Row[T]](t testing.TB, told restRow) (row T) {
	t.Helper()
	v := reflect.ValueOf(&row).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("parquet")
		name, _, _ := column(v.Type().Field(i))
		is, ok := told[name]
		if !ok || is == nil {
			continue
		}
		digits := 6
		if strings.Contains(tag, "decimal(12:18)") {
			digits = 12
		}
		switch f := v.Field(i); {
		case f.Kind() == reflect.Bool:
			f.SetBool(is.(bool))
		case f.Kind() == reflect.String:
			f.SetString(is.(string))
		case f.Kind() == reflect.Slice:
			levels := []export.Level{}
			for _, l := range is.([]any) {
				pair := l.([]any)
				levels = append(levels, export.Level{Price: fixed(t, pair[0].(string), 6), Size: fixed(t, pair[1].(string), 6)})
			}
			f.Set(reflect.ValueOf(levels))
		case strings.Contains(tag, "decimal("):
			f.SetInt(fixed(t, is.(string), digits))
		default:
			f.SetInt(number(t, is))
		}
	}
	return row
}

func number(t testing.TB, told any) int64 {
	t.Helper()
	n, err := told.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mostLevels is how many levels of a book an answer has at most. A file has all.
const mostLevels = 1000

// sameRows wants a file to have the very rows of an answer. The fees of trades are not part of it, nor levels beyond the most.
func sameRows[T export.Row[T]](r *recordedLake, d lake.Dataset, market int64, told []restRow) (got []T) {
	r.t.Helper()
	id := lake.ID{Dataset: d, Market: market, Day: recordedDay}.String()
	got = rowsOf[T](r.t, r.names[id])
	if len(got) == 0 || len(got) != len(told) {
		r.t.Errorf("%s: %d rows, REST has %d", id, len(got), len(told))
		return got
	}
	for i := range got {
		want, row := fromREST[T](r.t, told[i]), got[i]
		for f := range reflect.TypeFor[T]().NumField() {
			v := reflect.ValueOf(&row).Elem().Field(f)
			switch name := reflect.TypeFor[T]().Field(f).Name; {
			case name == "TakerFee" || name == "MakerFee":
				v.SetInt(0)
			case v.Kind() == reflect.Slice:
				v.Set(v.Slice(0, min(v.Len(), mostLevels)))
			}
		}
		if !reflect.DeepEqual(row, want) {
			r.t.Fatalf("%s: row %d is\n%.2000s, REST has\n%.2000s", id, i, fmt.Sprintf("%+v", row), fmt.Sprintf("%+v", want))
		}
	}
	r.sameReaders(id, tellRows(got))
	return got
}

// check compares the files of a market with REST and with each other.
func (r *recordedLake) check(market int64) {
	t := r.t
	t.Helper()
	trades := sameRows[export.Trade](r, lake.Trades, market,
		r.pages(fmt.Sprintf("/api/v1/trades/by-time?market_id=%d&limit=100&order=asc&%s", market, span()), "trades"))
	candles := r.pages(fmt.Sprintf("/api/v1/candles?market_id=%d&resolution=1m&limit=1000&%s", market, span()), "candles")
	for _, c := range candles { // the lake has the quotient of two members
		volume, _ := new(big.Rat).SetString(c["volume"].(string))
		quote, _ := new(big.Rat).SetString(c["quote_volume"].(string))
		if volume.Sign() > 0 {
			c["vwap"] = halfEven(quote.Quo(quote, volume), 6)
		}
	}
	var count int64
	size, usd := new(big.Int), new(big.Int)
	for _, row := range trades {
		count++
		size.Add(size, big.NewInt(row.Size))
		usd.Add(usd, big.NewInt(row.USDAmount))
	}
	for _, row := range sameRows[export.Candle](r, lake.Candles, market, candles) {
		count -= row.TradeCount
		size.Sub(size, big.NewInt(row.Volume))
		usd.Sub(usd, big.NewInt(row.QuoteVolume))
	}
	if count != 0 || size.Sign() != 0 || usd.Sign() != 0 {
		t.Errorf("market %d: candles lack %d trades, %s of volume, %s of value (millionths)", market, count, size, usd)
	}
	snapshots := sameRows[export.Snapshot](r, lake.Snapshots, market,
		r.pages(fmt.Sprintf("/api/v1/orderbook/%d/snapshots?interval=1s&depth=1000&limit=1000&%s", market, span()), "snapshots"))
	r.checkBooks(market, snapshots)
}

// checkBooks wants the changes of a book to lead to its snapshots.
func (r *recordedLake) checkBooks(market int64, snapshots []export.Snapshot) {
	r.t.Helper()
	id := lake.ID{Dataset: lake.BookUpdates, Market: market, Day: recordedDay}.String()
	updates, n, last := rowsOf[export.BookUpdate](r.t, r.names[id]), 0, int64(0)
	r.sameReaders(id, tellRows(updates))
	bids, asks := map[int64]int64{}, map[int64]int64{}
	for _, s := range snapshots {
		for ; n < len(updates) && updates[n].RecvTS < s.Timestamp*1000; n++ {
			u := updates[n]
			if u.Snapshot && (n == 0 || !updates[n-1].Snapshot || u.Nonce != updates[n-1].Nonce) {
				clear(bids)
				clear(asks)
			}
			side := map[string]map[int64]int64{"bid": bids, "ask": asks}[u.Side]
			if last = u.RecvTS; u.Size == 0 {
				delete(side, u.Price)
			} else {
				side[u.Price] = u.Size
			}
		}
		for side, levels := range map[*map[int64]int64][]export.Level{&bids: s.Bids, &asks: s.Asks} {
			same := len(levels) == len(*side)
			for _, l := range levels {
				same = same && (*side)[l.Price] == l.Size
			}
			if !same {
				r.t.Fatalf("market %d at %d: the snapshot has %d levels, the changes up to %d lead to others (%d)", market, s.Timestamp, len(levels), last, len(*side))
			}
		}
	}
}

// checkAll compares the files of all markets.
func (r *recordedLake) checkAll(markets int64) (gaps int) {
	r.t.Helper()
	var fundings []restRow
	for hour := range int64(24) { // the file is by time, then market
		for m := range markets {
			at := int64(recordedDay) + hour*3_600_000
			fundings = append(fundings, r.pages(fmt.Sprintf("/api/v1/funding-rates/history?market_id=%d&resolution=1h&limit=1000&order=asc&start=%d&end=%d", m, at, at+3_600_000), "rates")...)
		}
	}
	sameRows[export.FundingRate](r, lake.FundingRates, lake.AllMarkets, fundings)
	for m := range markets {
		r.check(m)
	}
	id := lake.ID{Dataset: lake.Gaps, Market: lake.AllMarkets, Day: recordedDay}.String()
	rows := rowsOf[export.Gap](r.t, r.names[id])
	r.sameReaders(id, tellRows(rows))
	want := map[string]bool{}
	kinds := map[string]string{"order_book": "book", "trade": "trades", "market_stats": "market_stats"}
	for _, g := range r.pages("/api/v1/data-quality/gaps?limit=1000&order=asc&"+span(), "gaps") {
		from, to := number(r.t, g["from"]), int64(recordedDay+lake.DayMillis)
		if g["to"] != nil { // it has ended
			to = min(to, number(r.t, g["to"]))
		}
		if !g["filled"].(bool) {
			want[fmt.Sprint(g["market_id"], kinds[g["kind"].(string)], max(from, int64(recordedDay)), to, g["cause"])] = true
		}
	}
	for _, g := range rows {
		name := fmt.Sprint(g.MarketID, g.Kind, g.From, g.To, g.Cause)
		if g.Cause != "not_recorded" && !want[name] {
			r.t.Errorf("gap %s is not known to REST", name)
		}
		if g.Cause != "not_recorded" {
			gaps++
		}
		delete(want, name)
	}
	if len(want) > 0 {
		r.t.Errorf("the lake lacks gaps %v", want)
	}
	return gaps
}

// halfEven rounds to so many digits after the point.
func halfEven(r *big.Rat, digits int) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n := new(big.Int).Mul(r.Num(), scale)
	q, rest := new(big.Int).QuoRem(n, r.Denom(), new(big.Int))
	if c := rest.Lsh(rest, 1).Cmp(r.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(q, scale).FloatString(digits)
}
