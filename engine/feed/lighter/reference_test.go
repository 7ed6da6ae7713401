package lighter

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// This is a second decoder, written for clarity on encoding/json and big.Rat, that the fast one is compared with.

// errAmbiguous marks frames that JSON leaves open (a name twice) or that go beyond what is compared.
var errAmbiguous = errors.New("ambiguous frame")

type field struct {
	name  string
	quote string // raw name with quotes
	raw   json.RawMessage
}

// object reads the members of an object in order.
func object(raw []byte) ([]field, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' {
		return nil, ErrValue
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var fields []field
	for dec.More() {
		from := dec.InputOffset()
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		quote := strings.TrimLeft(string(raw[from:dec.InputOffset()]), ", \t\r\n")
		f := field{name: t.(string), quote: quote}
		if err := dec.Decode(&f.raw); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(fields, func(o field) bool { return o.name == f.name }) {
			return nil, errAmbiguous
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func get(fields []field, name string) json.RawMessage {
	for _, f := range fields {
		if f.name == name {
			return f.raw
		}
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return raw == nil || string(raw) == "null" }

// words returns a scalar as text.
func words(raw json.RawMessage) (string, error) {
	if isNull(raw) {
		return "", nil
	}
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case '{', '[', 't', 'f':
		return "", ErrValue
	}
	return string(raw), nil
}

// rational reads a decimal with or without exponent.
func rational(s string) (*big.Rat, error) {
	mant, exp, has := strings.Cut(strings.Replace(s, "E", "e", 1), "e")
	body := strings.TrimPrefix(mant, "-")
	whole, frac, point := strings.Cut(body, ".")
	if whole == "" || point && frac == "" || strings.Trim(whole+frac, "0123456789") != "" {
		return nil, num.ErrSyntax
	}
	r, ok := new(big.Rat).SetString(mant)
	if !ok {
		return nil, num.ErrSyntax
	}
	if has {
		e, err := strconv.Atoi(exp)
		if exp == "" || strings.Trim(strings.TrimLeft(exp[:1], "+-")+exp[1:], "0123456789") != "" {
			return nil, num.ErrSyntax
		}
		if err != nil || e > 60 || e < -60 || len(s) > 60 {
			return nil, errAmbiguous
		}
		p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(e, -e))), nil))
		if e < 0 {
			p.Inv(p)
		}
		r.Mul(r, p)
	}
	return r, nil
}

func mantissa(s string, scale uint8) (int64, error) {
	r, err := rational(s)
	if err != nil {
		return 0, err
	}
	r.Mul(r, new(big.Rat).SetInt64(num.Pow10(scale)))
	if !r.IsInt() {
		return 0, num.ErrScale
	}
	// The mantissa without its sign must fit, as in package num.
	if n := r.Num(); new(big.Int).Abs(n).IsInt64() {
		return n.Int64(), nil
	}
	return 0, errAmbiguous // out of range: ErrValue or ErrScale, both refuse
}

func whole(raw json.RawMessage) (int64, error) {
	s, err := words(raw)
	if err != nil || s == "" {
		return 0, err
	}
	return mantissa(s, 0)
}

func natural(raw json.RawMessage) (uint64, error) {
	s, err := words(raw)
	if err != nil || s == "" {
		return 0, err
	}
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return v, nil
	}
	v, err := mantissa(s, 0)
	if err != nil || v < 0 {
		return 0, ErrValue
	}
	return uint64(v), nil
}

