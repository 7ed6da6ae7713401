package lighter

import (
	"bytes"
	"maps"
	"path/filepath"
	"testing"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
)

// A row goes out as the venue wrote it, members of no field included: every recorded frame of one market and of all
// decodes and encodes to the same bytes.
func TestMarketStatsKeepTheVenuesText(t *testing.T) {
	compared := 0
	for _, file := range []string{
		"lighter/ws/mainnet-mixed-public-frames-2026-07-28.jsonl",
		"lighter/ws/mainnet-market_stats-all-29s-2025-10-09.jsonl",
		"captures/lighter/ws-market-stats-all-20251101.ndjson.gz",
	} {
		known := newMarkets()
		known.learn = true
		d := NewDecoder(known)
		for i, frame := range recordedFrames(t, filepath.Join(feedtest.Recording(t, ""), file)) {
			events, err := decodeAll(d, frame, 1)
			if err != nil {
				t.Fatal(err)
			}
			f := d.Last()
			if f.Kind != feed.FrameStats || f.Channel.Family != feed.FamilyStats || len(events) == 0 {
				continue
			}
			var got []byte
			if f.Channel.Native == feed.All {
				got = AppendMarketStatsAllFrame(nil, func(yield func(*model.Market, *model.Stats) bool) {
					for _, e := range events {
						if !yield(byID(known, e.Market), e.Payload.(*model.Stats)) {
							return
						}
					}
				}, events[0].Time, f.First)
			} else {
				got = AppendMarketStatsFrame(nil, byID(known, events[0].Market), events[0].Payload.(*model.Stats), events[0].Time, f.First)
			}
			if !bytes.Equal(got, frame) {
				t.Fatalf("%s, frame %d:\ngot  %.2000s\nwant %.2000s", file, i, got, frame)
			}
			compared++
		}
	}
	if compared < 1000 {
		t.Errorf("only %d frames compared", compared)
	}
}

// Without the venue's text a row is made of its members.
func TestMarketStatsWithoutText(t *testing.T) {
	m := &model.Market{Native: 7}
	s := &model.Stats{Symbol: "SOL", Has: model.HasFundingTime, FundingTime: 5}
	want := `{"channel":"market_stats:7","market_stats":{"symbol":"SOL","market_id":7,"funding_timestamp":5},"timestamp":9,"type":"update/market_stats"}`
	if got := AppendMarketStatsFrame(nil, m, s, 9, false); string(got) != want {
		t.Errorf("got %s", got)
	}
	all := AppendMarketStatsAllFrame(nil, maps.All(map[*model.Market]*model.Stats{m: s}), 9, true)
	if want := `{"channel":"market_stats:all","market_stats":{"7":{"symbol":"SOL","market_id":7,"funding_timestamp":5}},"timestamp":9,"type":"subscribed/market_stats"}`; string(all) != want {
		t.Errorf("got %s", all)
	}
}
