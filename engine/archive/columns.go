package archive

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// field is a column that we understand, whatever the file calls it.
type field uint8

const (
	fTime field = iota
	fMarket
	fSymbol
	fTradeID
	fTradeIDText
	fType
	fSide
	fMakerAsk
	fPrice
	fSize
	fUSD
	fAskOrder
	fAskOrderText
	fBidOrder
	fBidOrderText
	fAskAccount
	fBidAccount
	fAskClient
	fAskClientText
	fBidClient
	fBidClientText
	fTakerFee
	fMakerFee
	fBlock
	fTxHash
	fRecv
	fTransactionTime
	fTakerSize
	fTakerQuote
	fTakerMargin
	fTakerSign
	fMakerSize
	fMakerQuote
	fMakerMargin
	fMakerSign
	fResolution
	fOpen
	fHigh
	fLow
	fClose
	fVolume
	fQuoteVolume
	fTradeCount
	fLastID
	fRate
	fRatePercent
	fValue
	fDirection
	fieldCount
)

// names lists each column with the name that our own files have first. Names are compared in lower case, but for those
// of one letter, where the venue tells the base volume v from the quote volume V.
var names = [fieldCount][]string{
	fTime:            {"timestamp", "time", "ts", "t", "date", "datetime", "timestamp_ms", "ts_ms", "time_ms", "timestamp_s", "ts_s", "timestamp_us", "ts_us", "open_time"},
	fMarket:          {"market_id", "market_index", "order_book_id"},
	fSymbol:          {"symbol", "market", "pair", "ticker"},
	fTradeID:         {"trade_id", "id", "tid"},
	fTradeIDText:     {"trade_id_str"},
	fType:            {"type", "trade_type"},
	fSide:            {"side", "taker_side"},
	fMakerAsk:        {"is_maker_ask"},
	fPrice:           {"price", "px"},
	fSize:            {"size", "amount", "qty", "quantity", "sz", "base_amount"},
	fUSD:             {"usd_amount", "quote_amount", "notional", "quote_qty"},
	fAskOrder:        {"ask_id"},
	fAskOrderText:    {"ask_id_str"},
	fBidOrder:        {"bid_id"},
	fBidOrderText:    {"bid_id_str"},
	fAskAccount:      {"ask_account_id"},
	fBidAccount:      {"bid_account_id"},
	fAskClient:       {"ask_client_id"},
	fAskClientText:   {"ask_client_id_str"},
	fBidClient:       {"bid_client_id"},
	fBidClientText:   {"bid_client_id_str"},
	fTakerFee:        {"taker_fee"},
	fMakerFee:        {"maker_fee"},
	fBlock:           {"block_height", "block"},
	fTxHash:          {"tx_hash", "hash"},
	fRecv:            {"recv_ts", "recv_us"},
	fTransactionTime: {"transaction_time"},
	fTakerSize:       {"taker_position_size_before"},
	fTakerQuote:      {"taker_entry_quote_before"},
	fTakerMargin:     {"taker_initial_margin_fraction_before"},
	fTakerSign:       {"taker_position_sign_changed"},
	fMakerSize:       {"maker_position_size_before"},
	fMakerQuote:      {"maker_entry_quote_before"},
	fMakerMargin:     {"maker_initial_margin_fraction_before"},
	fMakerSign:       {"maker_position_sign_changed"},
	fResolution:      {"resolution", "interval", "timeframe", "r"},
	fOpen:            {"open", "o"},
	fHigh:            {"high", "h"},
	fLow:             {"low", "l"},
	fClose:           {"close", "c"},
	fVolume:          {"volume", "v", "base_volume", "volume0"},
	fQuoteVolume:     {"quote_volume", "V", "volume1"},
	fTradeCount:      {"trade_count", "trades", "count", "n"},
	fLastID:          {"last_trade_id", "i"},
	fRate:            {"rate", "funding_rate"},
	fRatePercent:     {"rate_percent"},
	fValue:           {"value"},
	fDirection:       {"direction"},
}

var byName = func() map[string]field {
	m := map[string]field{}
	for f, list := range names {
		for _, name := range list {
			m[name] = field(f)
		}
	}
	return m
}()

// column returns the field of a column's name.
func column(name string) (field, bool) {
	name = strings.TrimSpace(name)
	if len(name) > 1 {
		name = strings.ToLower(name)
	}
	f, ok := byName[name]
	return f, ok
}

func (f field) String() string { return names[f][0] }

// needs says which columns make a dataset; of each inner list one must be there.
var needs = map[Dataset][][]field{
	Trades:  {{fTime}, {fTradeID, fTradeIDText}, {fPrice}, {fSize}, {fSide, fMakerAsk}},
	Candles: {{fTime}, {fOpen}, {fHigh}, {fLow}, {fClose}, {fVolume}},
	Funding: {{fTime}, {fRate, fRatePercent}},
}

// missing names the columns that a dataset still needs.
func missing(d Dataset, has func(field) bool) (out []string) {
	for _, any := range needs[d] {
		if slices.ContainsFunc(any, has) {
			continue
		}
		var text []string
		for _, f := range any {
			text = append(text, f.String())
		}
		out = append(out, strings.Join(text, " or "))
	}
	return out
}

// detect finds the dataset of a set of columns: the one that was asked for, else the only one that is whole. A file's name
// decides where several are.
func detect(o Options, has func(field) bool) (Dataset, error) {
	if o.Dataset != Unknown {
		if lacks := missing(o.Dataset, has); lacks != nil {
			return Unknown, fmt.Errorf("%w: %s lack %s", ErrColumns, o.Dataset, strings.Join(lacks, ", "))
		}
		return o.Dataset, nil
	}
	var whole []Dataset
	for _, d := range []Dataset{Trades, Candles, Funding} {
		if missing(d, has) == nil {
			whole = append(whole, d)
		}
	}
	if len(whole) == 1 {
		return whole[0], nil
	}
	base := strings.ToLower(filepath.Base(o.Name))
	for _, d := range whole {
		if strings.Contains(base, strings.TrimSuffix(d.String(), "s")) {
			return d, nil
		}
	}
	if len(whole) > 1 {
		return Unknown, fmt.Errorf("%w of one kind: several would fit; say which with --dataset", ErrColumns)
	}
	best, lacks := Unknown, []string(nil)
	for _, d := range []Dataset{Trades, Candles, Funding} {
		if m := missing(d, has); len(m) < len(needs[d])-1 && (best == Unknown || len(m) < len(lacks)) {
			best, lacks = d, m
		}
	}
	if best == Unknown {
		return Unknown, ErrColumns
	}
	return Unknown, fmt.Errorf("%w: for %s they lack %s", errHeader, best, strings.Join(lacks, ", "))
}

// resolutionOfName finds a length in a file's name, as in candles-hype-1m.csv.
func resolutionOfName(name string) time.Duration {
	for _, part := range strings.FieldsFunc(strings.ToLower(filepath.Base(name)), func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		if len(part) == 2 {
			if d, ok := ParseResolution(part); ok {
				return d
			}
		}
	}
	return 0
}
