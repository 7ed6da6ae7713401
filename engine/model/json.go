package model

import (
	"strconv"
	"unicode/utf8"

	"hyperlight/engine/num"
)

// AppendJSON writes the contract's Trade object (section 2.0). Whale flags are computed by whoever knows a threshold:
// whale is written as given.
func (t *Trade) AppendJSON(dst []byte, m *Market, whale bool) []byte {
	return t.appendJSON(dst, m, whale, true)
}

// AppendAnonymous writes like AppendJSON, with null for the accounts.
func (t *Trade) AppendAnonymous(dst []byte, m *Market, whale bool) []byte {
	return t.appendJSON(dst, m, whale, false)
}

func (t *Trade) appendJSON(dst []byte, m *Market, whale, accounts bool) []byte {
	ps, ss := m.ScaleAt(t.Epoch)
	dst = append(dst, `{"trade_id":`...)
	dst = strconv.AppendUint(dst, t.ID, 10)
	dst = append(dst, `,"tx_hash":`...)
	if t.TxHash == "" {
		dst = append(dst, "null"...)
	} else {
		dst = AppendString(dst, t.TxHash)
	}
	dst = append(dst, `,"type":"`...)
	dst = append(dst, t.Kind.String()...)
	dst = append(dst, `","market_id":`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `,"symbol":`...)
	dst = AppendString(dst, m.Symbol)
	dst = append(dst, `,"price":"`...)
	dst = num.Append(dst, int64(t.Price), ps)
	dst = append(dst, `","size":"`...)
	dst = num.Append(dst, int64(t.Size), ss)
	dst = append(dst, `","usd_amount":"`...)
	dst = num.Append(dst, int64(t.USD), num.USDScale)
	if t.TakerBuys() {
		dst = append(dst, `","side":"buy",`...)
	} else {
		dst = append(dst, `","side":"sell",`...)
	}
	dst = t.appendParties(dst, accounts)
	dst = append(dst, `,"whale":`...)
	dst = strconv.AppendBool(dst, whale)
	dst = append(dst, `,"block_height":`...)
	dst = strconv.AppendUint(dst, t.Block, 10)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, int64(t.Time), 10)
	dst = append(dst, `,"recv_ts":`...)
	if t.Recv == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(t.Recv), 10)
	}
	return append(dst, '}')
}

// AppendParties writes the members from ask_id to is_maker_ask: the orders, with their text twins, and the accounts of
// both sides.
func (t *Trade) AppendParties(dst []byte) []byte { return t.appendParties(dst, true) }

func (t *Trade) appendParties(dst []byte, accounts bool) []byte {
	dst = append(dst, `"ask_id":`...)
	dst = strconv.AppendUint(dst, t.AskOrder, 10)
	dst = append(dst, `,"ask_id_str":"`...)
	dst = strconv.AppendUint(dst, t.AskOrder, 10)
	dst = append(dst, `","bid_id":`...)
	dst = strconv.AppendUint(dst, t.BidOrder, 10)
	dst = append(dst, `,"bid_id_str":"`...)
	dst = strconv.AppendUint(dst, t.BidOrder, 10)
	if accounts {
		dst = append(dst, `","ask_account_id":`...)
		dst = strconv.AppendUint(dst, uint64(t.AskAccount), 10)
		dst = append(dst, `,"bid_account_id":`...)
		dst = strconv.AppendUint(dst, uint64(t.BidAccount), 10)
		dst = append(dst, `,"is_maker_ask":`...)
	} else {
		dst = append(dst, `","ask_account_id":null,"bid_account_id":null,"is_maker_ask":`...)
	}
	return strconv.AppendBool(dst, t.MakerAsk)
}

// AppendPair writes a level as ["price","size"], the form of historical snapshots and of replay.
func (l Level) AppendPair(dst []byte, ps, ss uint8) []byte {
	dst = append(dst, `["`...)
	dst = num.Append(dst, int64(l.Price), ps)
	dst = append(dst, `","`...)
	dst = num.Append(dst, int64(l.Size), ss)
	return append(dst, `"]`...)
}

// AppendObject writes a level as {"price":"..","size":".."}, the form of live books.
func (l Level) AppendObject(dst []byte, ps, ss uint8) []byte {
	dst = append(dst, `{"price":"`...)
	dst = num.Append(dst, int64(l.Price), ps)
	dst = append(dst, `","size":"`...)
	dst = num.Append(dst, int64(l.Size), ss)
	return append(dst, `"}`...)
}

const hexDigits = "0123456789abcdef"

// AppendString writes s as a JSON string. Bytes that are not valid UTF-8 become U+FFFD: JSON has no other form for them.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += n - 1
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	return append(append(dst, s[start:]...), '"')
}
