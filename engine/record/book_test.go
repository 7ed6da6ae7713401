package record

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func anyLevels(t *rapid.T, name string) []model.Level {
	price := rapid.OneOf(rapid.Int64Range(1_000_000, 1_000_300), rapid.Int64())
	size := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 1<<30), rapid.Int64())
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) model.Level {
		return model.Level{Price: num.Price(price.Draw(t, "price")), Size: num.Size(size.Draw(t, "size"))}
	}), 0, 40).Draw(t, name)
}

// anyRow draws rows that follow one another in the venue's way about as often as not.
func anyRow(t *rapid.T, prev *BookRow) BookRow {
	i64 := rapid.OneOf(rapid.Int64Range(-5, 50_000), rapid.Int64())
	u64 := rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64())
	r := BookRow{Epoch: 2}
	u := &r.Update
	r.Time = prev.Time + model.Millis(i64.Draw(t, "time"))
	r.Recv = prev.Recv + model.Micros(i64.Draw(t, "recv"))
	u.Prev, u.Seq, u.Offset = prev.Update.Seq, prev.Update.Seq+1, prev.Update.Offset+1
	if rapid.Bool().Draw(t, "jump") {
		u.Prev = u64.Draw(t, "prev")
	}
	if rapid.Bool().Draw(t, "nonce") {
		u.Seq, u.Offset, u.Chained = u.Prev+u64.Draw(t, "seq"), u64.Draw(t, "offset"), true
	}
	if rapid.Bool().Draw(t, "updated") {
		u.UpdatedAt = r.Time.Micros() - model.Micros(i64.Draw(t, "age"))
	}
	u.Snapshot = rapid.Bool().Draw(t, "snapshot")
	u.Bids, u.Asks = anyLevels(t, "bids"), anyLevels(t, "asks")
	return r
}

func anyRows(t *rapid.T, prev BookRow) (rows []BookRow) {
	for range rapid.IntRange(0, 20).Draw(t, "count") {
		rows = append(rows, anyRow(t, &prev))
		prev = rows[len(rows)-1]
	}
	return rows
}

func headerOf(rows []BookRow, epoch uint8, recv model.Micros) Header {
	h := Header{Epoch: epoch, Updates: uint32(len(rows)), First: int64(recv), Last: int64(recv)}
	for i, r := range rows {
		if i == 0 {
			h.First, h.Last = int64(r.Recv), int64(r.Recv)
		}
		h.First, h.Last = min(h.First, int64(r.Recv)), max(h.Last, int64(r.Recv))
		h.Levels += uint32(len(r.Update.Bids) + len(r.Update.Asks))
	}
	return h
}

// fataler is testing.TB and *rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func sameLevels(a, b []model.Level) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

func checkRows(t fataler, c *BookCursor, b []byte, rows []BookRow, want Header) {
	t.Helper()
	if h, err := BookHeader(b); err != nil || h != want {
		t.Fatalf("header is %+v, %v, want %+v", h, err, want)
	}
	if err := c.Open(b); err != nil {
		t.Fatal(err)
	}
	if c.Header() != want {
		t.Fatalf("cursor's header is %+v, want %+v", c.Header(), want)
	}
	for i := range rows {
		if !c.Next() {
			t.Fatalf("ended at row %d of %d: %v", i, len(rows), c.Err())
		}
		got, want := *c.Row(), rows[i]
		if !sameLevels(got.Update.Bids, want.Update.Bids) || !sameLevels(got.Update.Asks, want.Update.Asks) {
			t.Fatalf("levels of row %d:\n got %+v\nwant %+v", i, got, want)
		}
		got.Update.Bids, got.Update.Asks, want.Update.Bids, want.Update.Asks = nil, nil, nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("row %d:\n got %+v\nwant %+v", i, got, want)
		}
	}
	if c.Next() || c.Err() != nil {
		t.Fatalf("after the last row: %v", c.Err())
	}
}

func TestBookBlocksRoundTrip(t *testing.T) {
	var b BookBlock // reused over all cases, as the writer does
	var c BookCursor
	rapid.Check(t, func(t *rapid.T) {
		rows := anyRows(t, BookRow{Time: 1_760_041_996_000, Recv: 1_760_041_996_100_000})
		b.Reset(2)
		for i := range rows {
			b.Add(&rows[i].Update, rows[i].Time, rows[i].Recv)
			// An open block is complete after every update.
			if rapid.Bool().Draw(t, "look") {
				checkRows(t, &c, b.Bytes(), rows[:i+1], headerOf(rows[:i+1], 2, 0))
			}
		}
		if b.Updates() != len(rows) {
			t.Fatalf("%d updates of %d", b.Updates(), len(rows))
		}
		checkRows(t, &c, b.Bytes(), rows, headerOf(rows, 2, 0))
		if c.Keyframe() != nil {
			t.Fatal("a block has a keyframe")
		}
	})
}

func anyKeyframe(t *rapid.T) *Keyframe {
	i64 := rapid.OneOf(rapid.Int64Range(0, 1<<51), rapid.Int64())
	return &Keyframe{Meta: book.Meta{
		Seq: rapid.Uint64().Draw(t, "seq"), Offset: rapid.Uint64().Draw(t, "offset"), Time: model.Millis(i64.Draw(t, "time")),
		Recv: model.Micros(i64.Draw(t, "recv")), UpdatedAt: model.Micros(i64.Draw(t, "updated")), Epoch: 2, Chained: rapid.Bool().Draw(t, "chained"),
	}, Bids: anyLevels(t, "bids"), Asks: anyLevels(t, "asks")}
}

