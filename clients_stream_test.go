package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// checkStream wants every watch and un-watch to have worked, and the refusals of the venue to have come as such. Each of
// the three books begins with a snapshot; again is how many may begin anew.
func (s seen) checkStream(t *testing.T, again int) streamed {
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
	if f.Chains.Broken != 0 || f.Chains.Snapshots < 3 || f.Chains.Snapshots > 3+again || f.Chains.Links < 10 {
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

// twoStreams watches two base URLs at the same time, for a while after both have their books.
func twoStreams(t *testing.T, one, other string, settings ...string) (a, b streamed) {
	t.Helper()
	return twoStreamsDuring(t, one, other, 0, func() { time.Sleep(2 * time.Second) }, settings...)
}

// twoStreamsDuring is twoStreams while something happens, by which so many books of the other stream may begin anew.
func twoStreamsDuring(t *testing.T, one, other string, again int, during func(), settings ...string) (a, b streamed) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var clients [2]*client
	var stops [2]io.Closer
	ready := make(chan struct{}, 2)
	for i, base := range []string{one, other} {
		c := newClient(ctx, "ccxt-stream.mjs", base, append(settings, busyAccount, "together=1")...)
		c.Stderr = &firstLine{to: &c.errs, seen: ready}
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		clients[i], stops[i] = c, in
	}
	for range clients {
		select {
		case <-ready:
		case <-ctx.Done():
		}
	}
	during() // what both watch
	for _, stop := range stops {
		stop.Close()
	}
	failures := [2]error{clients[0].Wait(), clients[1].Wait()}
	return clients[0].told(t, failures[0]).checkStream(t, 0), clients[1].told(t, failures[1]).checkStream(t, again)
}

// firstLine passes on what a script writes to standard error, and tells of its first line.
type firstLine struct {
	to   io.Writer
	seen chan<- struct{}
	once sync.Once
}

func (s *firstLine) Write(p []byte) (int, error) {
	s.once.Do(func() { s.seen <- struct{}{} })
	return s.to.Write(p)
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
		// An account's updates come when it trades, which it may do before one of the two has subscribed.
		if b.Frames[kind] == 0 && !strings.HasPrefix(kind, "update/account") && kind != "update/user_stats" {
			t.Errorf("no frame %q on the other side, which had %v", kind, b.Frames)
		}
	}
}
