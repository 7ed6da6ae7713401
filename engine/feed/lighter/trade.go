package lighter

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// rowReader holds the texts of the trade rows being read: they go into one string for the whole frame.
type rowReader struct {
	text  []byte
	spans []rowText
}

type rowText struct{ hash, extra span }

// settleTrades finishes a trade frame.
func (d *Decoder) settleTrades(recv model.Micros) {
	d.bodyChannel = d.last.Channel
	if d.bodyChannel.Native < 0 {
		d.s.fail(ErrValue, "channel")
		return
	}
	d.resolve()
	if d.readTrades(recv); d.widen() {
		d.readTrades(recv)
	}
	d.finishTrades()
	d.batch.Nonce = d.nonce
	d.batch.History = d.typ == typeFirst
	d.batch.REST, d.batch.Recovered = false, false
}

// readTrades reads both lists.
func (d *Decoder) readTrades(recv model.Micros) {
	d.startTrades()
	for _, b := range [...]body{bodyTrades, bodyLiquidations} {
		if d.at(b) {
			d.tradeList(recv)
		}
	}
}

func (d *Decoder) startTrades() {
	d.batch.Rows = d.batch.Rows[:0]
	d.rows.text, d.rows.spans = d.rows.text[:0], d.rows.spans[:0]
	d.needPrice, d.needSize = 0, 0
}

// finishTrades gives the rows their texts and sorts them by id; a row that is listed twice counts once.
func (d *Decoder) finishTrades() {
	if d.s.err != nil {
		return
	}
	all, rows := string(d.rows.text), d.batch.Rows
	for i, t := range d.rows.spans {
		rows[i].TxHash = all[t.hash.from:t.hash.to]
		rows[i].Extra = all[t.extra.from:t.extra.to]
	}
	slices.SortStableFunc(rows, func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) })
	d.batch.Rows = slices.CompactFunc(rows, func(a, b model.Trade) bool { return a.ID == b.ID })
}

// tradeList reads the list at the cursor.
func (d *Decoder) tradeList(recv model.Micros) {
	s := &d.s
	if !s.begin('[') {
		s.fail(ErrValue, "trades")
		return
	}
	for first := true; s.element(first); first = false {
		d.batch.Rows = append(d.batch.Rows, model.Trade{Recv: recv})
		t := &d.batch.Rows[len(d.batch.Rows)-1]
		if d.market != nil {
			t.Epoch = d.market.Epoch
		}
		if !d.trade(t) {
			return
		}
	}
}

// trade reads one row.
func (d *Decoder) trade(t *model.Trade) bool {
	s, buf := &d.s, &d.rows.text
	var (
		idText, askID, bidID uint64 // of the text twins
		askClient, bidClient uint64
		priced, sized, paid  bool
		extra                = span{len(*buf), len(*buf)}
	)
	d.scratch = d.scratch[:0] // the hash
	if !s.begin('{') {
		s.fail(ErrValue, "trade")
		return false
	}
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			break
		}
		switch string(name) {
		case "trade_id":
			t.ID = d.unsigned("trade_id")
		case "trade_id_str":
			idText = d.unsigned("trade_id_str")
		case "tx_hash":
			d.scratch = append(d.scratch[:0], s.text("tx_hash")...)
		case "type":
			d.tradeKind(t, &extra)
		case "size":
			if b := s.text("size"); len(b) > 0 {
				_, scale := d.scales()
				t.Size, sized = num.Size(d.mantissa(b, scale, &d.needSize, "size")), true
			}
		case "price":
			if b := s.text("price"); len(b) > 0 {
				scale, _ := d.scales()
				t.Price, priced = num.Price(d.mantissa(b, scale, &d.needPrice, "price")), true
			}
		case "usd_amount":
			t.USD, paid = d.money("usd_amount")
		case "ask_id":
			t.AskOrder = d.unsigned("ask_id")
		case "ask_id_str":
			askID = d.unsigned("ask_id_str")
		case "bid_id":
			t.BidOrder = d.unsigned("bid_id")
		case "bid_id_str":
			bidID = d.unsigned("bid_id_str")
		case "ask_client_id":
			t.AskClient, t.HasClients = d.unsigned("ask_client_id"), true
		case "ask_client_id_str":
			askClient, t.HasClients = d.unsigned("ask_client_id_str"), true
		case "bid_client_id":
			t.BidClient, t.HasClients = d.unsigned("bid_client_id"), true
		case "bid_client_id_str":
			bidClient, t.HasClients = d.unsigned("bid_client_id_str"), true
		case "ask_account_id":
			t.AskAccount = model.AccountID(d.unsigned("ask_account_id"))
		case "bid_account_id":
			t.BidAccount = model.AccountID(d.unsigned("bid_account_id"))
		case "is_maker_ask":
			t.MakerAsk = d.flag("is_maker_ask")
		case "block_height":
			t.Block = d.unsigned("block_height")
		case "timestamp":
			t.Time = model.Millis(d.integer("timestamp"))
		case "transaction_time":
			t.TransactionTime = model.Micros(d.integer("transaction_time"))
		case "taker_fee":
			t.TakerFee = d.small("taker_fee")
		case "maker_fee":
			t.MakerFee = d.small("maker_fee")
		case "taker_position_sign_changed":
			t.TakerSignChanged = d.flag("taker_position_sign_changed")
		case "maker_position_sign_changed":
			t.MakerSignChanged = d.flag("maker_position_sign_changed")
		case "taker_position_size_before", "maker_position_size_before":
			p := before(t, name)
			if b := s.text("position_size_before"); len(b) > 0 {
				_, scale := d.scales()
				p.Size, p.Known = num.Size(d.mantissa(b, scale, &d.needSize, "position_size_before")), true
			}
		case "taker_entry_quote_before", "maker_entry_quote_before":
			p := before(t, name)
			if v, has := d.money("entry_quote_before"); has {
				p.EntryQuote, p.Known = v, true
			}
		case "taker_initial_margin_fraction_before", "maker_initial_margin_fraction_before":
			p := before(t, name)
			if p.InitialMargin = d.small("initial_margin_fraction_before"); p.InitialMargin != 0 {
				p.Known = true
			}
		case "market_id":
			d.unsigned("market_id")
		default:
			d.extra(&extra)
		}
		if s.err != nil {
			return false
		}
	}
	t.ID, t.AskOrder, t.BidOrder = cmp.Or(t.ID, idText), cmp.Or(t.AskOrder, askID), cmp.Or(t.BidOrder, bidID)
	t.AskClient, t.BidClient = cmp.Or(t.AskClient, askClient), cmp.Or(t.BidClient, bidClient)
	if s.err == nil && (t.ID == 0 || !priced || !sized || t.Price < 0 || t.Size < 0) {
		s.fail(ErrValue, "trade")
	}
	if !paid && s.err == nil {
		price, size := d.scales()
		usd, err := num.MulUSD(t.Price, price, t.Size, size)
		if err != nil {
			s.fail(ErrValue, "usd_amount")
		}
		t.USD = usd
	}
	at := len(*buf)
	*buf = append(*buf, d.scratch...)
	d.rows.spans = append(d.rows.spans, rowText{hash: span{at, len(*buf)}, extra: extra})
	return s.err == nil
}

