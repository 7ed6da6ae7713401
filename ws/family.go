package ws

import (
	"strconv"
	"strings"
)

// family is a kind of channel; its channels are named family/market.
type family struct {
	name  string
	index int  // place among a market's channels
	book  bool // starts with the whole book, and conflates for a slow reader
	// ready tells that the hub publishes the family. The others are known names that nobody can subscribe to yet.
	ready bool
}

// The families of the contract, section 3.4.
var (
	bookFamily  = &family{name: "order_book", index: 0, book: true, ready: true}
	tradeFamily = &family{name: "trade", index: 1, ready: true}

	families = []*family{
		bookFamily,
		tradeFamily,
		{name: "enriched_order_book", index: 2, book: true},
		{name: "enriched_trade", index: 3},
		{name: "alert", index: 4},
		{name: "liquidation_heatmap", index: 5},
	}
)

// hubFamilies is how many families a market has channels of: the first ones of the table.
const hubFamilies = 2

// parseChannel reads a channel name, with a slash or in the venue's spelling with a colon.
func parseChannel(s string) (f *family, native int64, ok bool) {
	i := strings.IndexAny(s, "/:")
	if i < 0 {
		return nil, 0, false
	}
	native, err := strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil || native < 0 || strconv.FormatInt(native, 10) != s[i+1:] {
		return nil, 0, false
	}
	for _, f := range families {
		if f.name == s[:i] {
			return f, native, f.ready
		}
	}
	return nil, 0, false
}
