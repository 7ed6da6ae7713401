package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Reads of the chain below the exchange and of its lists. Blocks are made from their height: empty, and always the same.

var errNoTransaction = refuse(21500, "transaction not found")

// answerChain serves blocks, tokens and statistics that no order touches; false where it does not know the name.
func (x *Exchange) answerChain(b []byte, name string, q query) ([]byte, *venueError, bool) {
	var e *venueError
	switch name {
	case "blocks":
		b, e = x.answerBlocks(b, q)
	case "block":
		b, e = x.answerBlock(b, q)
	case "tx", "txFromL1TxHash":
		return nil, errNoTransaction, true // transactions are taken, not executed
	case "tokenlist":
		b = x.answerTokens(b)
	case "markPriceCandles":
		b, e = x.answerMarkCandles(b, q)
	case "marketPriceCharts":
		b, e = x.answerCharts(b, q)
	case "marketMetrics":
		b, e = x.answerMarketMetrics(b, q)
	case "executeStats":
		if period := q.text("period"); strings.Contains(" d w m q y all ", " "+period+" ") && period != "" {
			b = append(append(append(b, `{"code":200,"period":"`...), period...), `","result":[]}`...)
		} else {
			e = errInvalidParam
		}
	default:
		return nil, nil, false
	}
	return b, e, true
}

func appendBlock(b []byte, height int64) []byte {
	hash := func(of string) string {
		h := sha256.Sum256([]byte(of + strconv.FormatInt(height, 10)))
		return hex.EncodeToString(h[:])
	}
	b = append(append(b, `{"commitment":"`...), hash("commitment")...)
	b = appendInt(b, `","height":`, height)
	b = append(append(b, `,"state_root":"`...), hash("state")...)
	return append(b, `","priority_operations":0,"on_chain_l2_operations":0,"pending_on_chain_operations_pub_data":"","committed_tx_hash":"","committed_at":0,"verified_tx_hash":"","verified_at":0,"txs":[],"status":2,"size":0}`...)
}

// answerBlocks lists blocks upwards from index, or downwards from the newest with sort=desc.
func (x *Exchange) answerBlocks(b []byte, q query) ([]byte, *venueError) {
	limit, ok1 := q.limit(100)
	top := x.height()
	by, first := int64(1), int64(0)
	if q.text("sort") == "desc" {
		by, first = -1, top
	}
	at, ok2 := q.int("index", first)
	if !ok1 || !ok2 || at < 0 {
		return nil, errInvalidParam
	}
	b = append(appendInt(b, `{"code":200,"total":`, top+1), `,"blocks":[`...)
	for n := 0; n < limit && at >= 0 && at <= top; n, at = n+1, at+by {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendBlock(b, at)
	}
	return append(b, `]}`...), nil
}

func (x *Exchange) answerBlock(b []byte, q query) ([]byte, *venueError) {
	height, err := strconv.ParseInt(q.text("value"), 10, 64)
	switch by := q.text("by"); {
	case by == "commitment", by == "height" && err == nil && (height < 0 || height > x.height()):
		return nil, errNotFound
	case by != "height" || err != nil:
		return nil, errInvalidParam
	}
	return append(appendBlock(append(b, `{"code":200,"total":1,"blocks":[`...), height), `]}`...), nil
}

func (x *Exchange) answerTokens(b []byte) []byte {
	b = append(b, `{"code":200,"tokens":[`...)
	for i, m := range x.markets {
		if i > 0 {
			b = append(b, ',')
		}
		b = model.AppendString(append(b, `{"symbol":`...), m.symbol)
		b = model.AppendString(append(b, `,"name":`...), m.symbol)
		b = append(b, `,"logo":"","logo_extension":"svg","description_key":"","gecko_id":"","paprika_id":"","market":"PERPS","asset_type":"CRYPTO","categories":[],"is_allowed_mainnet":true,"is_asset_allowed_mainnet":true}`...)
	}
	return append(b, `]}`...)
}

// answerMarkCandles is answerCandles over mark prices; there is no week among its resolutions.
func (x *Exchange) answerMarkCandles(b []byte, q query) ([]byte, *venueError) {
	m, e := x.market(q)
	if e != nil {
		return nil, e
	}
	i := resolutionPlace(q.text("resolution"))
	if i < 0 || resolutionList[i] == "1w" {
		return nil, errInvalidResolution
	}
	return m.appendBars(b, q, i, &m.marks[i], true)
}

// answerCharts gives the closing prices of the last hours of some markets, or of all.
func (x *Exchange) answerCharts(b []byte, q query) ([]byte, *venueError) {
	wanted := map[int64]bool{}
	for _, list := range q.args.PeekMulti("market_ids") {
		for text := range strings.SplitSeq(string(list), ",") {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil || x.byID[id] == nil {
				return nil, errInvalidParam
			}
			wanted[id] = true
		}
	}
	hour := resolutionPlace("1h")
	b = append(b, `{"code":200,"resolution":"1h","price_charts":[`...)
	first := true
	for _, m := range x.markets {
		if len(wanted) > 0 && !wanted[m.id] {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendInt(b, `{"market_id":`, m.id), `,"prices":[`...)
		rows := m.candles[hour].rows
		for i := max(0, len(rows)-24); i < len(rows); i++ {
			if b[len(b)-1] != '[' {
				b = append(b, ',')
			}
			b = append(m.appendPrice(append(b, '"'), rows[i].close), '"')
		}
		b = append(b, `]}`...)
	}
	return append(b, `]}`...), nil
}

func (x *Exchange) answerMarketMetrics(b []byte, q query) ([]byte, *venueError) {
	if _, ok := q.int("timestamp", -1); !ok || q.text("kind") != "volume" {
		return nil, errInvalidParam
	}
	b = append(b, `{"code":200,"metrics":[`...)
	for i, m := range x.markets {
		if i > 0 {
			b = append(b, ',')
		}
		b = model.AppendString(append(b, `{"market":`...), m.symbol)
		b = append(appendNumber(b, `,"data":`, int64(m.stats.day.quote), num.USDScale), '}')
	}
	return append(b, `]}`...), nil
}
