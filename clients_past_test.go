package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
)

// A bot written for Lighter runs through a recorded window as if live: ccxt's pro.lighter, with other addresses and no
// other change, over stream and REST.
func TestClientsPast(t *testing.T) {
	needClients(t)
	path := feedtest.Recording(t, btcEth)
	_, from, to := recordedFrames(t, path)
	dir := t.TempDir()
	_, err := engine.Import(context.Background(), engine.ImportOptions{
		Store: storeOptions(applianceConfig(dir, venue{}), func(error) {}), Files: []string{path},
		Markets: []byte(`{"code":200,"order_books":[
			{"symbol":"ETH","market_id":0,"market_type":"perp","status":"active","supported_size_decimals":4,"supported_price_decimals":2},
			{"symbol":"BTC","market_id":1,"market_type":"perp","status":"active","supported_size_decimals":5,"supported_price_decimals":1}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := startAppliance(t, applianceConfig(dir, venue{}))
	s := runClient(t, "ccxt-past.mjs", a.base, fmt.Sprint("start=", from), fmt.Sprint("end=", to), "speed=8")

	var seen struct {
		Frames         map[string]int
		Chains         struct{ Links, Broken, Snapshots int }
		Closed         string
		Books, Crossed int
	}
	s.into(t, "seen", &seen)
	if seen.Chains.Broken != 0 || seen.Chains.Snapshots != 2 || seen.Chains.Links < 3000 || seen.Crossed != 0 {
		t.Errorf("chains of nonces: %+v, %d books crossed", seen.Chains, seen.Crossed)
	}
	if !strings.Contains(seen.Closed, "1000") {
		t.Errorf("the replay ended with %q", seen.Closed)
	}
	for kind := range seen.Frames {
		if strings.HasPrefix(kind, "error") {
			t.Errorf("frame %q", kind)
		}
	}
	var watched struct{ Books, Trades, Tickers int }
	s.into(t, "watched", &watched)
	if watched.Books < 20 || watched.Trades < 20 || watched.Tickers < 1 {
		t.Errorf("watched %+v", watched)
	}
	var rest struct{ Rounds, Behind, Ahead, Closes, Tickers int }
	s.into(t, "rest", &rest)
	if rest.Rounds < 5 || rest.Behind != 0 || rest.Ahead != 0 || rest.Closes != rest.Rounds || rest.Tickers < rest.Rounds/2 {
		t.Errorf("REST: %+v", rest)
	}
	t.Logf("%+v, %+v, %+v", seen, watched, rest)
}
