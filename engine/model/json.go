package model

import (
	"slices"
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

// rowRoom is more than a Trade object takes beside its hash and symbol.
const rowRoom = 640

func (t *Trade) appendJSON(dst []byte, m *Market, whale, accounts bool) []byte {
	ps, ss := m.ScaleAt(t.Epoch)
	dst = slices.Grow(dst, rowRoom+len(t.TxHash)+len(m.Symbol))
	dst = append(dst, `{"trade_id":`...)
	dst = num.AppendUint(dst, t.ID)
	if t.TxHash == "" {
		dst = append(dst, `,"tx_hash":null,"type":"`...)
	} else {
		dst = append(dst, `,"tx_hash":`...)
		dst = AppendString(dst, t.TxHash)
		dst = append(dst, `,"type":"`...)
	}
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
	if whale {
		dst = append(dst, `,"whale":true,"block_height":`...)
	} else {
		dst = append(dst, `,"whale":false,"block_height":`...)
	}
	dst = num.AppendUint(dst, t.Block)
	dst = append(dst, `,"timestamp":`...)
	dst = num.Append(dst, int64(t.Time), 0)
	if t.Recv == 0 {
		return append(dst, `,"recv_ts":null}`...)
	}
	dst = append(dst, `,"recv_ts":`...)
	dst = num.Append(dst, int64(t.Recv), 0)
	return append(dst, '}')
}

// AppendParties writes the members from ask_id to is_maker_ask: the orders, with their text twins, and the accounts of
// both sides.
func (t *Trade) AppendParties(dst []byte) []byte { return t.appendParties(dst, true) }

func (t *Trade) appendParties(dst []byte, accounts bool) []byte {
	dst = append(dst, `"ask_id":`...)
	dst = appendTwins(dst, t.AskOrder, `,"ask_id_str":"`)
	dst = append(dst, `","bid_id":`...)
	dst = appendTwins(dst, t.BidOrder, `,"bid_id_str":"`)
	if accounts {
		dst = append(dst, `","ask_account_id":`...)
		dst = num.AppendUint(dst, uint64(t.AskAccount))
		dst = append(dst, `,"bid_account_id":`...)
		dst = num.AppendUint(dst, uint64(t.BidAccount))
	} else {
		dst = append(dst, `","ask_account_id":null,"bid_account_id":null`...)
	}
	if t.MakerAsk {
		return append(dst, `,"is_maker_ask":true`...)
	}
	return append(dst, `,"is_maker_ask":false`...)
}

// appendTwins writes a number twice, with a text between: its digits are made once.
func appendTwins(dst []byte, n uint64, between string) []byte {
	start := len(dst)
	dst = num.AppendUint(dst, n)
	digits := dst[start:]
	dst = append(dst, between...)
	return append(dst, digits...)
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
	if plainText(s) {
		return append(append(dst, s...), '"')
	}
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

// plainText tells whether a string is its own JSON text, eight bytes at a time: hashes are the longest texts there are. It
// may say no to one that is.
func plainText(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// A byte's top bit: set in it, or borrowed by it because it was too small for what was taken off.
		if (w|(w-ones*0x20)|(quote-ones)|(slash-ones))&tops != 0 {
			return false
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
