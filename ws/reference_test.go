package ws

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// reference is a strict client of one order_book channel: it keeps the book as maps of texts and fails at the first frame
// that does not follow from the ones before.
type reference struct {
	subscribed bool
	epoch      string
	seq        uint64
	nonce      uint64
	synced     bool
	bids, asks map[string]string
	snapshots  int
	jumps      int // announced ones
	gaps       int
}

// take checks a frame of the channel and applies it.
func (r *reference) take(f frame) error {
	switch f.Type {
	case "subscribed":
		if f.Recovered == nil || !*f.Recovered {
			r.synced = false
		}
		r.subscribed, r.epoch, r.seq = true, f.Epoch, f.Seq
		return nil
	case "gap":
		if f.Seq <= r.seq {
			return fmt.Errorf("gap frame has seq %d after %d", f.Seq, r.seq)
		}
		r.seq, r.synced = f.Seq, false
		r.gaps++
		return nil
	case "heartbeat":
		return nil
	case "order_book_update":
	default:
		return fmt.Errorf("unexpected frame %s", f.raw)
	}
	if !r.subscribed {
		return fmt.Errorf("data before subscribed: %s", f.raw)
	}
	if f.Snapshot {
		if f.Seq <= r.seq {
			return fmt.Errorf("snapshot has seq %d after %d", f.Seq, r.seq)
		}
		if f.Seq != r.seq+1 {
			r.jumps++
		}
		r.bids, r.asks = map[string]string{}, map[string]string{}
		r.snapshots++
	} else {
		if !r.synced {
			return fmt.Errorf("an update without a book before it: %s", f.raw)
		}
		if f.Seq != r.seq+1 {
			return fmt.Errorf("seq %d follows %d without a snapshot", f.Seq, r.seq)
		}
		if f.OrderBook.BeginNonce != r.nonce {
			return fmt.Errorf("begin_nonce %d follows nonce %d", f.OrderBook.BeginNonce, r.nonce)
		}
	}
	r.synced, r.seq, r.nonce = true, f.Seq, f.OrderBook.Nonce
	fold(r.bids, f.OrderBook.Bids)
	fold(r.asks, f.OrderBook.Asks)
	return nil
}

func fold(side map[string]string, levels []levelJSON) {
	for _, l := range levels {
		if l.Size == "0" {
			delete(side, l.Price)
		} else {
			side[l.Price] = l.Size
		}
	}
}

// text is the book in the form of viewText.
func (r *reference) text() string {
	var b strings.Builder
	for i, side := range []map[string]string{r.bids, r.asks} {
		var prices []string
		for p := range side {
			prices = append(prices, p)
		}
		sort.Slice(prices, func(a, c int) bool {
			x, _ := strconv.ParseFloat(prices[a], 64)
			y, _ := strconv.ParseFloat(prices[c], 64)
			return (x > y) == (i == 0)
		})
		for _, p := range prices {
			fmt.Fprintf(&b, "%s@%s ", side[p], p)
		}
		b.WriteString("| ")
	}
	return b.String()
}
