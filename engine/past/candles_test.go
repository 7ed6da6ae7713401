package past

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// Candles that were fetched for times of which no trade is held are seen as of a clock once they had ended, in every
// length that is made of them; where trades are held later, those count.
func TestGivenCandlesOfThePast(t *testing.T) {
	const start = model.Millis(1_699_833_600_000) // a Monday
	market := testMarket(0, model.Scale{Price: 2, Size: 4})
	markets := fakeMarkets{market}
	store := kvtest.Open(t)
	if _, err := history.Recover(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	w, err := history.NewWriter(history.WriterOptions{Store: store, Now: func() time.Time { return time.UnixMilli(int64(start + 30*day)) }, Markets: markets.Get})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	// What minutes come to is given of hours and days as well.
	var rows []model.Candle
	for i := range model.Millis(9 * 1440) {
		p := num.Price(1000 + i)
		rows = append(rows, model.Candle{Resolution: time.Minute, Time: start + i*minute, Open: p, High: p, Low: p, Close: p, Volume: 1, QuoteVolume: 1, LastID: uint64(i + 1)})
	}
	if err := w.AddCandles(t.Context(), 0, rows, history.Span{From: start, To: start + 9*day}); err != nil {
		t.Fatal(err)
	}
	r := history.NewReader(store, markets.Get)
	for _, tt := range []struct {
		resolution time.Duration
		after      model.Millis // the clock, after the start
		want       string       // openings, in minutes after the start, and volumes
	}{
		{time.Minute, 3*minute + 1, "0:1 1:1 2:1"},
		{time.Minute, 3*minute - 1, "0:1 1:1"},
		{5 * time.Minute, 7 * minute, "0:5 5:2"},
		{time.Hour, 2 * hour, "0:60 60:60"},
		{time.Hour, 2*hour + 30*minute + 1, "0:60 60:60 120:30"},
		{4 * time.Hour, 6*hour + 5, "0:240 240:120"},
		{24 * time.Hour, 2*day + hour, "0:1440 1440:1440 2880:60"},
		{7 * 24 * time.Hour, 8*day + hour, "0:10080 10080:1500"},
	} {
		v := At(r, markets, (start + tt.after).Micros())
		for _, reverse := range []bool{false, true} {
			got := ""
			for c, err := range v.Candles(t.Context(), 0, tt.resolution, history.Span{From: start, To: start + 30*day}, reverse) {
				if err != nil {
					t.Fatal(err)
				}
				text := fmt.Sprintf("%d:%d", (c.Time-start)/minute, c.Volume)
				switch {
				case got == "":
					got = text
				case reverse:
					got = text + " " + got
				default:
					got += " " + text
				}
			}
			if got != tt.want {
				t.Errorf("%v after %d: %s, want %s", tt.resolution, tt.after, got, tt.want)
			}
		}
	}
}