func before(t *model.Trade, name []byte) *model.PositionBefore {
	if name[0] == 't' {
		return &t.TakerBefore
	}
	return &t.MakerBefore
}

// tradeKind reads the type; a word that we do not know stays in Extra.
func (d *Decoder) tradeKind(t *model.Trade, extra *span) {
	from := d.s.pos
	b := d.s.text("type")
	if t.Kind = model.ParseTradeKind(b); len(b) == 0 {
		t.Kind = model.KindTrade
	}
	if t.Kind == model.KindOther && d.s.err == nil {
		d.s.pos = from
		rest := string(d.rows.text[extra.from:extra.to])
		d.rows.text = d.rows.text[:extra.from]
		extra.to = extra.from
		d.extra(extra)
		// First of all, wherever the frame had it: so the encoder's order is the decoder's.
		if rest != "" {
			d.rows.text = append(append(d.rows.text, ','), rest...)
			extra.to = len(d.rows.text)
		}
	}
}

// extra keeps the member whose value stands at the cursor as the text `"name":value`.
func (d *Decoder) extra(e *span) {
	s, buf := &d.s, &d.rows.text
	name := s.name
	value := s.raw()
	if s.err != nil {
		return
	}
	if e.to > e.from {
		*buf = append(*buf, ',')
	}
	*buf = append(*buf, s.data[name.from:name.to]...)
	*buf = append(*buf, ':')
	*buf = append(*buf, s.data[value.from:value.to]...)
	e.to = len(*buf)
}

// money reads quote money; has is false where there is none, or more decimals than money has: then price x size is
// taken, rounded.
func (d *Decoder) money(what string) (v num.USD, has bool) {
	b := d.s.text(what)
	if len(b) == 0 {
		return 0, false
	}
	m, err := exact(b, num.USDScale)
	if err != nil && err != num.ErrScale {
		d.s.fail(ErrValue, what)
	}
	return num.USD(m), err == nil
}

func (d *Decoder) small(what string) int32 {
	v := d.integer(what)
	if int64(int32(v)) != v {
		d.s.fail(ErrValue, what)
	}
	return int32(v)
}

// flag reads a boolean, also as a number or as text.
func (d *Decoder) flag(what string) bool {
	s := &d.s
	switch s.peek() {
	case 't':
		return s.word("true")
	case 'f':
		s.word("false")
		return false
	}
	switch string(s.text(what)) {
	case "", "0", "false":
		return false
	case "1", "true":
		return true
	}
	s.fail(ErrValue, what)
	return false
}
