package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostBooksApart is by how many one-second books two sides may differ over a record: one begins with the first book, the other
// with the first whole second, and one of them says the last second that the other has not seen end.
const mostBooksApart = 3

// agree replays a record with each side, takes every message apart and fails where the sides have not sent the same trades in
// the same order, and the same updates of the book or as many one-second books.
func agree(all []side, r *record, k kind) (texts []answer, err error) {
	var trades, updates [2][]string
	for i := range all {
		a, err := all[i].whole(r, k, func(text []byte) error {
			t, err := tradeIn(text)
			switch {
			case err != nil:
				return err
			case t != "":
				trades[i] = append(trades[i], t)
			case k == native:
				if t, err = levelsIn(text); err != nil {
					return err
				}
				updates[i] = append(updates[i], t)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		texts = append(texts, a)
	}
	ours, peer := texts[0], texts[1]
	if ours.trades != r.trades || len(trades[0]) != ours.trades || !slices.Equal(trades[0], trades[1]) {
		return nil, fmt.Errorf("%s, %s: %d trades in the record, %d from us, %d from the peer, or not the same",
			r.name, k, r.trades, ours.trades, peer.trades)
	}
	books, apart := r.frames-r.trades, 0
	if k == seconds {
		books, apart = int(r.to.Sub(r.from)/time.Second), mostBooksApart
		if r.live {
			apart += 60 // a recording begins and ends within a minute
		}
	}
	if abs(ours.books-peer.books) > mostBooksApart || abs(ours.books-books) > apart {
		return nil, fmt.Errorf("%s, %s: about %d books expected, %d from us, %d from the peer", r.name, k, books, ours.books, peer.books)
	}
	if !slices.Equal(updates[0], updates[1]) {
		for i := range updates[0] {
			if updates[0][i] != updates[1][i] {
				return nil, fmt.Errorf("%s: update %d of the book is %.300s from us, %.300s from the peer",
					r.name, i, updates[0][i], updates[1][i])
			}
		}
	}
	return texts, nil
}

func abs(n int) int { return max(n, -n) }

// tradeIn returns what is told of the trade in a message of either side: id, price, size and who took; "" for a book.
func tradeIn(text []byte) (string, error) {
	var m struct {
		Type  string          `json:"type"`
		Event string          `json:"event_type"`
		Data  json.RawMessage `json:"data"`

		Trades []struct {
			ID       uint64 `json:"trade_id"`
			Price    string `json:"price"`
			Size     string `json:"size"`
			MakerAsk bool   `json:"is_maker_ask"`
		} `json:"trades"`

		ID     string      `json:"id"` // normalized
		Price  json.Number `json:"price"`
		Amount json.Number `json:"amount"`
		Side   string      `json:"side"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return "", err
	}
	tell := func(id any, price, size string, buys bool) string {
		return fmt.Sprintf("%v %s %s %t", id, short(price), short(size), buys)
	}
	switch {
	case m.Type == "trade":
		return tell(m.ID, m.Price.String(), m.Amount.String(), m.Side == "buy"), nil
	case m.Event == "trade":
		var d struct {
			ID    uint64 `json:"trade_id"`
			Price string `json:"price"`
			Size  string `json:"size"`
			Side  string `json:"side"`
		}
		err := json.Unmarshal(m.Data, &d)
		return tell(d.ID, d.Price, d.Size, d.Side == "buy"), err
	case len(m.Trades) > 1:
		return "", errors.New("more than one trade in a frame")
	case len(m.Trades) == 1:
		t := m.Trades[0]
		return tell(t.ID, t.Price, t.Size, t.MakerAsk), nil
	case m.Type == "" && m.Data != nil: // a raw message
		var d struct {
			Event   string `json:"e"`
			Sent    int64  `json:"E"` // named, so that none is taken for another
			At      int64  `json:"T"`
			ID      uint64 `json:"t"`
			Price   string `json:"p"`
			Size    string `json:"q"`
			Seller  bool   `json:"m"`
			PrevSeq uint64 `json:"pu"`
		}
		if err := json.Unmarshal(m.Data, &d); err != nil || d.Event != "trade" {
			return "", err
		}
		return tell(d.ID, d.Price, d.Size, !d.Seller), nil
	}
	return "", nil
}

// levelsIn returns the levels of a whole book or an update in a native message of either side.
func levelsIn(text []byte) (string, error) {
	var m struct {
		Book struct { // ours
			Bids, Asks []struct{ Price, Size string }
		} `json:"order_book"`
		Data struct { // the peer's
			Bids       [][2]string `json:"b"`
			Asks       [][2]string `json:"a"`
			BookOfBids [][2]string `json:"bids"`
			BookOfAsks [][2]string `json:"asks"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return "", err
	}
	levels := map[string]string{} // the made-up updates name a price twice at times: the last one counts
	add := func(side, price, size string) { levels[side+" "+short(price)] = short(size) }
	for _, l := range m.Book.Bids {
		add("bid", l.Price, l.Size)
	}
	for _, l := range m.Book.Asks {
		add("ask", l.Price, l.Size)
	}
	for _, l := range slices.Concat(m.Data.Bids, m.Data.BookOfBids) {
		add("bid", l[0], l[1])
	}
	for _, l := range slices.Concat(m.Data.Asks, m.Data.BookOfAsks) {
		add("ask", l[0], l[1])
	}
	return fmt.Sprint(levels), nil
}

// short leaves out zeros at the end, which say nothing.
func short(decimal string) string {
	if strings.Contains(decimal, ".") {
		decimal = strings.TrimRight(strings.TrimRight(decimal, "0"), ".")
	}
	return decimal
}
