package tape

import (
	"encoding/json"
	"fmt"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// standXPause is how long without a book tells that the recorder was away: it took one about each third of a second.
	standXPause = model.Micros(3_000_000)
	// standXLift is what is put on each ask price, the least step of the market. The recorder rounded prices of the book to
	// ten of these steps, so that half of its books have bid and ask at one price, which no real book has.
	standXLift = num.Price(1)
)

// standX reads a recording of whole books of 20 levels a side and of trades without ids and sides. The books become one
// whole book after each hole and the changes in between.
type standX struct {
	book    [2][]model.Level
	seq     uint64
	offset  uint64
	seen    model.Micros // receive time of the last book
	tradeID uint64
	price   num.Price // of the last trade
	buys    bool      // it was a buyer's
	away    bool      // the recorder was away and no trade has come since
}

type standXLine struct {
	Type string      `json:"type"`
	Time int64       `json:"ts_ms"`
	Recv int64       `json:"recv_us"`
	Bids [][2]string `json:"bids"`
	Asks [][2]string `json:"asks"`

	Price string `json:"price"`
	Size  string `json:"size"`
}

// standXMarket has the decimals of its trades.
func standXMarket() *model.Market { return newMarket(1, "BTC-USD", 2, 4) }

func (s *standX) line(line []byte, w *Writer) error {
	var l standXLine
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	switch t, recv := model.Millis(l.Time), model.Micros(l.Recv); l.Type {
	case "book":
		bids, err := parseLevels(w.market, l.Bids)
		if err != nil {
			return err
		}
		asks, err := parseLevels(w.market, l.Asks)
		if err != nil {
			return err
		}
		for i := range asks {
			asks[i].Price += standXLift
		}
		return s.takeBook(w, [2][]model.Level{bids, asks}, t, recv)
	case "trade":
		level, err := parseLevel(w.market, l.Price, l.Size)
		if err != nil {
			return err
		}
		return s.takeTrade(w, level, t, recv)
	}
	return fmt.Errorf("unknown type %q", l.Type)
}

func (s *standX) takeBook(w *Writer, next [2][]model.Level, t model.Millis, recv model.Micros) error {
	u := &model.BookUpdate{UpdatedAt: t.Micros(), Chained: true, Offset: s.offset + 1}
	switch {
	case s.seen == 0 || recv-s.seen > standXPause:
		u.Snapshot, u.Bids, u.Asks = true, next[model.Bid], next[model.Ask]
		if s.seen != 0 {
			w.Counts.Breaks++
			s.seq, s.away = s.seq+1, true
		}
	default:
		u.Bids = changes(nil, s.book[model.Bid], next[model.Bid])
		u.Asks = changes(nil, s.book[model.Ask], next[model.Ask])
	}
	s.seen, s.book = recv, next
	if !u.Snapshot && len(u.Bids)+len(u.Asks) == 0 {
		w.Counts.Unchanged++
		return nil
	}
	u.Prev, u.Seq = s.seq, s.seq+1
	s.seq, s.offset = u.Seq, u.Offset
	return w.book(u, t, recv)
}

// takeTrade gives a trade an id, the next one, and a side: the buyer's where the price rose, the seller's where it fell,
// as before where it stayed.
func (s *standX) takeTrade(w *Writer, l model.Level, t model.Millis, recv model.Micros) error {
	if s.price != 0 && l.Price != s.price {
		s.buys = l.Price > s.price
	}
	s.price = l.Price
	s.tradeID++
	first := s.away || s.tradeID == 1
	if s.away {
		s.tradeID++ // an id that nobody has shows that trades are missing
	}
	s.away = false
	row, err := newTrade(w.market, s.tradeID, l, t, recv)
	if err != nil {
		return err
	}
	row.MakerAsk = s.buys
	return w.trade(row, recv, first)
}

// changes appends what turns the levels of one side into others: sizes that are new or differ, and 0 for those that went.
func changes(dst, from, to []model.Level) []model.Level {
	at := func(list []model.Level, p num.Price) int {
		return slices.IndexFunc(list, func(l model.Level) bool { return l.Price == p })
	}
	for _, l := range to {
		if i := at(from, l.Price); i < 0 || from[i].Size != l.Size {
			dst = append(dst, l)
		}
	}
	for _, l := range from {
		if at(to, l.Price) < 0 {
			dst = append(dst, model.Level{Price: l.Price})
		}
	}
	return dst
}

func newTrade(m *model.Market, id uint64, l model.Level, t model.Millis, recv model.Micros) (*model.Trade, error) {
	usd, err := num.MulUSD(l.Price, m.PriceScale, l.Size, m.SizeScale)
	if err != nil {
		return nil, fmt.Errorf("value of trade %d: %w", id, err)
	}
	return &model.Trade{ID: id, Time: t, Recv: recv, Kind: model.KindTrade, Price: l.Price, Size: l.Size, USD: usd}, nil
}

func parseLevels(m *model.Market, texts [][2]string) ([]model.Level, error) {
	levels := make([]model.Level, 0, len(texts))
	for _, t := range texts {
		l, err := parseLevel(m, t[0], t[1])
		if err != nil {
			return nil, err
		}
		levels = append(levels, l)
	}
	return levels, nil
}

func parseLevel(m *model.Market, price, size string) (model.Level, error) {
	p, err := num.Parse([]byte(price), m.PriceScale)
	if err != nil {
		return model.Level{}, fmt.Errorf("price %q: %w", price, err)
	}
	s, err := num.Parse([]byte(size), m.SizeScale)
	if err != nil {
		return model.Level{}, fmt.Errorf("size %q: %w", size, err)
	}
	return model.Level{Price: num.Price(p), Size: num.Size(s)}, nil
}
