package market

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// recording opens a recorded file; see the README on where recordings are.
func recording(t *testing.T, name string) *bufio.Scanner {
	t.Helper()
	f, err := os.Open(feedtest.Recording(t, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	return lines
}

type levelText struct{ Price, Size string }

type bookFrame struct {
	Recv model.Micros `json:"recv_us"`
	Msg  struct {
		Channel string
		Type    string
		Time    model.Millis `json:"timestamp"`
		Offset  uint64
		Book    struct {
			Bids, Asks []levelText
			Offset     uint64
		} `json:"order_book"`
	}
}

// TestRecordedBooks imports a real recording of two deep books and compares the view after every frame, and at every
// full second, with plain maps.
func TestRecordedBooks(t *testing.T) {
	lines := recording(t, "captures/lighter/ws-btc-eth-20251009.ndjson.gz")
	var want [2]sides
	var last [2]*book.View
	frames, ticks := 0, 0
	check := &recordedCheck{t: t, want: &want, last: &last, ticks: &ticks}
	i := NewImporter(Options{Listeners: []Listener{check}})
	if _, err := i.Registry().Upsert([]model.Market{market(0), market(1)}); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		var f bookFrame
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		native, ok := strings.CutPrefix(f.Msg.Channel, "order_book:")
		if !ok {
			continue
		}
		id, err := strconv.Atoi(native)
		if err != nil {
			t.Fatal(err)
		}
		u := &model.BookUpdate{Snapshot: f.Msg.Type == "subscribed/order_book", Seq: f.Msg.Book.Offset, Prev: f.Msg.Book.Offset - 1}
		check.next = func() {
			if u.Snapshot {
				want[id] = newSides()
			}
			for s, levels := range [2][]model.Level{u.Bids, u.Asks} {
				for _, l := range levels {
					if want[id][s][l.Price] = l.Size; l.Size == 0 {
						delete(want[id][s], l.Price)
					}
				}
			}
		}
		u.Bids, u.Asks = parseLevels(t, f.Msg.Book.Bids), parseLevels(t, f.Msg.Book.Asks)
		i.Handle(&model.Event{Market: model.MarketID(id), Time: f.Msg.Time, Recv: f.Recv, Payload: u})
		frames++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if frames != 3759 || check.events != frames || ticks < 28 || check.gaps != 0 {
		t.Fatalf("%d frames, %d told, %d ticks, %d gaps", frames, check.events, ticks, check.gaps)
	}
}

func parseLevels(t *testing.T, in []levelText) (out []model.Level) {
	for _, l := range in {
		p, err := num.Parse([]byte(l.Price), 2)
		if err != nil {
			t.Fatal(err)
		}
		s, err := num.Parse([]byte(l.Size), 5)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, model.Level{Price: num.Price(p), Size: num.Size(s)})
	}
	return out
}

// recordedCheck moves the reference by each frame when it is told, so that ticks in between see the state before it.
type recordedCheck struct {
	t            *testing.T
	want         *[2]sides
	last         *[2]*book.View
	next         func()
	ticks        *int
	events, gaps int
}

func (c *recordedCheck) OnEvent(e *model.Event, v *book.View) {
	if _, gap := e.Payload.(*model.Gap); gap {
		c.gaps++
		return
	}
	c.events++
	c.next()
	c.last[e.Market] = v
	want := c.want[e.Market]
	if v.Len(model.Bid) != len(want[model.Bid]) || v.Len(model.Ask) != len(want[model.Ask]) {
		c.t.Fatalf("view %d has %d and %d levels, want %d and %d", v.Seq, v.Len(model.Bid), v.Len(model.Ask), len(want[model.Bid]), len(want[model.Ask]))
	}
	for s, side := range want {
		for l := range v.Levels(model.Side(s), 0) {
			if side[l.Price] != l.Size {
				c.t.Fatalf("view %d has %v, want size %d", v.Seq, l, side[l.Price])
			}
		}
	}
}

func (c *recordedCheck) OnTick(sec model.Micros, held []Held) {
	*c.ticks++
	for _, h := range held {
		if h.View != c.last[h.Market.ID] || !c.want[h.Market.ID].equals(h.View) {
			c.t.Fatalf("tick %d: the book of market %d is not the reference", sec, h.Market.ID)
		}
	}
}
