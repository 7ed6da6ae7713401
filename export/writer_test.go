package export

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// someTrades makes trades in the order of their file.
func someTrades(n int, seed uint64) []Trade {
	rnd := rand.New(rand.NewPCG(seed, 1))
	rows := make([]Trade, n)
	at, price := int64(day), int64(112_000_000000)
	hash, recv := "", int64(0)
	for i := range rows {
		if i == 0 || rnd.IntN(3) == 0 { // a sweep of one taker
			at += rnd.Int64N(50)
			hash, recv = fmt.Sprintf("%016x%016x%048x", 7_000_000_000+3*i, at, 0), at*1000+40_000+rnd.Int64N(20_000)
		}
		price += (rnd.Int64N(7) - 3) * 10_000
		r := Trade{Timestamp: at, RecvTS: recv, MarketID: 1, Symbol: "BTC", TradeID: int64(1_000_000 + i), Type: "trade", Side: "sell",
			Price: price, Size: (1 + rnd.Int64N(2000)*rnd.Int64N(50)) * 100, AskAccountID: rnd.Int64N(20_000), BidAccountID: rnd.Int64N(20_000),
			AskID: 562_949_953_421_311 - int64(i)*7, BidID: 281_474_976_710_656 + int64(i)*13, BlockHeight: (at - day) / 500, TxHash: hash}
		r.USDAmount = r.Price / 1_000_000 * r.Size
		if rnd.IntN(2) == 0 {
			r.Side, r.IsMakerAsk = "buy", true
		}
		if rnd.IntN(20) == 0 {
			r.RecvTS, r.TxHash, r.MakerFee = 0, "", 28
		}
		rows[i] = r
	}
	return rows
}

// writeBy writes rows with so many encoders, in parts of random length.
func writeBy[T Row[T]](t interface{ Fatal(...any) }, rows []T, encoders, size int, rnd *rand.Rand) []byte {
	var out bytes.Buffer
	w := newWriter[T](&out, Footer{Venue: "lighter"}, encoders)
	w.size = min(w.size, size)
	for rest := rows; len(rest) > 0; {
		n := min(len(rest), 1+rnd.IntN(2*size))
		part := append([]T(nil), rest[:n]...)
		if err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		clear(part) // the caller's again
		rest = rest[n:]
	}
	if w.Rows() != int64(len(rows)) {
		t.Fatal("the writer counts ", w.Rows(), " rows of ", len(rows))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A file is the same whatever number of row groups was encoded at once and however its rows were handed over, and the rows
// come back.
func TestFilesAreTheSameWithAnyNumberOfEncoders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		size := rapid.IntRange(20, 80).Draw(rt, "rows of a group")
		rows := someTrades(rapid.IntRange(0, 250).Draw(rt, "rows"), seed)
		rnd := rand.New(rand.NewPCG(seed, 2))
		one := writeBy(rt, rows, 1, size, rnd)
		many := writeBy(rt, rows, rapid.IntRange(2, 9).Draw(rt, "encoders"), size, rnd)
		if !bytes.Equal(one, many) {
			rt.Fatalf("%d and %d bytes differ", len(one), len(many))
		}
		got, err := readAll[Trade](open(t, many))
		if err != nil {
			rt.Fatal(err)
		}
		if len(got) != len(rows) || len(rows) > 0 && !reflect.DeepEqual(got, rows) {
			rt.Fatalf("other rows came back: %d of %d", len(got), len(rows))
		}
	})
}

