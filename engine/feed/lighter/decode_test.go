package lighter

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf8"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// decodeAll decodes a frame and keeps its events.
func decodeAll(d *Decoder, frame []byte, recv model.Micros) ([]model.Event, error) {
	var events []model.Event
	err := d.Decode(frame, recv, func(e *model.Event) error {
		events = append(events, e.Clone())
		return nil
	})
	return events, err
}

// compare checks a frame against the reference; it reports whether the frame could be compared.
func compare(t *testing.T, d *Decoder, frame []byte, known *markets) bool {
	t.Helper()
	got, err := decodeAll(d, frame, 7)
	if err == nil && !json.Valid(frame) {
		t.Fatalf("accepted what is not JSON: %q", frame)
	}
	if !json.Valid(frame) || !utf8.Valid(frame) || bytes.Contains(frame, []byte(`\u`)) {
		return false
	}
	f, want, refErr := reference(frame, 7, known)
	if errors.Is(refErr, errAmbiguous) {
		return false
	}
	if (err == nil) != (refErr == nil) {
		t.Fatalf("frame %q:\ndecoder: %v\nreference: %v", frame, err, refErr)
	}
	if err != nil {
		if len(got) > 0 {
			t.Fatalf("frame %q: refused with %v, but emitted %d events", frame, err, len(got))
		}
		return true
	}
	if d.Last() != f {
		t.Fatalf("frame %q:\ndecoder: %+v\nreference: %+v", frame, d.Last(), f)
	}
	for i := range want {
		want[i] = want[i].Clone()
	}
	for i := range got {
		if i >= len(want) || !sameEvent(got[i], want[i]) {
			break
		}
		if i == len(want)-1 && len(got) == len(want) {
			return true
		}
	}
	if len(got)+len(want) > 0 {
		t.Fatalf("frame %q:\ndecoder:   %s\nreference: %s", frame, dump(got), dump(want))
	}
	return true
}

func sameEvent(a, b model.Event) bool {
	if x, ok := a.Payload.(*model.TradeBatch); ok {
		y, ok := b.Payload.(*model.TradeBatch)
		if ok && len(x.Rows) == 0 && len(y.Rows) == 0 {
			x.Rows, y.Rows = nil, nil
		}
	}
	return reflect.DeepEqual(a, b)
}

func dump(events []model.Event) string {
	b, _ := json.Marshal(events)
	return string(b)
}

// TestRecordings decodes every recorded frame and compares it with the reference.
func TestRecordings(t *testing.T) {
	for _, file := range allRecordings(t) {
		known := newMarkets()
		known.learn = true
		d := NewDecoder(known)
		for i, frame := range recordedFrames(t, file) {
			if _, err := decodeAll(d, frame, 1); err != nil { // the first pass teaches the markets
				t.Fatalf("%s: frame %d: %v", filepath.Base(file), i, err)
			}
			if raceDetector && i > 100 && i%10 != 0 {
				continue
			}
			if !compare(t, d, frame, known) {
				t.Errorf("%s: frame %d could not be compared", filepath.Base(file), i)
			}
		}
	}
}