func sameKeyframe(a, b *Keyframe) bool {
	return a.Meta == b.Meta && sameLevels(a.Bids, b.Bids) && sameLevels(a.Asks, b.Asks)
}

func TestKeyframesRoundTrip(t *testing.T) {
	var reused Keyframe
	rapid.Check(t, func(t *rapid.T) {
		k := anyKeyframe(t)
		b := k.Append(nil)
		got, err := DecodeKeyframe(b)
		if err != nil || !sameKeyframe(got, k) {
			t.Fatalf("got %+v, %v, want %+v", got, err, k)
		}
		if err := reused.Decode(b); err != nil || !sameKeyframe(&reused, k) {
			t.Fatalf("reused: got %+v, %v, want %+v", reused, err, k)
		}
	})
}

func TestKeyframeOfView(t *testing.T) {
	v := book.NewView(book.Meta{Seq: 7, Recv: 5_000_000, Time: 4_990, Epoch: 1},
		[]model.Level{{Price: 99, Size: 1}, {Price: 98, Size: 2}}, []model.Level{{Price: 101, Size: 3}})
	var k Keyframe
	k.SetView(v)
	b := AppendKeyframe(nil, v)
	if got := k.Append(nil); string(got) != string(b) {
		t.Fatalf("the view gives %x, its keyframe %x", b, got)
	}
	got, err := DecodeKeyframe(b)
	if err != nil || !sameKeyframe(got, &k) || got.Bids[0].Price != 99 || len(got.Asks) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if w := got.View(); w.Meta != v.Meta || w.Len(model.Bid) != 2 {
		t.Fatalf("view is %+v", w)
	}
}

func TestBookSegmentsRoundTrip(t *testing.T) {
	var s BookSegment
	var c BookCursor
	rapid.Check(t, func(t *rapid.T) {
		k := anyKeyframe(t)
		rows := anyRows(t, BookRow{Time: k.Time, Recv: k.Recv, Update: model.BookUpdate{Seq: k.Seq, Offset: k.Offset}})
		s.Begin(k)
		for i := range rows {
			s.AddRow(&rows[i])
		}
		want := headerOf(rows, 2, k.Recv)
		if s.Updates() != len(rows) || s.Levels() != int(want.Levels) {
			t.Fatalf("segment counts %d updates, %d levels", s.Updates(), s.Levels())
		}
		b := s.Finish([]byte("before"))[6:]
		checkRows(t, &c, b, rows, want)
		if !sameKeyframe(c.Keyframe(), k) {
			t.Fatalf("keyframe is %+v, want %+v", c.Keyframe(), k)
		}
	})
}

// The real updates come back exactly, hot and sealed, and take few bytes.
func TestBooksOfTheRecordings(t *testing.T) {
	for _, name := range []string{"ws-btc-eth-20251009.ndjson.gz", "ws-hype-20260419.ndjson.gz"} {
		for id, r := range loadRecording(t, name) {
			if len(r.Updates) == 0 {
				continue
			}
			first, rows := &r.Updates[0], r.Updates[1:]
			if !first.Update.Snapshot {
				t.Fatal("a recording begins with a snapshot")
			}
			k := &Keyframe{Meta: book.Meta{Seq: first.Update.Seq, Offset: first.Update.Offset, Time: first.Time, Recv: first.Recv},
				Bids: first.Update.Bids, Asks: first.Update.Asks}
			keyframe := k.Append(nil)
			var c BookCursor
			var s, empty BookSegment
			empty.Begin(k)
			s.Begin(k)
			var hot, levels int
			for begin := 0; begin < len(rows); {
				var b BookBlock
				second, i := rows[begin].Recv.Second(), begin
				for ; i < len(rows) && rows[i].Recv.Second() == second; i++ {
					b.Add(&rows[i].Update, rows[i].Time, rows[i].Recv)
				}
				checkRows(t, &c, b.Bytes(), rows[begin:i], headerOf(rows[begin:i], 0, 0))
				hot += len(b.Bytes())
				begin = i
			}
			for i := range rows {
				s.AddRow(&rows[i])
				levels += len(rows[i].Update.Bids) + len(rows[i].Update.Asks)
			}
			sealed := s.Finish(nil)
			checkRows(t, &c, sealed, rows, headerOf(rows, 0, 0))
			alone := empty.Finish(nil)
			n, depth := float64(len(rows)), float64(len(k.Bids)+len(k.Asks))
			t.Logf("market %d: %.0f updates of %.1f levels; bytes each: hot %.1f, sealed %.1f without keyframe (%.2f a level); keyframe: %.2f a level, sealed %.2f",
				id, n, float64(levels)/n, float64(hot)/n, float64(len(sealed)-len(alone))/n, float64(len(sealed)-len(alone))/float64(levels),
				float64(len(keyframe))/depth, float64(len(alone))/depth)
		}
	}
}

func TestBookVersions(t *testing.T) {
	var b BookBlock
	v := append([]byte(nil), b.Bytes()...)
	checkRows(t, new(BookCursor), v, nil, Header{})
	v[0] = 2
	var c BookCursor
	for _, err := range []error{c.Open(v), func() error { _, err := BookHeader(v); return err }(), func() error { _, err := DecodeKeyframe(v); return err }()} {
		if !errors.Is(err, ErrVersion) {
			t.Errorf("got %v", err)
		}
	}
	if err := c.Open(nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	if c.Next() {
		t.Error("a row after an error")
	}
}
