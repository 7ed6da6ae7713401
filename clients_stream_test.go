package main

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"hyperlight/engine/sim"
)

// streamed is what ccxt-stream.mjs saw of the frames.
type streamed struct {
	Frames  map[string]int    `json:"frames"`
	Books   map[string]string `json:"books"` // "channel nonce": digest of the whole book
	Trades  map[string]json.RawMessage
	Tickers map[string]string // digest of a frame's rows: channel
	Chains  struct{ Links, Broken, Snapshots int }
}

// checkStream wants every watch and un-watch to have worked, and the refusals of the venue to have come as such.
func (s seen) checkStream(t *testing.T) streamed {
	t.Helper()
	refused := []string{"watch an unknown family", "watch an unknown market", "watch without a token"}
	s.checkRefusals(t, refused)
	for _, call := range slices.Sorted(maps.Keys(s)) {
		if call != "seen" && call != "watchBalance" && !slices.Contains(refused, call) && string(s[call]) != "true" {
			t.Errorf("%s: %.300s", call, s[call])
		}
	}
	var f streamed
	s.into(t, "seen", &f)
	if f.Chains.Broken != 0 || f.Chains.Snapshots != 3 || f.Chains.Links < 10 {
		t.Errorf("chains of nonces: %+v", f.Chains)
	}
	if f.Frames["connected"] != 1 || f.Frames["unsubscribed"] != 5 || len(f.Trades) == 0 || len(f.Tickers) < 2 {
		t.Errorf("frames: %v, %d trades, %d tickers", f.Frames, len(f.Trades), len(f.Tickers))
	}
	return f
}

// liveVenue is a venue that trades. The client watches ETH and BTC; an account that quotes has orders there.
func liveVenue(t *testing.T) venue {
	t.Helper()
	return startVenue(t, sim.New(sim.Options{Seed: 12, Markets: 4, Accounts: 300, Rate: 600}), sim.ServeOptions{})
}

// TestClientsStream runs ccxt's stream twice at the same time against the venue: where two books met, they are the same.
func TestClientsStream(t *testing.T) {
	needClients(t)
	v := liveVenue(t)
	a, b := twoStreams(t, v.rest, v.rest)
	meet(t, a, b)
}

// twoStreams watches two base URLs at the same time.
func twoStreams(t *testing.T, one, other string, settings ...string) (a, b streamed) {
	t.Helper()
	var results [2]seen
	var failures [2]error
	var running sync.WaitGroup
	for i, base := range []string{one, other} {
		running.Go(func() {
			results[i], failures[i] = tryClient(t.Context(), "ccxt-stream.mjs", base, append(settings, busyAccount)...)
		})
	}
	running.Wait()
	if err := errors.Join(failures[:]...); err != nil {
		t.Fatal(err)
	}
	return results[0].checkStream(t), results[1].checkStream(t)
}

// meet compares what two clients saw at the same nonces, of the same trades and of the same statistics.
func meet(t *testing.T, a, b streamed) {
	t.Helper()
	books, trades, tickers := 0, 0, 0
	for at, digest := range a.Books {
		if other, ok := b.Books[at]; ok {
			if books++; other != digest {
				t.Errorf("book %s: %s, but %s", at, digest, other)
			}
		}
	}
	for id, row := range a.Trades {
		if other, ok := b.Trades[id]; ok {
			if trades++; string(other) != string(row) {
				t.Errorf("trade %s: %s, but %s", id, row, other)
			}
		}
	}
	for digest := range a.Tickers {
		if _, ok := b.Tickers[digest]; ok {
			tickers++
		}
	}
	if books < 20 || trades < 5 || tickers < 2 {
		t.Errorf("%d books, %d trades and %d statistics met", books, trades, tickers)
	}
	for kind := range a.Frames {
		if b.Frames[kind] == 0 && !strings.HasPrefix(kind, "update/account") {
			t.Errorf("no frame %q on the other side, which had %v", kind, b.Frames)
		}
	}
}
