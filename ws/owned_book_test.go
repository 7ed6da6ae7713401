package ws

import (
	"strings"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// After auth a book of /stream names the owners of the levels that a frame shows; /ws, and plans that may not see owners,
// get the frame without them.
func TestStreamNamesOwners(t *testing.T) {
	reading := func(size num.Size, orders ...model.RestingOrder) *model.Attribution {
		return &model.Attribution{At: 1700000000000, Levels: [2][]*model.OwnedLevel{model.Bid: {
			owned(1_010_0000, model.RestingOrder{Account: 42, ID: 2, Price: 99_00, Size: 1_010_0000}),
			owned(size, orders...),
		}}}
	}
	owners := &fakeOwners{reading: reading(30_0000, model.RestingOrder{Account: 43, ID: 7, Price: 98_50, Size: 10_0000},
		model.RestingOrder{Account: 44, ID: 8, Price: 98_50, Size: 20_0000})}
	h := serve(t, Options{Native: lighterNative(), Access: testAccess{}, Owners: owners})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(99_00, 1_020_0000), level(98_50, 30_0000), level(97_00, 5))
	open := func(path, key, format string) *client {
		c := h.dial(path, nil)
		if path == "/stream" {
			c.expect("connected")
		}
		c.say(`{"type":"auth","api_key":"hlt_%s","format":"%s"}`, key, format)
		c.expect("authenticated")
		c.say(`{"type":"subscribe","channel":"order_book/0"}`)
		c.expect("subscribed")
		return c
	}
	stream, data := open("/stream", "growth", "typed"), open("/stream", "growth", "data")
	plain := []*client{open("/ws", "growth", "typed"), open("/stream", "free", "typed")}
	expect := func(what, want string) {
		t.Helper()
		f := stream.expect("order_book_update")
		if _, got, ok := strings.Cut(f.raw, `,"enriched":`); !ok || got != want+"}" {
			t.Errorf("%s: %s", what, f.raw)
		}
		if f := data.expect("data"); !strings.HasSuffix(f.raw, `,"enriched":`+want+"}") {
			t.Errorf("%s as data: %s", what, f.raw)
		}
		for _, c := range plain {
			if f := c.expect("order_book_update"); strings.Contains(f.raw, "enriched") {
				t.Errorf("%s: %s", what, f.raw)
			}
		}
	}
	// The first level has grown since its owner was found.
	expect("the whole book", `[{"account":43,"side":"bid","price":"98.50","size":"10.0000","whale":false},`+
		`{"account":44,"side":"bid","price":"98.50","size":"20.0000","whale":false}]`)
	owners.mu.Lock()
	owners.reading = reading(31_0000, model.RestingOrder{Account: 43, ID: 7, Price: 98_50, Size: 31_0000})
	owners.mu.Unlock()
	k.update(level(99_00, 1_010_0000+1), level(97_00, 0))
	expect("levels without a known owner", `[]`)
	k.update(level(98_50, 31_0000), level(99_00, 1_010_0000))
	expect("levels with known owners", `[{"account":43,"side":"bid","price":"98.50","size":"31.0000","whale":false},`+
		`{"account":42,"side":"bid","price":"99.00","size":"1010.0000","whale":false}]`)
	h.s.SetWhales(num.USD(99_990_000_000), nil)
	k.update(level(99_00, 1_010_0000))
	expect("a whale", `[{"account":42,"side":"bid","price":"99.00","size":"1010.0000","whale":true}]`)
	h.eventually("the venue is asked for owners", func() bool {
		owners.mu.Lock()
		defer owners.mu.Unlock()
		return owners.watched > 0
	})
}
