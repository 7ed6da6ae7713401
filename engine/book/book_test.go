package book

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// naive is the reference: a map per side and the rules in the plainest words.
type naive struct {
	sides   [2]map[num.Price]num.Size
	seq     uint64
	synced  bool
	unknown uint64
}

func newNaive() *naive {
	return &naive{sides: [2]map[num.Price]num.Size{{}, {}}}
}

func (m *naive) apply(u *model.BookUpdate) error {
	if u.Snapshot {
		for s, levels := range [2][]model.Level{u.Bids, u.Asks} {
			m.sides[s] = map[num.Price]num.Size{}
			for _, l := range levels {
				m.sides[s][l.Price] = l.Size
			}
			maps.DeleteFunc(m.sides[s], func(_ num.Price, size num.Size) bool { return size <= 0 })
		}
	} else {
		switch {
		case !m.synced:
			return ErrUnsynced
		case u.Seq <= m.seq:
			return ErrStale
		case u.Prev != m.seq:
			m.synced = false
			return ErrGap
		}
		for s, levels := range [2][]model.Level{u.Bids, u.Asks} {
			for _, l := range levels {
				_, there := m.sides[s][l.Price]
				switch {
				case l.Size > 0:
					m.sides[s][l.Price] = l.Size
				case there:
					delete(m.sides[s], l.Price)
				default:
					m.unknown++
				}
			}
		}
	}
	m.seq = u.Seq
	bids, asks := m.levels(model.Bid), m.levels(model.Ask)
	m.synced = len(bids) == 0 || len(asks) == 0 || bids[0].Price < asks[0].Price
	if !m.synced {
		return ErrCrossed
	}
	return nil
}

func (m *naive) levels(s model.Side) []model.Level {
	var out []model.Level
	for p, size := range m.sides[s] {
		out = append(out, model.Level{Price: p, Size: size})
	}
	slices.SortFunc(out, func(a, b model.Level) int {
		if s == model.Bid {
			a, b = b, a
		}
		return cmp.Compare(a.Price, b.Price)
	})
	return out
}

// checkSide holds the chunk rules: sorted, none empty or overfull, counted right.
func checkSide(t *rapid.T, d *side) {
	n := 0
	for i, c := range d.chunks {
		if c.n < 1 || c.n > chunkLevels {
			t.Fatalf("chunk %d of %d has %d levels", i, len(d.chunks), c.n)
		}
		n += c.n
		for k := range c.used() {
			var prev model.Level
			switch {
			case k > 0:
				prev = c.levels[k-1]
			case i > 0:
				prev = d.chunks[i-1].levels[d.chunks[i-1].n-1]
			default:
				continue
			}
			if int64(prev.Price)^d.flip >= int64(c.levels[k].Price)^d.flip {
				t.Fatalf("chunk %d level %d: %d after %d", i, k, c.levels[k].Price, prev.Price)
			}
		}
	}
	if n != d.len {
		t.Fatalf("side counts %d levels, has %d", d.len, n)
	}
}

// kept is a view and what it showed when it was published.
type kept struct {
	v    *View
	meta Meta
	want [2][]model.Level
}

func (k *kept) check(t *rapid.T) {
	if k.v.Meta != k.meta {
		t.Fatalf("a published view's state changed from %+v to %+v", k.meta, k.v.Meta)
	}
	for s := range k.want {
		side := model.Side(s)
		if got := k.v.Append(nil, side, 0); !slices.Equal(got, k.want[s]) {
			t.Fatalf("%s of the view at %d\n got %v\nwant %v", side, k.v.Seq, got, k.want[s])
		}
		if k.v.Len(side) != len(k.want[s]) {
			t.Fatalf("%s has %d levels, want %d", side, k.v.Len(side), len(k.want[s]))
		}
	}
}

// updates draws frames for a book whose bids lie around mid-width and asks around mid+width; now and then they cross.
type updates struct {
	width int64
	mid   int64
	seq   uint64
}

func (g *updates) price(t *rapid.T, s model.Side) num.Price {
	d := rapid.Int64Range(1, g.width).Draw(t, "distance")
	if s == model.Bid {
		d = -d
	}
	return num.Price(g.mid + d)
}

func (g *updates) levels(t *rapid.T, s model.Side, most int) []model.Level {
	out := make([]model.Level, rapid.IntRange(0, most).Draw(t, "levels"))
	for i := range out {
		out[i] = model.Level{Price: g.price(t, s), Size: num.Size(rapid.Int64Range(-1, 6).Draw(t, "size"))}
		if i > 0 && rapid.IntRange(0, 7).Draw(t, "repeat") == 0 {
			out[i].Price = out[rapid.IntRange(0, i-1).Draw(t, "which")].Price
		}
	}
	return out
}

