package sim

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// heldState is what a player of a recording holds: enough to answer a subscribe at any moment.
type heldState struct {
	books  map[int64]*heldBook
	trades map[int64]*heldTrades
	stats  map[string]map[string]json.RawMessage // by "all" channel: rows by market id
	last   map[string][]byte                     // the last frame of every other channel
	time   map[string]int64                      // the last timestamp of every channel
}

func newHeldState() *heldState {
	return &heldState{books: make(map[int64]*heldBook), trades: make(map[int64]*heldTrades),
		stats: make(map[string]map[string]json.RawMessage), last: make(map[string][]byte), time: make(map[string]int64)}
}

// heldLevel keeps the texts as the venue wrote them.
type heldLevel struct {
	price, size num.Decimal
	text        [2]string
}

// heldBook is a book with the chain of its last frame.
type heldBook struct {
	bids, asks []heldLevel // best first
	head       bookHead
}

// bookHead is what a book frame says beside its levels. Old frames have no nonces.
type bookHead struct {
	Offset    int64  `json:"offset"`
	Nonce     *int64 `json:"nonce"`
	UpdatedAt *int64 `json:"last_updated_at"`
}

// heldTrades holds the last rows of both lists, newest first.
type heldTrades struct {
	normal, forced []json.RawMessage
	nonce          *int64
}

// apply takes one frame into the state. A frame that cannot be read leaves the state as it was.
func (s *heldState) apply(l *recorded) {
	family, arg, _ := strings.Cut(l.channel, ":")
	var head struct {
		Timestamp int64 `json:"timestamp"`
	}
	if json.Unmarshal(l.frame, &head) == nil && head.Timestamp != 0 {
		s.time[l.channel] = head.Timestamp
	}
	id, err := strconv.ParseInt(arg, 10, 64)
	switch {
	case family == "order_book" && err == nil:
		s.applyBook(id, l)
	case family == "trade" && err == nil:
		s.applyTrades(id, l)
	case strings.HasSuffix(family, "market_stats") && arg == "all":
		var f map[string]json.RawMessage
		rows := make(map[string]json.RawMessage)
		if json.Unmarshal(l.frame, &f) != nil || json.Unmarshal(f[family], &rows) != nil {
			return
		}
		if s.stats[l.channel] == nil {
			s.stats[l.channel] = make(map[string]json.RawMessage)
		}
		for k, v := range rows {
			s.stats[l.channel][k] = v
		}
	default:
		s.last[l.channel] = l.frame
	}
}

func (s *heldState) applyBook(id int64, l *recorded) {
	var f struct {
		OrderBook struct {
			Asks, Bids []struct{ Price, Size string }
			bookHead
		} `json:"order_book"`
	}
	if json.Unmarshal(l.frame, &f) != nil {
		return
	}
	b := s.books[id]
	if b == nil || l.subscribed {
		b = &heldBook{}
		s.books[id] = b
	}
	b.head = f.OrderBook.bookHead
	for _, x := range f.OrderBook.Asks {
		b.asks = setLevel(b.asks, x.Price, x.Size, 1)
	}
	for _, x := range f.OrderBook.Bids {
		b.bids = setLevel(b.bids, x.Price, x.Size, -1)
	}
}

// setLevel writes one level; size zero removes it. order is 1 for ascending prices.
func setLevel(list []heldLevel, price, size string, order int) []heldLevel {
	p, err1 := num.ParseDecimal([]byte(price))
	z, err2 := num.ParseDecimal([]byte(size))
	if err1 != nil || err2 != nil {
		return list
	}
	i := sort.Search(len(list), func(i int) bool { return list[i].price.Cmp(p)*order >= 0 })
	found := i < len(list) && list[i].price.Cmp(p) == 0
	l := heldLevel{price: p, size: z, text: [2]string{price, size}}
	switch {
	case z.Mant == 0 && found:
		return slices.Delete(list, i, i+1)
	case z.Mant == 0:
		return list
	case found:
		list[i] = l
		return list
	}
	return slices.Insert(list, i, l)
}