func truth(raw json.RawMessage) (bool, error) {
	switch string(raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	s, err := words(raw)
	switch {
	case err != nil:
		return false, err
	case s == "" || s == "0" || s == "false":
		return false, nil
	case s == "1" || s == "true":
		return true, nil
	}
	return false, ErrValue
}

type reader struct{ err error }

func (r *reader) int(raw json.RawMessage) int64 {
	v, err := whole(raw)
	r.err = errors.Join(r.err, err)
	return v
}
func (r *reader) uint(raw json.RawMessage) uint64 {
	v, err := natural(raw)
	r.err = errors.Join(r.err, err)
	return v
}
func (r *reader) bool(raw json.RawMessage) bool {
	v, err := truth(raw)
	r.err = errors.Join(r.err, err)
	return v
}
func (r *reader) text(raw json.RawMessage) string {
	v, err := words(raw)
	r.err = errors.Join(r.err, err)
	return v
}
func (r *reader) fixed(raw json.RawMessage, scale uint8) (int64, bool) {
	s := r.text(raw)
	if s == "" {
		return 0, false
	}
	v, err := mantissa(s, scale)
	r.err = errors.Join(r.err, err)
	return v, true
}

// reference decodes a frame of known markets.
func reference(frame []byte, recv model.Micros, known *markets) (feed.Frame, []model.Event, error) {
	var f feed.Frame
	top, err := object(frame)
	if err != nil {
		return f, nil, err
	}
	var r reader
	if f.Channel = parseChannel([]byte(r.text(get(top, "channel")))); ofAccount(f.Channel.Family) {
		f.Channel = feed.Channel{} // only a decoder that is told to reads the channels of accounts
	}
	typ, fam := parseType([]byte(r.text(get(top, "type"))))
	at := model.Millis(r.int(get(top, "timestamp")))
	offset, updated := r.uint(get(top, "offset")), r.int(get(top, "last_updated_at"))
	nonce, height := r.uint(get(top, "nonce")), r.uint(get(top, "height"))
	code, message := r.int(get(top, "code")), r.text(get(top, "message"))
	if r.err != nil {
		return f, nil, r.err
	}
	f.First = typ == typeFirst
	data := (typ == typeFirst || typ == typeUpdate) && fam == f.Channel.Family
	base := model.Event{Market: model.NoMarket, Time: at, Recv: recv}
	m, isKnown := known.Market(f.Channel.Native)
	if isKnown {
		base.Market, base.Epoch = m.ID, m.Epoch
	}
	if f.Channel.Family == feed.FamilyBook && f.Channel.Native >= 0 && isKnown && get(top, "order_book") != nil && !isNull(get(top, "order_book")) {
		// A book's body must be right whatever the type says.
		if _, err := referenceBook(get(top, "order_book"), m, f.First, offset, updated); err != nil {
			if errors.Is(err, num.ErrScale) && !data {
				return f, nil, errAmbiguous
			}
			return f, nil, err
		}
	}
	switch {
	case !isNull(get(top, "error")) && string(get(top, "error")) != `""` || typ == typeError:
		f.Kind = feed.FrameError
		if e := get(top, "error"); !isNull(e) {
			if e[0] == '{' {
				fields, err := object(e)
				if err != nil {
					return f, nil, err
				}
				code, message = r.int(get(fields, "code")), r.text(get(fields, "message"))
			} else if t := r.text(e); message == "" {
				message = t
			}
		}
		f.Code, f.Text = int(code), message
		return f, nil, r.err
	case typ == typeConnected:
		f.Kind = feed.FrameConnected
	case typ == typePing:
		f.Kind = feed.FramePing
	case typ == typePong:
		f.Kind = feed.FramePong
	case typ == typeUnsubscribed:
		f.Kind = feed.FrameUnsubscribed
	case !data:
	case fam == feed.FamilyBook:
		f.Kind = feed.FrameBook
		if isNull(get(top, "order_book")) {
			return f, nil, ErrValue
		}
		if !isKnown {
			return f, nil, ErrUnknownMarket
		}
		base.Payload, err = referenceBook(get(top, "order_book"), m, f.First, offset, updated)
		return f, []model.Event{base}, err
	case fam == feed.FamilyTrade:
		f.Kind = feed.FrameTrades
		if f.Channel.Native < 0 {
			return f, nil, ErrValue
		}
		if !isKnown {
			return f, nil, ErrUnknownMarket
		}
		b := &model.TradeBatch{Nonce: nonce, History: f.First}
		for _, list := range []string{"trades", "liquidation_trades"} {
			rows, err := referenceTrades(get(top, list), m, recv)
			if err != nil {
				return f, nil, err
			}
			b.Rows = append(b.Rows, rows...)
		}
		slices.SortStableFunc(b.Rows, func(x, y model.Trade) int { return new(big.Int).SetUint64(x.ID).Cmp(new(big.Int).SetUint64(y.ID)) })
		b.Rows = slices.CompactFunc(b.Rows, func(x, y model.Trade) bool { return x.ID == y.ID })
		if len(b.Rows) == 0 && !b.History {
			return f, nil, nil
		}
		base.Payload = b
		return f, []model.Event{base}, nil
	case fam == feed.FamilyStats || fam == feed.FamilySpotStats:
		f.Kind = feed.FrameStats
		events, err := referenceStats(get(top, fam.String()), f.Channel.Native, base, known)
		return f, events, err
	case fam == feed.FamilyTicker:
		f.Kind = feed.FrameTicker
		if t := get(top, "ticker"); f.Channel.Native >= 0 && !isNull(t) && t[0] == '{' {
			fields, err := object(t)
			if err != nil {
				return f, nil, err
			}
			r.text(get(fields, "s"))
			return f, nil, r.err
		}
	case fam == feed.FamilyHeight:
		f.Kind = feed.FrameHeight
		if height != 0 {
			base.Market, base.Epoch, base.Payload = model.NoMarket, 0, &model.Height{Height: height}
			return f, []model.Event{base}, nil
		}
	}
	return f, nil, nil
}

func array(raw json.RawMessage) (list []json.RawMessage, err error) {
	if isNull(raw) {
		return nil, nil
	}
	if raw[0] != '[' {
		return nil, ErrValue
	}
	return list, json.Unmarshal(raw, &list)
}

func referenceBook(raw json.RawMessage, m *model.Market, first bool, offset uint64, updated int64) (*model.BookUpdate, error) {
	fields, err := object(raw)
	if err != nil {
		return nil, err
	}
	var r reader
	u := &model.BookUpdate{Snapshot: first, Offset: r.uint(get(fields, "offset")), UpdatedAt: model.Micros(r.int(get(fields, "last_updated_at")))}
	if u.Offset == 0 {
		u.Offset = offset
	}
	if u.UpdatedAt == 0 {
		u.UpdatedAt = model.Micros(updated)
	}
	u.Chained = r.text(get(fields, "nonce")) != "" || r.text(get(fields, "begin_nonce")) != ""
	u.Seq, u.Prev = r.uint(get(fields, "nonce")), r.uint(get(fields, "begin_nonce"))
	if !u.Chained {
		u.Seq, u.Prev = u.Offset, u.Offset-1
	}
	if first || u.Seq == 0 {
		u.Prev = 0
	}
	for i, side := range []string{"asks", "bids"} {
		list, err := array(get(fields, side))
		if err != nil {
			return nil, err
		}
		for _, raw := range list {
			fields, err := object(raw)
			if err != nil {
				return nil, err
			}
			p, priced := r.fixed(get(fields, "price"), m.PriceScale)
			s, _ := r.fixed(get(fields, "size"), m.SizeScale)
			if r.err != nil {
				return nil, r.err
			}
			if !priced || p < 0 || s < 0 {
				return nil, ErrValue
			}
			l := model.Level{Price: num.Price(p), Size: num.Size(s)}
			if i == 0 {
				u.Asks = append(u.Asks, l)
			} else {
				u.Bids = append(u.Bids, l)
			}
		}
	}
	return u, r.err
}

func referenceTrades(raw json.RawMessage, m *model.Market, recv model.Micros) (rows []model.Trade, err error) {
	list, err := array(raw)
	if err != nil {
		return nil, err
	}
	for _, raw := range list {
		fields, err := object(raw)
		if err != nil {
			return nil, err
		}
		var r reader
		t := model.Trade{Recv: recv, Epoch: m.Epoch}
		id := func(name string) uint64 {
			v, twin := r.uint(get(fields, name)), r.uint(get(fields, name+"_str"))
			if v == 0 {
				v = twin
			}
			return v
		}
		small := func(name string) int32 {
			v := r.int(get(fields, name))
			if int64(int32(v)) != v {
				r.err = ErrValue
			}
			return int32(v)
		}
		t.ID, t.AskOrder, t.BidOrder = id("trade_id"), id("ask_id"), id("bid_id")
		t.AskClient, t.BidClient = id("ask_client_id"), id("bid_client_id")
		t.TxHash = r.text(get(fields, "tx_hash"))
		t.Kind = model.KindTrade
		var extra []string
		if s := r.text(get(fields, "type")); s != "" {
			if t.Kind = model.ParseTradeKind(s); t.Kind == model.KindOther {
				for _, f := range fields {
					if f.name == "type" {
						extra = append(extra, f.quote+":"+string(f.raw))
					}
				}
			}
		}
		size, sized := r.fixed(get(fields, "size"), m.SizeScale)
		price, priced := r.fixed(get(fields, "price"), m.PriceScale)
		t.Size, t.Price = num.Size(size), num.Price(price)
		if s := r.text(get(fields, "usd_amount")); s != "" {
			v, err := mantissa(s, num.USDScale)
			if err == num.ErrScale {
				return nil, errAmbiguous
			}
			t.USD, r.err = num.USD(v), errors.Join(r.err, err)
		} else if v, err := num.MulUSD(t.Price, m.PriceScale, t.Size, m.SizeScale); err == nil {
			t.USD = v
		} else {
			r.err = errors.Join(r.err, err)
		}
		t.AskAccount, t.BidAccount = model.AccountID(r.uint(get(fields, "ask_account_id"))), model.AccountID(r.uint(get(fields, "bid_account_id")))
		t.MakerAsk = r.bool(get(fields, "is_maker_ask"))
		t.Block = r.uint(get(fields, "block_height"))
		t.Time, t.TransactionTime = model.Millis(r.int(get(fields, "timestamp"))), model.Micros(r.int(get(fields, "transaction_time")))
		side := func(who string, p *model.PositionBefore) (int32, bool) {
			size, has := r.fixed(get(fields, who+"_position_size_before"), m.SizeScale)
			quote, has2 := r.fixed(get(fields, who+"_entry_quote_before"), num.USDScale)
			margin := small(who + "_initial_margin_fraction_before")
			*p = model.PositionBefore{Known: has || has2 || margin != 0, Size: num.Size(size), EntryQuote: num.USD(quote), InitialMargin: margin}
			return small(who + "_fee"), r.bool(get(fields, who+"_position_sign_changed"))
		}
		t.TakerFee, t.TakerSignChanged = side("taker", &t.TakerBefore)
		t.MakerFee, t.MakerSignChanged = side("maker", &t.MakerBefore)
		r.uint(get(fields, "market_id"))
		for _, f := range fields {
			switch {
			case strings.HasPrefix(f.name, "ask_client_id") || strings.HasPrefix(f.name, "bid_client_id"):
				if strings.TrimSuffix(f.name[4:], "_str") == "client_id" {
					t.HasClients = true
					continue
				}
			case slices.Contains(knownTradeMembers, f.name):
				continue
			}
			extra = append(extra, f.quote+":"+string(f.raw))
		}
		t.Extra = strings.Join(extra, ",")
		if r.err != nil {
			return nil, r.err
		}
		if t.ID == 0 || !sized || !priced || t.Size < 0 || t.Price < 0 {
			return nil, ErrValue
		}
		rows = append(rows, t)
	}
	return rows, nil
}

var knownTradeMembers = strings.Fields(`trade_id trade_id_str tx_hash type market_id size price usd_amount ask_id ask_id_str bid_id
	bid_id_str ask_account_id bid_account_id is_maker_ask block_height timestamp transaction_time taker_fee maker_fee
	taker_position_size_before taker_entry_quote_before taker_initial_margin_fraction_before taker_position_sign_changed
	maker_position_size_before maker_entry_quote_before maker_initial_margin_fraction_before maker_position_sign_changed`)