func (g *updates) next(t *rapid.T, synced bool) *model.BookUpdate {
	u := &model.BookUpdate{Prev: g.seq, Seq: g.seq + uint64(rapid.IntRange(1, 4).Draw(t, "step")), Offset: g.seq, Chained: true}
	kind := rapid.IntRange(0, 39).Draw(t, "kind")
	if !synced && kind < 20 {
		kind = 0
	}
	switch {
	case kind == 0:
		u.Snapshot, u.Prev = true, 0
		u.Bids, u.Asks = g.levels(t, model.Bid, 400), g.levels(t, model.Ask, 400)
		g.seq = u.Seq
		return u
	case kind == 1: // a frame was lost
		u.Prev++
	case kind == 2: // one comes again
		u.Seq = g.seq - min(g.seq, uint64(rapid.IntRange(0, 3).Draw(t, "back")))
		u.Prev = u.Seq - min(u.Seq, 1)
		u.Bids = g.levels(t, model.Bid, 5)
		return u
	case kind == 3: // the sides cross, perhaps
		u.Bids = []model.Level{{Price: num.Price(g.mid + rapid.Int64Range(0, g.width).Draw(t, "over")), Size: 1}}
		g.seq = u.Seq
		return u
	}
	u.Bids, u.Asks = g.levels(t, model.Bid, 30), g.levels(t, model.Ask, 30)
	g.seq = u.Seq
	return u
}

// TestBookAgainstMap applies random frames to a book and to the map model, keeps views, and compares everything.
func TestBookAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, m := New(), newNaive()
		g := &updates{width: rapid.SampledFrom([]int64{5, 60, 600}).Draw(t, "width"), mid: rapid.Int64Range(-50, 5000).Draw(t, "mid")}
		var views []*kept
		wantMeta := Meta{}
		for i := range rapid.IntRange(20, 150).Draw(t, "frames") {
			u := g.next(t, m.synced)
			wantErr := m.apply(u)
			tm, recv := model.Millis(i), model.Micros(i*1000+1)
			before := *u
			if err := b.Apply(u, tm, recv); !errors.Is(err, wantErr) {
				t.Fatalf("frame %d %+v: %v, want %v", i, u, err, wantErr)
			}
			if !slices.Equal(before.Bids, u.Bids) || !slices.Equal(before.Asks, u.Asks) {
				t.Fatal("Apply changed the update")
			}
			if wantErr == nil || errors.Is(wantErr, ErrCrossed) {
				wantMeta = Meta{Seq: u.Seq, Offset: u.Offset, Time: tm, Recv: recv, Chained: u.Chained}
			}
			if b.Synced() != m.synced || b.Seq() != m.seq || b.Unknown() != m.unknown || b.Meta() != wantMeta {
				t.Fatalf("frame %d: synced %v seq %d unknown %d %+v, want %v %d %d %+v", i, b.Synced(), b.Seq(), b.Unknown(), b.Meta(), m.synced, m.seq, m.unknown, wantMeta)
			}
			for s := range b.sides {
				checkSide(t, &b.sides[s])
			}
			k := &kept{meta: wantMeta, want: [2][]model.Level{m.levels(model.Bid), m.levels(model.Ask)}}
			for s, want := range k.want {
				side := model.Side(s)
				if got := b.Append(nil, side, 0); !slices.Equal(got, want) || b.Len(side) != len(want) {
					t.Fatalf("frame %d: %s\n got %v\nwant %v", i, side, got, want)
				}
				best, ok := b.Best(side)
				if ok != (len(want) > 0) || ok && best != want[0] {
					t.Fatalf("best %s is %v, %v", side, best, ok)
				}
			}
			if rapid.IntRange(0, 2).Draw(t, "view") == 0 {
				k.v = b.View()
				if again := b.View(); again != k.v {
					t.Fatal("two views of one state")
				}
				views = append(views, k)
			}
			switch rapid.IntRange(0, 60).Draw(t, "other") {
			case 0:
				b.Desync()
				m.synced = false
			case 1:
				if len(views) > 0 { // go back to an old view and on from there
					k := views[rapid.IntRange(0, len(views)-1).Draw(t, "which")]
					b.Reset(k.v)
					wantMeta, m.seq, m.synced, g.seq = k.meta, k.meta.Seq, true, k.meta.Seq
					for s := range m.sides {
						m.sides[s] = map[num.Price]num.Size{}
						for _, l := range k.want[s] {
							m.sides[s][l.Price] = l.Size
						}
					}
				}
			}
		}
		for _, k := range views {
			k.check(t)
		}
		for i := 1; i < len(views); i++ {
			checkDiff(t, views[i-1], views[i])
			checkDiff(t, views[i], views[0])
		}
	})
}

