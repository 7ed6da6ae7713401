package lighter

import (
	"fmt"
	"testing"
	"time"

	"hyperlight/engine/model"
)

var candleMarket = &model.Market{PriceScale: 2, SizeScale: 4, Epoch: 1, Scales: []model.Scale{{Price: 1, Size: 4}, {Price: 2, Size: 4}}}

func TestParseCandles(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":200,"r":"1m","c":null}`: "[]",
		`{"code":200,"c":[{"t":1760000040000,"o":10.5,"h":11,"l":1e1,"c":10.25,"C":7,"v":0.5,"V":5.25,"i":26000000001},{"t":1759999980000,"o":1,"h":1,"l":1,"c":1,"v":1,"V":1},{"t":1759999980000,"o":2,"h":2,"l":2,"c":2,"v":1,"V":1},{"t":1759999920000,"o":1,"h":1,"l":1,"c":1}]}`: "[1759999980000 100 100 100 100 10000 1000000 0 1760000040000 1050 1100 1000 1025 5000 5250000 26000000001]",
	} {
		rows, err := ParseCandles([]byte(body), candleMarket, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var got []any
		for _, c := range rows {
			if c.Epoch != 1 || c.Resolution != time.Minute || c.Trades != 0 {
				t.Errorf("candle %+v", c)
			}
			got = append(got, c.Time, c.Open, c.High, c.Low, c.Close, c.Volume, c.QuoteVolume, c.LastID)
		}
		if text := fmt.Sprint(got); text != want {
			t.Errorf("candles are %s, want %s", text, want)
		}
	}
	for _, bad := range []string{
		`{"c":[{"t":1760000040001,"o":1,"h":1,"l":1,"c":1,"v":1}]}`, `{"c":[{"t":1760000040000,"o":3,"h":1,"l":1,"c":1,"v":1}]}`,
		`{"c":[{"t":"x"}]}`, `{"c":[{"t":1760000040000,"o":1,"h":1,"l":1,"c":1,"v":-1}]}`, `{"c":7}`, `[`,
	} {
		if rows, err := ParseCandles([]byte(bad), candleMarket, time.Minute); err == nil {
			t.Errorf("%s gave %v", bad, rows)
		}
	}
}

func FuzzParseCandles(f *testing.F) {
	f.Add([]byte(`{"code":200,"c":[{"t":1760000040000,"o":10.5,"h":11,"l":1e1,"c":10.25,"v":0.5,"V":5.25,"i":2}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := ParseCandles(body, candleMarket, time.Minute)
		if err != nil {
			return
		}
		for i, c := range rows {
			if c.Time%60_000 != 0 || c.Low > c.Open || c.High < c.Close || c.Volume < 0 || i > 0 && c.Time <= rows[i-1].Time {
				t.Fatalf("row %d of %s is %+v", i, body, c)
			}
		}
	})
}