// levels returns a side with mantissas at the largest scale in it.
func (b *heldBook) levels(s model.Side) []model.Level {
	list := b.bids
	if s == model.Ask {
		list = b.asks
	}
	var ps, ss uint8
	for _, l := range list {
		ps, ss = max(ps, l.price.Scale), max(ss, l.size.Scale)
	}
	out := make([]model.Level, 0, len(list))
	for _, l := range list {
		p, err1 := num.Rescale(l.price.Mant, l.price.Scale, ps)
		z, err2 := num.Rescale(l.size.Mant, l.size.Scale, ss)
		if err1 == nil && err2 == nil {
			out = append(out, model.Level{Price: num.Price(p), Size: num.Size(z)})
		}
	}
	return out
}

func (s *heldState) applyTrades(id int64, l *recorded) {
	var f struct {
		Nonce  *int64            `json:"nonce"`
		Trades []json.RawMessage `json:"trades"`
		Forced []json.RawMessage `json:"liquidation_trades"`
	}
	if json.Unmarshal(l.frame, &f) != nil {
		return
	}
	t := s.trades[id]
	if t == nil || l.subscribed {
		t = &heldTrades{}
		s.trades[id] = t
	}
	t.nonce = f.Nonce
	join := func(rows, old []json.RawMessage) []json.RawMessage {
		out := append(slices.Clone(rows), old...)
		return out[:min(len(out), recentRows)]
	}
	t.normal, t.forced = join(f.Trades, t.normal), join(f.Forced, t.forced)
}

// appendBook writes a whole book in the recording's form: members that it does not know are left out.
func (b *heldBook) appendBook(dst []byte, key string, ms int64) []byte {
	dst = append(append(append(dst, `{"channel":"`...), key...), '"')
	if b.head.UpdatedAt != nil && *b.head.UpdatedAt != 0 {
		dst = appendInt(dst, `,"last_updated_at":`, *b.head.UpdatedAt)
	}
	dst = appendInt(dst, `,"offset":`, b.head.Offset)
	dst = append(dst, `,"order_book":{"code":0,"asks":[`...)
	dst = appendHeld(dst, b.asks)
	dst = append(dst, `],"bids":[`...)
	dst = appendHeld(dst, b.bids)
	dst = appendInt(dst, `],"offset":`, b.head.Offset)
	if b.head.Nonce != nil {
		dst = appendInt(dst, `,"nonce":`, *b.head.Nonce)
		if b.head.UpdatedAt != nil {
			dst = appendInt(dst, `,"last_updated_at":`, *b.head.UpdatedAt)
		}
		dst = append(dst, `,"begin_nonce":0`...)
	}
	dst = appendInt(dst, `},"timestamp":`, ms)
	return append(dst, `,"type":"subscribed/order_book"}`...)
}

func appendHeld(dst []byte, list []heldLevel) []byte {
	for i, l := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, `{"price":"`...), l.text[0]...)
		dst = append(append(dst, `","size":"`...), l.text[1]...)
		dst = append(dst, `"}`...)
	}
	return dst
}

// appendTrades writes the answer to a subscribe: the last 50 of each list.
func (t *heldTrades) appendTrades(dst []byte, key string) []byte {
	dst = append(append(dst, `{"channel":"`...), key...)
	dst = appendRaw(append(dst, `","liquidation_trades":[`...), t.forced, replayRows)
	dst = append(dst, ']')
	if t.nonce != nil {
		dst = appendInt(dst, `,"nonce":`, *t.nonce)
	}
	dst = appendRaw(append(dst, `,"trades":[`...), t.normal, replayRows)
	return append(dst, `],"type":"subscribed/trade"}`...)
}

func appendRaw(dst []byte, rows []json.RawMessage, n int) []byte {
	return append(dst, bytes.Join(func() (out [][]byte) {
		for _, r := range rows[:min(n, len(rows))] {
			out = append(out, r)
		}
		return out
	}(), []byte{','})...)
}

// appendStats writes the rows of all markets in the order of their ids.
func (s *heldState) appendStats(dst []byte, key string) []byte {
	family, _, _ := strings.Cut(key, ":")
	rows := s.stats[key]
	ids := make([]string, 0, len(rows))
	for id := range rows {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	dst = append(append(dst, `{"channel":"`...), key...)
	dst = append(append(append(dst, `","`...), family...), `":{`...)
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(append(dst, '"'), id...), `":`...), rows[id]...)
	}
	dst = append(dst, '}')
	if ms := s.time[key]; ms != 0 {
		dst = appendInt(dst, `,"timestamp":`, ms)
	}
	return append(append(append(dst, `,"type":"subscribed/`...), family...), `"}`...)
}