// What a row points to is its caller's again when Write returns.
func TestWriterKeepsLevels(t *testing.T) {
	t.Parallel()
	levels := []Level{{1, 1}, {2, 2}}
	var out bytes.Buffer
	w := NewWriter[Snapshot](&out, Footer{})
	for i := range 3 {
		levels[0].Price = int64(i)
		if err := w.Write([]Snapshot{{Timestamp: day + int64(i), Bids: levels, Asks: levels[:1]}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := readAll[Snapshot](open(t, out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		if len(r.Bids) != 2 || len(r.Asks) != 1 || r.Bids[0].Price != int64(i) || r.Asks[0].Price != int64(i) {
			t.Errorf("row %d is %+v", i, r)
		}
	}
}

// full takes some bytes and no more.
type full struct{ left int }

var errFull = errors.New("no space")

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// After an error nothing is written any more, so that no file lacks rows; and no goroutine stays.
func TestWriterEndsWithItsFirstError(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	rows := someTrades(5000, 1)
	for _, left := range []int{0, 100, 30_000} {
		w := newWriter[Trade](&full{left}, Footer{}, 3)
		w.size = 500
		err := w.Write(rows)
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("with %d bytes left: %v", left, err)
		}
		if again, last := w.Write(rows[:1]), w.Close(); !errors.Is(again, errFull) || !errors.Is(last, errFull) {
			t.Errorf("then: %v, %v", again, last)
		}
	}
	w := newWriter[Trade](io.Discard, Footer{}, 3)
	w.size = 500
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rows[:1]); !errors.Is(err, ErrOrder) {
		t.Errorf("a row that came before: %v", err)
	}
	if err := w.Close(); !errors.Is(err, ErrOrder) {
		t.Errorf("a file that lacks a row is finished: %v", err)
	}
}

// Of one receive time the nonce may fall, as of two connections: such rows stay as they were received, and the file is sorted by
// the receive time alone.
func TestUpdatesOfOneMomentStayAsReceived(t *testing.T) {
	t.Parallel()
	at := int64(day) * 1000
	rows := []BookUpdate{
		{RecvTS: at, Nonce: 7, Side: "bid", Price: 2, Size: 1}, {RecvTS: at, Nonce: 3, Snapshot: true, Side: "bid", Price: 3, Size: 1},
		{RecvTS: at, Nonce: 3, Snapshot: true, Side: "ask", Price: 4, Size: 1}, {RecvTS: at, Nonce: 5, Side: "ask", Price: 4},
		{RecvTS: at + 1, Nonce: 4, Side: "bid", Price: 1, Size: 9},
	}
	var out bytes.Buffer
	w := NewWriter[BookUpdate](&out, Footer{})
	if err := errors.Join(w.Write(rows), w.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readAll[BookUpdate](f); err != nil || !slices.Equal(got, rows) {
		t.Errorf("%+v, %v", got, err)
	}
	if n, err := countRows(t.Context(), f); err != nil || n != int64(len(rows)) {
		t.Errorf("%d rows are in order, %v", n, err)
	}
	sorted := f.inner.RowGroups()[0].SortingColumns()
	if len(sorted) != 1 || !slices.Equal(sorted[0].Path(), []string{"recv_ts"}) {
		t.Errorf("it says that it is sorted by %v", sorted)
	}
	w = NewWriter[BookUpdate](&out, Footer{})
	if err := w.Write([]BookUpdate{rows[4], rows[0]}); !errors.Is(err, ErrOrder) {
		t.Errorf("a receive time that falls: %v", err)
	}
}

// BenchmarkWriter writes trades of one market.
func BenchmarkWriter(b *testing.B) {
	rows := someTrades(4*MaxGroupRows, 1)
	for _, encoders := range []int{1, 2} {
		b.Run(fmt.Sprintf("encoders=%d", encoders), func(b *testing.B) {
			var size countingWriter
			b.ReportAllocs()
			for b.Loop() {
				size = 0
				w := newWriter[Trade](&size, Footer{Venue: "lighter"}, encoders)
				for at := 0; at < len(rows); at += 4096 {
					if err := w.Write(rows[at:min(len(rows), at+4096)]); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(size)/float64(len(rows)), "B/row")
		})
	}
}

type countingWriter int64

func (w *countingWriter) Write(b []byte) (int, error) {
	*w += countingWriter(len(b))
	return len(b), nil
}
