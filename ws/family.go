package ws

import (
	"strconv"
	"strings"
)

// family is a kind of channel; its channels are named family/market.
type family struct {
	name  string
	index int  // place in the table of families
	book  bool // starts with a whole state, and conflates to it for a slow reader
}

// The families of the contract, section 3.4.
var (
	bookFamily          = &family{name: "order_book", index: 0, book: true}
	tradeFamily         = &family{name: "trade", index: 1}
	enrichedBookFamily  = &family{name: "enriched_order_book", index: 2, book: true}
	enrichedTradeFamily = &family{name: "enriched_trade", index: 3}
	alertFamily         = &family{name: "alert", index: 4}
	heatmapFamily       = &family{name: "liquidation_heatmap", index: 5, book: true}

	families = []*family{bookFamily, tradeFamily, enrichedBookFamily, enrichedTradeFamily, alertFamily, heatmapFamily}
)

const (
	// hubFamilies is how many families a market has one channel of: the first ones of the table.
	hubFamilies = 2
	// ownFamilies is how many follow, which have a channel for each set of options.
	ownFamilies = 4
)

// own is the family's place among those with options; negative for the others.
func (f *family) own() int { return f.index - hubFamilies }

// channelName is the name of the family's channel of a market, by the venue's id.
func (f *family) channelName(native int64) string {
	return f.name + "/" + strconv.FormatInt(native, 10)
}

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
			return f, native, true
		}
	}
	return nil, 0, false
}
