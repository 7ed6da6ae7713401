package lighter

import (
	"strconv"
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// AppendTradeFrame appends a trade frame: subscribed for history, else update. The rows, ascending by id, are written
// newest first as the venue does, forced prints in a list of their own.
func AppendTradeFrame(dst []byte, m *model.Market, b *model.TradeBatch) []byte {
	dst = append(dst, `{"channel":"trade:`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `","liquidation_trades":`...)
	// Before the text twins of ids came, an empty list in an update was null.
	if dst = appendTrades(dst, m, b.Rows, true); len(b.Rows) > 0 && !b.History && !b.Rows[0].HasClients && dst[len(dst)-2] == '[' {
		dst = append(dst[:len(dst)-2], "null"...)
	}
	if b.Nonce != 0 {
		dst = append(dst, `,"nonce":`...)
		dst = num.AppendUint(dst, b.Nonce)
	}
	dst = append(dst, `,"trades":`...)
	dst = appendTrades(dst, m, b.Rows, false)
	return appendTail(dst, 0, "trade", b.History)
}

func forced(t *model.Trade) bool {
	return t.Kind == model.KindLiquidation || t.Kind == model.KindDeleverage
}

func appendTrades(dst []byte, m *model.Market, rows []model.Trade, forcedOnes bool) []byte {
	dst = append(dst, '[')
	n := 0
	for i := len(rows) - 1; i >= 0; i-- {
		if forced(&rows[i]) != forcedOnes {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = AppendTrade(dst, m, &rows[i])
	}
	return append(dst, ']')
}

// AppendTrade appends one trade row as the venue writes it, on the stream and in REST answers alike. Members that are
// zero are left out where the venue leaves them out; rows without client ids are written in the form of 2025, without
// the text twins.
func AppendTrade(dst []byte, m *model.Market, t *model.Trade) []byte {
	price, size := m.ScaleAt(t.Epoch)
	dst = append(dst, `{"trade_id":`...)
	dst = appendID(dst, t.ID, `,"trade_id_str":"`, t.HasClients)
	dst = append(dst, `,"tx_hash":`...)
	dst = model.AppendString(dst, t.TxHash)
	kind, extra := kindOf(t)
	dst = append(dst, `,"type":`...)
	dst = append(dst, kind...)
	dst = append(dst, `,"market_id":`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `,"size":"`...)
	dst = num.Append(dst, int64(t.Size), size)
	dst = append(dst, `","price":"`...)
	dst = num.Append(dst, int64(t.Price), price)
	dst = append(dst, `","usd_amount":"`...)
	dst = num.Append(dst, int64(t.USD), num.USDScale)
	dst = append(dst, `","ask_id":`...)
	dst = appendID(dst, t.AskOrder, `,"ask_id_str":"`, t.HasClients)
	dst = append(dst, `,"bid_id":`...)
	dst = appendID(dst, t.BidOrder, `,"bid_id_str":"`, t.HasClients)
	if t.HasClients {
		dst = append(dst, `,"ask_client_id":`...)
		dst = appendID(dst, t.AskClient, `,"ask_client_id_str":"`, true)
		dst = append(dst, `,"bid_client_id":`...)
		dst = appendID(dst, t.BidClient, `,"bid_client_id_str":"`, true)
	}
	dst = append(dst, `,"ask_account_id":`...)
	dst = num.AppendUint(dst, uint64(t.AskAccount))
	dst = append(dst, `,"bid_account_id":`...)
	dst = num.AppendUint(dst, uint64(t.BidAccount))
	dst = append(dst, `,"is_maker_ask":`...)
	dst = strconv.AppendBool(dst, t.MakerAsk)
	dst = append(dst, `,"block_height":`...)
	dst = num.AppendUint(dst, t.Block)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(t.Time), 10)
	dst = appendSide(dst, "taker", t.TakerFee, &t.TakerBefore, size, t.TakerSignChanged)
	dst = appendSide(dst, "maker", t.MakerFee, &t.MakerBefore, size, t.MakerSignChanged)
	if t.TransactionTime != 0 {
		dst = append(dst, `,"transaction_time":`...)
		dst = strconv.AppendInt(dst, int64(t.TransactionTime), 10)
	}
	if extra != "" {
		dst = append(dst, ',')
		dst = append(dst, extra...)
	}
	return append(dst, '}')
}

func appendID(dst []byte, id uint64, twin string, twins bool) []byte {
	dst = num.AppendUint(dst, id)
	if twins {
		dst = append(dst, twin...)
		dst = num.AppendUint(dst, id)
		dst = append(dst, '"')
	}
	return dst
}

func appendSide(dst []byte, side string, fee int32, p *model.PositionBefore, size uint8, changed bool) []byte {
	member := func(name string) {
		dst = append(append(append(append(dst, `,"`...), side...), name...), `":`...)
	}
	if fee != 0 {
		member("_fee")
		dst = strconv.AppendInt(dst, int64(fee), 10)
	}
	if p.Known {
		member("_position_size_before")
		dst = append(num.Append(append(dst, '"'), int64(p.Size), size), '"')
		member("_entry_quote_before")
		dst = append(num.Append(append(dst, '"'), int64(p.EntryQuote), num.USDScale), '"')
		if p.InitialMargin != 0 {
			member("_initial_margin_fraction_before")
			dst = strconv.AppendInt(dst, int64(p.InitialMargin), 10)
		}
	}
	if changed {
		member("_position_sign_changed")
		dst = append(dst, "true"...)
	}
	return dst
}

var kindTexts = func() (texts [model.KindOther + 1]string) {
	for k := range texts {
		texts[k] = `"` + model.TradeKind(k).String() + `"`
	}
	return texts
}()

// kindOf returns the JSON text of the trade's type and the rest of Extra. The word of an unknown type stands in Extra.
func kindOf(t *model.Trade) (kind, extra string) {
	if t.Kind != model.KindOther {
		return kindTexts[t.Kind], t.Extra
	}
	s := scanner{data: []byte("{" + t.Extra + "}")}
	if !s.begin('{') {
		return kindTexts[model.KindOther], t.Extra
	}
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			return kindTexts[model.KindOther], t.Extra
		}
		found, from := string(name) == "type", s.name.from-1
		v := s.raw()
		if !found {
			continue
		}
		rest := strings.Trim(strings.TrimSuffix(t.Extra[:from], ",")+t.Extra[v.to-1:], ",")
		return string(s.data[v.from:v.to]), rest
	}
}
