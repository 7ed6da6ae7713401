package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valyala/fasthttp"
)

// The questions that PostgreSQL is asked. Values come as text, which a handler can put into JSON as they are.
const (
	askTrades = `SELECT trade_id, tx_hash, kind, price, size, usd_amount, is_maker_ask, ask_id, bid_id, ask_account_id, bid_account_id,
		block_height, ts, recv_ts FROM trades WHERE market_id = $1 AND ts >= $2 AND ts < $3 ORDER BY ts, trade_id LIMIT $4`
	askCount   = `SELECT count(*) FROM trades WHERE market_id = $1 AND ts >= $2 AND ts < $3`
	askCandles = `SELECT ts, open, high, low, close, volume, quote_volume, trade_count, last_trade_id
		FROM candles WHERE market_id = $1 AND ts >= $2 AND ts < $3 ORDER BY ts LIMIT $4`
	askBook = `SELECT ts, book FROM books WHERE market_id = $1 AND ts <= $2 AND ts > $3 ORDER BY ts DESC LIMIT 1`
)

var kinds = [...]string{"trade", "liquidation", "deleverage", "market-settlement", "other"}

// thin answers the three questions with as little between client and database as there can be: a pool of connections with
// prepared statements, and rows whose values are appended to the body without being parsed. Unlike ours it checks no
// parameter, limits and logs nobody, tells no coverage and signs no cursor. How many trades match it counts only where it
// is asked to, by total=1, though an answer of ours always tells.
type thin struct{ pool *pgxpool.Pool }

// serveThin is the process of the thin handler. It prints its address and ends with its input.
func serveThin(url string, connections int) error {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	cfg.MaxConns, cfg.MinConns = int32(connections), int32(connections)
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	t := &thin{pool}
	server := &fasthttp.Server{Handler: t.serve, WriteBufferSize: 16 << 10, NoDefaultServerHeader: true}
	go server.Serve(ln)
	fmt.Println(ln.Addr())
	if _, err := bufio.NewReader(os.Stdin).ReadString(0); !errors.Is(err, io.EOF) {
		return err
	}
	return server.Shutdown()
}

func (t *thin) serve(ctx *fasthttp.RequestCtx) {
	args := ctx.QueryArgs()
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(string(args.Peek(name)), 10, 64)
		return n
	}
	resp := &ctx.Response
	body := resp.SwapBody(nil)[:0]
	var err error
	switch path := string(ctx.Path()); path {
	case "/api/v1/trades/by-time":
		body, err = t.trades(body, number("market_id"), number("start"), number("end"), number("limit"), number("total") == 1)
	case "/api/v1/candles":
		body, err = t.candles(body, number("market_id"), number("start"), number("end"), number("limit"))
	default:
		m, _ := strconv.ParseInt(path[len("/api/v1/orderbook/"):len(path)-len("/snapshots")], 10, 64)
		body, err = t.book(body, m, number("at"))
	}
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	resp.SwapBody(body)
	resp.Header.SetContentType("application/json")
}

var asText = pgx.QueryResultFormats{pgx.TextFormatCode}

func (t *thin) trades(dst []byte, m, from, to, limit int64, total bool) ([]byte, error) {
	rows, err := t.pool.Query(context.Background(), askTrades, asText, m, from, to, limit)
	if err != nil {
		return dst, err
	}
	defer rows.Close()
	id := strconv.FormatInt(m, 10)
	symbol := allMarkets[m].Symbol
	dst = append(dst, `{"success":true,"data":{"trades":[`...)
	for n := 0; rows.Next(); n++ {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = appendRow(dst, rows.RawValues(), id, symbol)
	}
	dst = append(dst, ']')
	if err := rows.Err(); err != nil || !total {
		return append(dst, "}}"...), err
	}
	var n int64
	err = t.pool.QueryRow(context.Background(), askCount, m, from, to).Scan(&n)
	dst = append(dst, `},"meta":{"total":`...)
	return append(strconv.AppendInt(dst, n, 10), "}}"...), err
}

// whale is the length of a value of 100,000 or more with six decimals.
const whale = len("100000.000000")

// appendRow writes a Trade object from the values of a row.
func appendRow(dst []byte, v [][]byte, market, symbol string) []byte {
	add := func(name string, value []byte) { dst = append(append(dst, name...), value...) }
	add(`{"trade_id":`, v[0])
	if v[1] == nil {
		dst = append(dst, `,"tx_hash":null`...)
	} else {
		add(`,"tx_hash":"`, v[1])
		dst = append(dst, '"')
	}
	dst = append(append(dst, `,"type":"`...), kinds[v[2][0]-'0']...)
	dst = append(append(dst, `","market_id":`...), market...)
	dst = append(append(append(dst, `,"symbol":"`...), symbol...), '"')
	add(`,"price":"`, v[3])
	add(`","size":"`, v[4])
	add(`","usd_amount":"`, v[5])
	maker := v[6][0] == 't'
	if maker {
		dst = append(dst, `","side":"buy"`...)
	} else {
		dst = append(dst, `","side":"sell"`...)
	}
	add(`,"ask_id":`, v[7])
	add(`,"ask_id_str":"`, v[7])
	add(`","bid_id":`, v[8])
	add(`,"bid_id_str":"`, v[8])
	add(`","ask_account_id":`, v[9])
	add(`,"bid_account_id":`, v[10])
	dst = strconv.AppendBool(append(dst, `,"is_maker_ask":`...), maker)
	dst = strconv.AppendBool(append(dst, `,"whale":`...), len(v[5]) >= whale)
	add(`,"block_height":`, v[11])
	add(`,"timestamp":`, v[12])
	add(`,"recv_ts":`, v[13])
	return append(dst, '}')
}

func (t *thin) candles(dst []byte, m, from, to, limit int64) ([]byte, error) {
	rows, err := t.pool.Query(context.Background(), askCandles, asText, m, from, to, limit)
	if err != nil {
		return dst, err
	}
	defer rows.Close()
	now := time.Now().UnixMilli()
	dst = append(dst, `{"success":true,"data":{"candles":[`...)
	for n := 0; rows.Next(); n++ {
		if n > 0 {
			dst = append(dst, ',')
		}
		v := rows.RawValues()
		add := func(name string, value []byte) { dst = append(append(dst, name...), value...) }
		add(`{"timestamp":`, v[0])
		add(`,"open":"`, v[1])
		add(`","high":"`, v[2])
		add(`","low":"`, v[3])
		add(`","close":"`, v[4])
		add(`","volume":"`, v[5])
		add(`","quote_volume":"`, v[6])
		add(`","trade_count":`, v[7])
		add(`,"last_trade_id":`, v[8])
		dst = strconv.AppendBool(append(dst, `,"closed":`...), now >= to)
		dst = append(dst, '}')
	}
	return append(dst, "]}}"...), rows.Err()
}

func (t *thin) book(dst []byte, m, at int64) ([]byte, error) {
	rows, err := t.pool.Query(context.Background(), askBook, asText, m, at, at-60_000)
	if err != nil {
		return dst, err
	}
	defer rows.Close()
	dst = append(dst, `{"success":true,"data":{"snapshots":[`...)
	if rows.Next() {
		dst = append(dst, rows.RawValues()[1]...)
	}
	return append(dst, "]}}"...), rows.Err()
}