// checkDiff applies the difference of two views to the first and wants the second.
func checkDiff(t *rapid.T, old, new *kept) {
	u := Diff(old.v, new.v)
	for s, levels := range [2][]model.Level{u.Bids, u.Asks} {
		was := map[num.Price]num.Size{}
		for _, l := range old.want[s] {
			was[l.Price] = l.Size
		}
		for _, l := range levels {
			if was[l.Price] == l.Size {
				t.Fatalf("difference names %v, which did not change", l)
			}
			was[l.Price] = l.Size
		}
		maps.DeleteFunc(was, func(_ num.Price, size num.Size) bool { return size == 0 })
		is := map[num.Price]num.Size{}
		for _, l := range new.want[s] {
			is[l.Price] = l.Size
		}
		if !maps.Equal(was, is) {
			t.Fatalf("difference %+v does not lead from %v to %v", levels, old.want[s], new.want[s])
		}
	}
	if u.Prev != old.v.Seq || u.Seq != new.v.Seq || u.Offset != new.v.Offset || u.Chained != new.v.Chained || u.Snapshot {
		t.Fatalf("difference is %+v", u)
	}
}

// TestViewMethods compares every way to read a view with the sorted levels it was made of.
func TestViewMethods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &updates{width: 300, mid: 400}
		m := newNaive()
		u := &model.BookUpdate{Snapshot: true, Seq: 7, Bids: g.levels(t, model.Bid, 200), Asks: g.levels(t, model.Ask, 200)}
		if err := m.apply(u); err != nil {
			t.Fatal(err)
		}
		meta := Meta{Seq: 7, Offset: 8, Time: 9, Recv: 10, UpdatedAt: 11, Epoch: 2, Chained: true}
		v := NewView(meta, u.Bids, u.Asks)
		b := New()
		b.SetEpoch(2)
		if err := b.Apply(&model.BookUpdate{Snapshot: true, Seq: 7, Offset: 8, UpdatedAt: 11, Chained: true, Bids: u.Bids, Asks: u.Asks}, 9, 10); err != nil {
			t.Fatal(err)
		}
		for _, v := range []*View{v, b.View()} {
			if v.Meta != meta {
				t.Fatalf("meta %+v, want %+v", v.Meta, meta)
			}
			for _, s := range []model.Side{model.Bid, model.Ask} {
				want := m.levels(s)
				n := rapid.IntRange(-1, len(want)+2).Draw(t, "n")
				if n > 0 && n < len(want) {
					want = want[:n]
				}
				if got := v.Append(nil, s, n); !slices.Equal(got, want) {
					t.Fatalf("Append %d of %s: %v, want %v", n, s, got, want)
				}
				if got := slices.Collect(v.Levels(s, n)); !slices.Equal(got, want) {
					t.Fatalf("Levels %d of %s: %v, want %v", n, s, got, want)
				}
				for l := range v.Levels(s, n) {
					if l != want[0] {
						t.Fatalf("first of Levels is %v, want %v", l, want[0])
					}
					break
				}
				best, ok := v.Best(s)
				if ok != (v.Len(s) > 0) || ok && best != want[0] {
					t.Fatalf("best %s is %v, %v", s, best, ok)
				}
			}
		}
		if d := Diff(v, b.View()); len(d.Bids)+len(d.Asks) != 0 {
			t.Fatalf("equal views differ by %+v", d)
		}
		empty := NewView(Meta{Epoch: 1}, nil, nil)
		d := Diff(empty, v)
		if !d.Snapshot || !slices.Equal(d.Bids, m.levels(model.Bid)) || !slices.Equal(d.Asks, m.levels(model.Ask)) {
			t.Fatalf("across scale epochs the difference is %+v, want a snapshot", d)
		}
	})
}