// TestRecordedCounts holds the decoder to what the recordings' own description counts.
func TestRecordedCounts(t *testing.T) {
	type counts struct{ frames, snapshots, updates, levels, tradeFrames, trades, liquidations, statsFrames, stats, heights, tickers int }
	tests := map[string]counts{
		"ws-btc-eth-20251009.ndjson.gz":          {frames: 4663, snapshots: 2, updates: 3757, levels: 13500, tradeFrames: 335, trades: 744, liquidations: 100, statsFrames: 569, stats: -1},
		"ws-hype-20260419.ndjson.gz":             {frames: 79, snapshots: 1, updates: 16, levels: 50, tickers: 62},
		"ws-market-stats-all-20251101.ndjson.gz": {frames: 2111, statsFrames: 1473, stats: 5756, heights: 638},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			known := newMarkets()
			known.learn = true
			d := NewDecoder(known)
			var got counts
			last := map[model.MarketID]uint64{}
			for i, frame := range recordedFrames(t, filepath.Join(feedtest.Recording(t, ""), "captures", "lighter", name)) {
				got.frames++
				err := d.Decode(frame, 1, func(e *model.Event) error {
					switch p := e.Payload.(type) {
					case *model.BookUpdate:
						if p.Snapshot {
							got.snapshots++
						} else {
							got.updates++
							got.levels += len(p.Bids) + len(p.Asks)
							if p.Prev != last[e.Market] {
								t.Errorf("frame %d: chain broken: %d does not follow %d", i, p.Prev, last[e.Market])
							}
						}
						last[e.Market] = p.Seq
					case *model.TradeBatch:
						for j, row := range p.Rows {
							if row.Kind == model.KindLiquidation {
								got.liquidations++
							} else {
								got.trades++
							}
							if j > 0 && row.ID <= p.Rows[j-1].ID {
								t.Errorf("frame %d: ids do not ascend", i)
							}
						}
					case *model.Stats:
						got.stats++
					case *model.Height:
						got.heights++
					}
					return nil
				})
				if err != nil {
					t.Fatalf("frame %d: %v", i, err)
				}
				switch d.Last().Kind {
				case feed.FrameTrades:
					got.tradeFrames++
				case feed.FrameStats:
					got.statsFrames++
				case feed.FrameTicker:
					got.tickers++
				}
			}
			if want.stats < 0 {
				want.stats = got.stats
			}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestDecodeTolerates(t *testing.T) {
	const level = `{"price":"1.50","size":"2.0000"}`
	update := model.BookUpdate{Bids: []model.Level{{Price: 150, Size: 20000}}, Seq: 5, Prev: 4, Offset: 9, Chained: true}
	snapshot := update
	snapshot.Snapshot, snapshot.Prev = true, 0
	old := update
	old.Chained, old.Seq, old.Prev = false, 9, 8
	tests := map[string]struct {
		frame string
		want  model.BookUpdate
	}{
		"as recorded":       {`{"channel":"order_book:0","offset":9,"order_book":{"code":0,"asks":[],"bids":[` + level + `],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, update},
		"any order":         {`{"type":"update/order_book","order_book":{"begin_nonce":4,"bids":[{"size":"2.0000","price":"1.50"}],"nonce":5,"offset":9},"channel":"order_book:0"}`, update},
		"white space":       {" {\n\t\"channel\" : \"order_book:0\" , \"order_book\" : { \"bids\" : [ { \"price\" : \"1.50\" , \"size\" : \"2.0000\" } ] , \"offset\":9,\"nonce\":5,\"begin_nonce\":4 } , \"type\" : \"update/order_book\" } \r\n", update},
		"numbers for text":  {`{"channel":"order_book:0","order_book":{"bids":[{"price":1.5,"size":2}],"offset":"9","nonce":"5","begin_nonce":"4"},"type":"update/order_book"}`, update},
		"exponents":         {`{"channel":"order_book:0","order_book":{"bids":[{"price":15e-1,"size":0.2E+1}],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, update},
		"null lists":        {`{"channel":"order_book:0","order_book":{"asks":null,"bids":[` + level + `],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, update},
		"unknown members":   {`{"x":{"y":[1,{"z":null}]},"channel":"order_book:0","order_book":{"new":[true],"bids":[{"price":"1.50","size":"2.0000","owner":7}],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book","last":-0.5e3}`, update},
		"escaped":           {`{"ch\u0061nnel":"order\u005fbook:0","order_book":{"bids":[{"price":"1\u002e50","size":"2.0000"}],"offset":9,"nonce":5,"begin_nonce":4},"type":"update\/order_book"}`, update},
		"slash":             {`{"channel":"order_book/0","order_book":{"bids":[` + level + `],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, update},
		"offset outside":    {`{"channel":"order_book:0","offset":9,"order_book":{"bids":[` + level + `],"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, update},
		"zeros beyond":      {`{"channel":"order_book:0","order_book":{"bids":[{"price":"1.5000","size":"2.000000"}],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, update},
		"snapshot":          {`{"channel":"order_book:0","order_book":{"bids":[` + level + `],"offset":9,"nonce":5,"begin_nonce":4},"type":"subscribed/order_book"}`, snapshot},
		"before nonces":     {`{"channel":"order_book:0","offset":9,"order_book":{"code":0,"asks":[],"bids":[` + level + `],"offset":9},"timestamp":0,"type":"update/order_book"}`, old},
		"nonces null":       {`{"channel":"order_book:0","order_book":{"bids":[` + level + `],"offset":9,"nonce":null,"begin_nonce":null},"type":"update/order_book"}`, old},
		"no size is a zero": {`{"channel":"order_book:0","order_book":{"bids":[{"price":"1.50"}],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, model.BookUpdate{Bids: []model.Level{{Price: 150}}, Seq: 5, Prev: 4, Offset: 9, Chained: true}},
		"no error":          {`{"channel":"order_book:0","error":null,"order_book":{"bids":[` + level + `],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book"}`, update},
		"an empty error":    {`{"channel":"order_book:0","order_book":{"bids":[` + level + `],"offset":9,"nonce":5,"begin_nonce":4},"type":"update/order_book","error":""}`, update},
		"nonce of 64 bits":  {`{"channel":"order_book:0","order_book":{"nonce":18446744073709551615,"begin_nonce":18446744073709551614},"type":"update/order_book"}`, model.BookUpdate{Seq: 1<<64 - 1, Prev: 1<<64 - 2, Chained: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := decodeAll(NewDecoder(newMarkets()), []byte(tt.frame), 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(events) != 1 {
				t.Fatalf("%d events, want 1", len(events))
			}
			want := model.Event{Recv: 3, Payload: &tt.want}
			if got := events[0]; !reflect.DeepEqual(got, want.Clone()) {
				t.Errorf("got %s, want %s", dump(events), dump([]model.Event{want}))
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	book := func(body string) string {
		return `{"channel":"order_book:0","order_book":` + body + `,"type":"update/order_book"}`
	}
	tests := map[string]struct {
		frame string
		want  error
	}{
		"empty":             {"", ErrMalformed},
		"text":              {"<html>", ErrMalformed},
		"list":              {"[]", ErrMalformed},
		"cut":               {smallBookFrame[:150], ErrMalformed},
		"cut at the end":    {smallBookFrame[:len(smallBookFrame)-1], ErrMalformed},
		"two frames":        {smallBookFrame + smallBookFrame, ErrMalformed},
		"comma":             {book(`{"bids":[],}`), ErrMalformed},
		"bad number":        {book(`{"nonce":01}`), ErrMalformed},
		"bad skipped":       {book(`{"new":tru}`), ErrMalformed},
		"control character": {"{\"a\":\"\x01\"}", ErrMalformed},
		"bad escape":        {`{"a":"\x"}`, ErrMalformed},
		"too deep":          {`{"a":` + string(bytes.Repeat([]byte("["), 100)) + string(bytes.Repeat([]byte("]"), 100)) + `}`, ErrMalformed},
		"no body":           {`{"channel":"order_book:0","type":"update/order_book"}`, ErrValue},
		"null body":         {book(`null`), ErrValue},
		"body is text":      {book(`"x"`), ErrValue},
		"no price":          {book(`{"bids":[{"size":"1"}]}`), ErrValue},
		"negative size":     {book(`{"bids":[{"price":"1","size":"-1"}]}`), ErrValue},
		"word for price":    {book(`{"bids":[{"price":"abc","size":"1"}]}`), ErrValue},
		"bool for price":    {book(`{"bids":[{"price":true,"size":"1"}]}`), ErrValue},
		"nonce below zero":  {book(`{"nonce":-1}`), ErrValue},
		"nonce too large":   {book(`{"nonce":18446744073709551616}`), ErrValue},
		"price too large":   {book(`{"bids":[{"price":"99999999999999999999","size":"1"}]}`), ErrValue},
		"unknown market":    {`{"channel":"order_book:77","order_book":{"bids":[{"price":"1","size":"1"}]},"type":"update/order_book"}`, ErrUnknownMarket},
		"tiny mantissa":     {book(`{"bids":[{"price":"0.0000000000000000001e19","size":"1"}]}`), ErrValue},
		"digits":            {book(`{"bids":[{"price":"1.234","size":"1"}]}`), ErrDigits},
		"trade without id":  {`{"channel":"trade:0","trades":[{"price":"1","size":"1"}],"type":"update/trade"}`, ErrValue},
		"trade of nobody":   {`{"channel":"trade:77","trades":[{"trade_id":1,"price":"1","size":"1"}],"type":"update/trade"}`, ErrUnknownMarket},
		"second row bad":    {`{"channel":"trade:0","trades":[{"trade_id":1,"price":"1","size":"1"},{"trade_id":2}],"type":"update/trade"}`, ErrValue},
		"stats second bad":  {`{"channel":"market_stats:all","market_stats":{"0":{"mark_price":"1"},"1":{"mark_price":"x"}},"type":"update/market_stats"}`, ErrValue},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := decodeAll(NewDecoder(newMarkets()), []byte(tt.frame), 3)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if len(events) > 0 {
				t.Errorf("emitted %d events of a refused frame", len(events))
			}
			var fe *FrameError
			if !errors.As(err, &fe) || fe.Reason() == "" {
				t.Errorf("%v has no reason", err)
			}
		})
	}
}

func TestDecodeControl(t *testing.T) {
	tests := []struct {
		frame string
		want  feed.Frame
	}{
		{`{"session_id":"b23c70b2","type":"connected"}`, feed.Frame{Kind: feed.FrameConnected}},
		{`{"type":"ping"}`, feed.Frame{Kind: feed.FramePing}},
		{`{"type":"pong"}`, feed.Frame{Kind: feed.FramePong}},
		{`{"type": "unsubscribed", "channel": "order_book:0"}`, feed.Frame{Kind: feed.FrameUnsubscribed, Channel: feed.Channel{Family: feed.FamilyBook}}},
		{`{"error":{"code":30003,"message":"Already Subscribed to : height"}}`, feed.Frame{Kind: feed.FrameError, Code: 30003, Text: "Already Subscribed to : height"}},
		{`{"type":"error","code":30005,"message":"Invalid Channel"}`, feed.Frame{Kind: feed.FrameError, Code: 30005, Text: "Invalid Channel"}},
		{`{"error":"no"}`, feed.Frame{Kind: feed.FrameError, Text: "no"}},
		{`{"error":null,"type":"pong"}`, feed.Frame{Kind: feed.FramePong}},
		{`{"error":{},"type":"pong"}`, feed.Frame{Kind: feed.FrameError}},
		{`{"channel":"brand_new:1","type":"update/brand_new","brand_new":{}}`, feed.Frame{}},
		{`{"channel":"account_all_trades:1","type":"update/account_all_trades","trades":{"1":[]}}`, feed.Frame{}},
		{`{}`, feed.Frame{}},
	}
	for _, tt := range tests {
		d := NewDecoder(newMarkets())
		events, err := decodeAll(d, []byte(tt.frame), 1)
		if err != nil || len(events) > 0 {
			t.Errorf("%s: %d events, error %v", tt.frame, len(events), err)
		}
		if d.Last() != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.frame, d.Last(), tt.want)
		}
	}
}

// TestDecodeLearns follows the digits of a market that nobody described, as an import does.
func TestDecodeLearns(t *testing.T) {
	known := &markets{byID: map[int64]*model.Market{}, learn: true}
	d := NewDecoder(known)
	events, err := decodeAll(d, []byte(`{"channel":"order_book:9","order_book":{"asks":[{"price":"2.50","size":"1"}],"bids":[{"price":"1","size":"0.100"}],"nonce":1},"type":"subscribed/order_book"}`), 1)
	if err != nil {
		t.Fatal(err)
	}
	m := known.byID[9]
	if m.PriceScale != 2 || m.SizeScale != 3 || m.Symbol != "MARKET-9" {
		t.Fatalf("learned %+v", m)
	}
	if u := events[0].Payload.(*model.BookUpdate); u.Asks[0] != (model.Level{Price: 250, Size: 1000}) || u.Bids[0] != (model.Level{Price: 100, Size: 100}) {
		t.Errorf("levels %+v", u)
	}
	events, err = decodeAll(d, []byte(`{"channel":"trade:9","trades":[{"trade_id":3,"price":"1.125","size":"0.1","type":"auction","new":[1, 2]}],"type":"update/trade"}`), 1)
	if err != nil {
		t.Fatal(err)
	}
	row := events[0].Payload.(*model.TradeBatch).Rows[0]
	if events[0].Epoch != 1 || row.Epoch != 1 || row.Price != 1125 || row.Size != 100 || row.USD != 112500 {
		t.Errorf("event %s", dump(events))
	}
	if row.Kind != model.KindOther || row.Extra != `"type":"auction","new":[1, 2]` {
		t.Errorf("kind %v, extra %s", row.Kind, row.Extra)
	}
	if _, err = decodeAll(d, []byte(`{"channel":"ticker:9","ticker":{"s":"ABC","a":{},"b":null},"type":"update/ticker"}`), 1); err != nil || known.byID[9].Symbol != "ABC" {
		t.Errorf("symbol %s, error %v", known.byID[9].Symbol, err)
	}
}

// TestDecodeNeverZeroesDigits: a spelling that no scale holds is refused, also where the market may be widened for it.
func TestDecodeNeverZeroesDigits(t *testing.T) {
	known := &markets{byID: map[int64]*model.Market{}, learn: true}
	for _, price := range []string{"10.0000000000000000001e1", "1.0000000000000000000e5", "0.0000000000000000001e19"} {
		events, err := decodeAll(NewDecoder(known), []byte(`{"channel":"trade:9","trades":[{"trade_id":3,"price":"`+price+`","size":"1"}],"type":"update/trade"}`), 1)
		if err == nil || len(events) > 0 {
			t.Errorf("%s: error %v, events %s", price, err, dump(events))
		}
	}
}

func TestStatsValues(t *testing.T) {
	events, err := decodeAll(NewDecoder(newMarkets()), []byte(statsFrame), 1)
	if err != nil {
		t.Fatal(err)
	}
	s := events[0].Payload.(*model.Stats)
	if s.FundingRate != -11_000_000 || s.CurrentFundingRate != -12_000_000 {
		t.Errorf("-0.0011 and -0.0012 percent per hour became %d and %d", s.FundingRate, s.CurrentFundingRate)
	}
	if s.Mark.String() != "1914.32" || s.DailyChange.String() != "-1.2914301622407474" || s.Symbol != "ETH" || s.FundingTime != 1785250800001 {
		t.Errorf("stats %+v", s)
	}
	const sparse = `{"channel":"spot_market_stats:24","spot_market_stats":{"best_bid_price":"","best_ask_price":"2531.00","daily_price_low":0,"daily_price_change":0,"daily_base_token_volume":1.5e-7,"last_trade_price":"0.00","mid_price":null,"daily_quote_token_volume":-0.0007352941176470588235},"type":"subscribed/spot_market_stats"}`
	if events, err = decodeAll(NewDecoder(newMarkets()), []byte(sparse), 1); err != nil {
		t.Fatal(err)
	}
	s = events[0].Payload.(*model.Stats)
	if s.Has != model.HasBestAsk|model.HasDailyChange|model.HasDailyBase|model.HasDailyQuote {
		t.Errorf("has %b", s.Has)
	}
	if s.DailyBase != (num.Decimal{Mant: 15, Scale: 8}) || s.DailyQuote.String() != "-0.000735294117647059" {
		t.Errorf("base %v, quote %v", s.DailyBase, s.DailyQuote)
	}
}

func TestEmitErrorEndsFrame(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := NewDecoder(newMarkets()).Decode([]byte(`{"channel":"market_stats:all","market_stats":{"0":{},"1":{}},"type":"update/market_stats"}`), 1, func(*model.Event) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("error %v after %d events", err, n)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	d := NewDecoder(newMarkets())
	emit := func(*model.Event) error { return nil }
	for _, frame := range []string{smallBookFrame, oldBookFrame, statsFrame} {
		raw := []byte(frame)
		if n := testing.AllocsPerRun(100, func() { _ = d.Decode(raw, 1, emit) }); n != 0 {
			t.Errorf("%v allocations for %.40s", n, frame)
		}
	}
}
