package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net"
	"testing"
	"time"
)

var testStart = time.Date(2026, 11, 1, 11, 59, 30, 0, time.UTC)

// TestInvariants runs a lively exchange and checks the ledgers again and again; liquidations of every kind happen.
func TestInvariants(t *testing.T) {
	x := New(Options{Seed: 3, Markets: 12, Accounts: 800, Rate: 1500, Volatility: 60, Start: testStart})
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	for i := range 80 {
		x.AdvanceBy(430 * time.Millisecond)
		if err := x.Check(); err != nil {
			t.Fatalf("check %d: %v", i, err)
		}
	}
	c := x.Totals()
	t.Logf("%+v", c)
	if c.Liquidations == 0 || c.PoolTakeovers == 0 || c.Trades == 0 || c.FundingRounds != 1 {
		t.Errorf("too little happened: %+v", c)
	}
}

// TestDeleverage takes the pool's money away: positions that it would have taken go to the best-placed holders instead.
func TestDeleverage(t *testing.T) {
	x := New(Options{Seed: 3, Markets: 6, Accounts: 600, Rate: 800, Volatility: 60, Start: testStart})
	x.fund.collateral += x.pool.collateral
	x.pool.collateral = 0
	forced := 0
	x.Tap(func(channel string, frame []byte) {
		forced += bytes.Count(frame, []byte(`"type":"deleverage"`))
	})
	for range 20 {
		x.AdvanceBy(time.Second)
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if c := x.Totals(); c.Deleverages == 0 || forced == 0 || c.PoolTakeovers > 0 {
		t.Errorf("%+v, %d deleverage trades told", c, forced)
	}
}

// TestSizes builds the smallest and a large exchange: no books, accounts or listings run out.
func TestSizes(t *testing.T) {
	for _, o := range []Options{{Markets: 1, Accounts: 1, Rate: 1}, {Markets: 300, Accounts: 50, Rate: 20000}, {Markets: 1, Accounts: 10, Rate: 20000}} {
		o.Start = testStart
		x := New(o)
		x.AdvanceBy(2 * time.Second)
		if err := x.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		if n := len(x.Markets()); n != o.Markets {
			t.Errorf("%d markets, want %d", n, o.Markets)
		}
		want := o.Rate * 2 // a single market cannot show that many: its batches hide most repeats
		if got := float64(x.Totals().LevelChanges); o.Markets > 1 && (got < 0.8*want || got > 1.2*want) {
			t.Errorf("%d markets: %v level changes in 2 s, want %v", o.Markets, got, want)
		}
	}
}

func digest(o Options, d time.Duration) (string, int) {
	x := New(o)
	var sum hash.Hash = sha256.New()
	frames := 0
	x.Tap(func(channel string, frame []byte) {
		frames++
		fmt.Fprintf(sum, "%s %d\n", channel, len(frame))
		sum.Write(frame)
	})
	x.AdvanceBy(d)
	return hex.EncodeToString(sum.Sum(nil)), frames
}

// TestDeterminism compares every frame of two runs with one seed, and of a third with another.
func TestDeterminism(t *testing.T) {
	o := Options{Seed: 7, Markets: 10, Accounts: 300, Rate: 2000, Start: testStart}
	length := inSoak(10*time.Second, 2*time.Second)
	a, n := digest(o, length)
	b, _ := digest(o, length)
	if a != b {
		t.Error("one seed, two sequences of frames")
	}
	if o.Seed = 8; n < 500 {
		t.Errorf("only %d frames", n)
	}
	if c, _ := digest(o, length); c == a {
		t.Error("two seeds, one sequence of frames")
	}
}

// BenchmarkStep runs one second of the load that the simulator must carry: 100 markets, 20,000 level changes a second,
// everything subscribed.
func BenchmarkStep(b *testing.B) {
	x := New(Options{Seed: 1, Markets: 100, Accounts: 5000, Rate: 20000, Start: testStart})
	bytes := 0
	x.Tap(func(_ string, frame []byte) { bytes += len(frame) })
	b.ReportAllocs()
	before := x.Totals()
	for b.Loop() {
		x.AdvanceBy(time.Second)
	}
	after := x.Totals()
	n := float64(b.N)
	b.ReportMetric(float64(after.LevelChanges-before.LevelChanges)/n, "levels/op")
	b.ReportMetric(float64(after.BookFrames-before.BookFrames)/n, "bookframes/op")
	b.ReportMetric(float64(after.Trades-before.Trades)/n, "trades/op")
	b.ReportMetric(float64(bytes)/n, "bytes/op-out")
}

// TestServeEndsWhileItStarts ends the venue before, or just as, its listener is taken over.
func TestServeEndsWhileItStarts(t *testing.T) {
	x := New(Options{Seed: 1, Markets: 1, Accounts: 1, Rate: 1})
	for i := range 40 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i)*5*time.Microsecond, cancel)
		if i%2 == 0 {
			cancel()
		}
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, ln, x, ServeOptions{}) }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("start %d: %v", i, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("start %d never ends", i)
		}
	}
}