func TestReset(t *testing.T) {
	b := New()
	v := NewView(Meta{Seq: 5, Epoch: 3}, []model.Level{{Price: 1, Size: 1}}, []model.Level{{Price: 2, Size: 1}})
	b.Reset(v)
	if !b.Synced() || b.Seq() != 5 || b.Epoch() != 3 || b.Len(model.Bid) != 1 {
		t.Fatalf("reset to %+v, synced %v", b.Meta(), b.Synced())
	}
	if err := b.Apply(&model.BookUpdate{Prev: 5, Seq: 6, Bids: []model.Level{{Price: 1, Size: 9}}}, 0, 0); err != nil {
		t.Fatal(err)
	}
	if l, _ := v.Best(model.Bid); l.Size != 1 {
		t.Fatal("the view that a book was reset to changed with the book")
	}
	b.Reset(nil)
	if b.Synced() || b.Len(model.Bid) != 0 || b.Len(model.Ask) != 0 || b.Seq() != 0 || b.Epoch() != 3 {
		t.Fatalf("reset to nothing: %+v", b.Meta())
	}
	if err := b.Apply(&model.BookUpdate{Prev: 0, Seq: 1}, 0, 0); !errors.Is(err, ErrUnsynced) {
		t.Fatal(err)
	}
}

// TestOtherBooksChunks has two books start from one view: neither may change what the other one sees.
func TestOtherBooksChunks(t *testing.T) {
	a := New()
	levels := make([]model.Level, 200)
	for i := range levels {
		levels[i] = model.Level{Price: num.Price(i + 1), Size: 1}
	}
	if err := a.Apply(&model.BookUpdate{Snapshot: true, Seq: 1, Bids: levels}, 0, 0); err != nil {
		t.Fatal(err)
	}
	v := a.View()
	b := New()
	b.Reset(v)
	for i, x := range []*Book{a, b, a, b} {
		u := &model.BookUpdate{Prev: x.Seq(), Seq: x.Seq() + 1, Bids: []model.Level{{Price: 100, Size: num.Size(10 + i)}, {Price: num.Price(i + 1)}}}
		if err := x.Apply(u, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if v.Len(model.Bid) != 200 || a.Len(model.Bid) != 198 || b.Len(model.Bid) != 198 {
		t.Fatalf("levels: view %d, books %d and %d", v.Len(model.Bid), a.Len(model.Bid), b.Len(model.Bid))
	}
	for l := range v.Levels(model.Bid, 0) {
		if l.Size != 1 {
			t.Fatalf("the view has %v", l)
		}
	}
}

func TestRescale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &updates{width: 300, mid: 400}
		b, m := New(), newNaive()
		u := &model.BookUpdate{Snapshot: true, Seq: 1, Bids: g.levels(t, model.Bid, 150), Asks: g.levels(t, model.Ask, 150)}
		if errors.Join(m.apply(u), b.Apply(u, 0, 0)) != nil {
			t.Fatal("snapshot refused")
		}
		k := &kept{v: b.View(), meta: b.Meta(), want: [2][]model.Level{m.levels(model.Bid), m.levels(model.Ask)}}
		up, down := uint8(rapid.IntRange(0, 3).Draw(t, "price")), uint8(rapid.IntRange(0, 3).Draw(t, "size"))
		if err := b.Rescale(2, 1, 2+up, 1+down); err != nil {
			t.Fatal(err)
		}
		for s, want := range k.want {
			got := b.Append(nil, model.Side(s), 0)
			for i, l := range want {
				if len(got) != len(want) || int64(got[i].Price) != int64(l.Price)*num.Pow10(up) || int64(got[i].Size) != int64(l.Size)*num.Pow10(down) {
					t.Fatalf("rescaled by %d and %d: %v, was %v", up, down, got, want)
				}
			}
		}
		if err := b.Rescale(2+up, 1+down, 2, 1); err != nil {
			t.Fatal(err)
		}
		b.SetEpoch(1)
		if d := Diff(NewView(Meta{Epoch: 1}, k.want[0], k.want[1]), b.View()); len(d.Bids)+len(d.Asks) != 0 || b.View().Epoch != 1 {
			t.Fatalf("there and back differs by %+v", d)
		}
		// Losing digits is refused, and changes nothing.
		u2 := &model.BookUpdate{Prev: 1, Seq: 2, Asks: []model.Level{{Price: 1001, Size: 10}}}
		if err := b.Apply(u2, 0, 0); err != nil {
			t.Fatal(err)
		}
		was := b.View()
		if err := b.Rescale(2, 1, 1, 1); !errors.Is(err, num.ErrScale) {
			t.Fatalf("a price lost a digit: %v", err)
		}
		if err := b.Rescale(0, 0, 18, 0); !errors.Is(err, num.ErrRange) {
			t.Fatalf("a price overflowed: %v", err)
		}
		if d := Diff(was, b.View()); len(d.Bids)+len(d.Asks) != 0 {
			t.Fatalf("a refused rescale changed %+v", d)
		}
		k.check(t)
	})
}
