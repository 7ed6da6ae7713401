package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
)

const btcEth = "captures/lighter/ws-btc-eth-20251009.ndjson.gz"

// TestCaptureIsByteIdentical plays a whole recording to two clients, one there from the beginning and one that joins on
// the way: each update arrives byte for byte, and both books end as the recording's.
func TestCaptureIsByteIdentical(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	c, err := NewCapture(CaptureOptions{File: path, KeepTime: true, Speed: 40, WaitSubscriptions: 2})
	if err != nil {
		t.Fatal(err)
	}
	lines, bad, err := readRecording(path)
	if err != nil || bad != 0 || len(lines) != 4663 {
		t.Fatalf("%d lines, %d bad, %v", len(lines), bad, err)
	}
	addr := serve(t, c, ServeOptions{})
	early := dial(t, addr)
	early.read()
	early.subscribe("order_book/1")
	early.subscribe("trade/1")
	want := map[string][][]byte{}
	for _, l := range lines {
		if l.channel == "order_book:1" || l.channel == "trade:1" {
			want[l.channel] = append(want[l.channel], l.frame)
		}
	}
	late := dial(t, addr)
	late.read()
	for n := range len(want["order_book:1"]) + len(want["trade:1"]) {
		f := early.read()
		var head frameHead
		if err := json.Unmarshal([]byte(f), &head); err != nil {
			t.Fatal(err)
		}
		list := want[head.Channel]
		if strings.HasPrefix(head.Type, "update/") && f != string(list[0]) {
			t.Fatalf("%s frame %d:\n got %.300s\nwant %.300s", head.Channel, n, f, list[0])
		}
		want[head.Channel] = list[1:]
		if n == 900 {
			late.subscribe("order_book/1")
		}
	}
	<-c.Done()
	last := ""
	for _, l := range lines {
		if l.channel == "order_book:1" {
			last = string(l.frame)
		}
	}
	own := newHeldState()
	for f := ""; f != last; {
		f = late.read()
		l, ok := parseLine([]byte(f))
		if !ok {
			t.Fatalf("frame %.100s", f)
		}
		own.apply(&l)
	}
	bids, asks, ok := c.Book(1)
	if !ok || len(bids) < 3000 || len(asks) < 3000 {
		t.Fatalf("final book: %d bids, %d asks", len(bids), len(asks))
	}
	if !slices.Equal(own.books[1].levels(model.Bid), bids) || !slices.Equal(own.books[1].levels(model.Ask), asks) {
		t.Error("the late client's book is not the capture's")
	}
}

// TestShiftOnlyMovesTimes shifts every recorded frame there and back.
func TestShiftOnlyMovesTimes(t *testing.T) {
	for _, name := range []string{btcEth, "captures/lighter/ws-hype-20260419.ndjson.gz", "captures/lighter/ws-market-stats-all-20251101.ndjson.gz"} {
		lines, _, err := readRecording(feedtest.Recording(t, name))
		if err != nil {
			t.Fatal(err)
		}
		const offset = 35 * 24 * hourMicros // whole hours, so that bars and funding hours move as far as the rest
		for _, l := range lines {
			there := shiftTimes(nil, l.frame, offset)
			if back := shiftTimes(nil, there, -offset); !bytes.Equal(back, l.frame) || len(there) != len(l.frame) {
				t.Fatalf("%.300s", back)
			}
		}
	}
	got := string(shiftTimes(nil, []byte(`{"t":1776583920000,"timestamp":0,"x":"timestamp","last_updated_at":1776613884508897,"a":1776583920000}`), 61_500_000))
	if want := `{"t":1776583980000,"timestamp":0,"x":"timestamp","last_updated_at":1776613946008897,"a":1776583920000}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestCaptureIsNow checks that the times of a shifted recording are today's, in frames and in answers to a subscribe.
func TestCaptureIsNow(t *testing.T) {
	began := time.Now()
	c, err := NewCapture(CaptureOptions{File: feedtest.Recording(t, "captures/lighter/ws-hype-20260419.ndjson.gz"), WaitSubscriptions: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := dial(t, serve(t, c, ServeOptions{}))
	s.read()
	s.subscribe("order_book/24")
	nonce := int64(0)
	for i := range 5 {
		var f struct {
			bookFrame
			Timestamp int64 `json:"timestamp"`
			Updated   int64 `json:"last_updated_at"`
		}
		if err := json.Unmarshal([]byte(s.read()), &f); err != nil {
			t.Fatal(err)
		}
		if at := time.UnixMilli(f.Timestamp); at.Before(began.Add(-5*time.Second)) || time.Until(at) > time.Second {
			t.Errorf("frame %d is of %v", i, at)
		}
		if at := time.UnixMicro(f.Updated); at.Before(began.Add(-5*time.Second)) || time.Until(at) > time.Second {
			t.Errorf("book of frame %d is of %v", i, at)
		}
		if i > 0 && f.OrderBook.Begin != nonce {
			t.Errorf("frame %d begins at %d, not %d", i, f.OrderBook.Begin, nonce)
		}
		nonce = f.OrderBook.Nonce
	}
}

// TestCaptureLoops plays a tiny recording again and again: the answer to the subscribe is sent anew each time.
func TestCaptureLoops(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.jsonl")
	text := `{"channel":"order_book:7","offset":1,"order_book":{"code":0,"asks":[{"price":"2.0","size":"1.00000"}],"bids":[],"offset":1},"timestamp":1760041996048,"type":"subscribed/order_book"}
broken
{"channel":"order_book:7","offset":2,"order_book":{"code":0,"asks":[],"bids":[{"price":"1.0","size":"5.00000"}],"offset":2},"timestamp":1760041996058,"type":"update/order_book"}
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := NewCapture(CaptureOptions{File: name, Loop: true, KeepTime: true, WaitSubscriptions: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := dial(t, serve(t, c, ServeOptions{}))
	s.read()
	s.subscribe("order_book/7")
	lines := strings.Split(text, "\n")
	for range 3 {
		if f := s.read(); f != lines[0] {
			t.Errorf("got %s", f)
		}
		if f := s.read(); f != lines[2] {
			t.Errorf("got %s", f)
		}
	}
}

func TestCaptureWithoutFrames(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(name, []byte("{}\nnothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewCapture(CaptureOptions{File: name}); !errors.Is(err, ErrEmptyCapture) {
		t.Errorf("got %v", err)
	}
	if _, err := NewCapture(CaptureOptions{File: name + "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
