package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// lookUp appends the elements of accounts to dst.
type lookUp func(ctx context.Context, dst []byte, ids []int64, withFills bool) ([]byte, error)

// serveThin runs a handler with as little between client and store as there can be, and ends with its input. Unlike ours
// it checks no parameter, limits and logs nobody, and tells nothing of accounts that are not there.
func serveThin(look lookUp) error {
	return serve(func(ctx *fasthttp.RequestCtx) {
		ask := ctx.Request.Body()
		resp := &ctx.Response
		dst := append(resp.SwapBody(nil)[:0], `{"success":true,"data":{"accounts":[`...)
		dst, err := look(ctx, dst, listed(ask), bytes.Contains(ask, []byte(`"fills"`)))
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		resp.SwapBody(append(dst, "]}}"...))
		resp.Header.SetContentType("application/json")
	})
}

// What a bare server answers with, of so many bytes: one text, always the same one, or as many texts of equal length as
// piecesHeader tells, drawn from as many as there are of accounts asked for most. The others do not look at these.
const (
	sizeHeader   = "X-Size"
	piecesHeader = "X-Pieces"
)

// maxPiece is more than an account takes.
const maxPiece = 16 << 10

// serveBare answers with as many bytes as it is asked for. Where they are pieces, they are copied from all over the memory,
// as they must be by whoever has a ready text of each account.
func serveBare(o *options) error {
	body := bytes.Repeat([]byte("0123456789abcdef"), 8<<20)
	texts := make([][]byte, o.most)
	for i := range texts {
		texts[i] = bytes.Clone(body[:maxPiece])
	}
	return serve(func(ctx *fasthttp.RequestCtx) {
		size, _ := strconv.Atoi(string(ctx.Request.Header.Peek(sizeHeader)))
		pieces, _ := strconv.Atoi(string(ctx.Request.Header.Peek(piecesHeader)))
		if pieces == 0 {
			ctx.Response.SetBodyRaw(body[:size])
			return
		}
		each := min(size/pieces, maxPiece)
		resp := &ctx.Response
		dst := resp.SwapBody(nil)[:0]
		for range pieces {
			dst = append(dst, texts[rand.IntN(len(texts))][:each]...)
		}
		resp.SwapBody(dst)
	})
}

// serve answers until the input ends. It prints its address.
func serve(handler fasthttp.RequestHandler) error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &fasthttp.Server{WriteBufferSize: 16 << 10, NoDefaultServerHeader: true, Handler: handler}
	go server.Serve(ln)
	fmt.Println(ln.Addr())
	if err := awaitEnd(); err != nil {
		return err
	}
	return server.Shutdown()
}

// listed reads the numbers of the first list in a body.
func listed(body []byte) []int64 {
	body = body[bytes.IndexByte(body, '[')+1:]
	ids := make([]int64, 0, 1000)
	n := int64(0)
	for _, b := range body {
		switch {
		case b >= '0' && b <= '9':
			n = n*10 + int64(b-'0')
		case b == ',':
			ids, n = append(ids, n), 0
		case b == ']':
			return append(ids, n)
		}
	}
	return ids
}

// Keys of Redis: the whole element of an account, ready to be sent, without its fills and with them.
func elementKey(id int64, withFills bool) string {
	if withFills {
		return "f" + strconv.FormatInt(id, 10)
	}
	return "a" + strconv.FormatInt(id, 10)
}

func openRedis(socket string, connections int) *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: socket, PoolSize: connections, MinIdleConns: connections, DisableIdentity: true})
}

// serveRedis is the process of the thin handler before Redis: one MGET.
func serveRedis(o *options) error {
	client := openRedis(o.url, o.connections)
	defer client.Close()
	return serveThin(func(ctx context.Context, dst []byte, ids []int64, withFills bool) ([]byte, error) {
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = elementKey(id, withFills)
		}
		values, err := client.MGet(ctx, keys...).Result()
		if err != nil {
			return dst, err
		}
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			text, _ := v.(string)
			dst = append(dst, text...)
		}
		return dst, nil
	})
}

// schema is what would be made of accounts in tables: what is sorted and summed in columns, lists as documents. Lists stay
// in the row, and fills beside it uncompressed, because to unpack them would take PostgreSQL longer.
const schema = `
CREATE UNLOGGED TABLE accounts (account_index bigint PRIMARY KEY, updated_at bigint NOT NULL, l1_address text, account_type smallint,
	status smallint, total_order_count int, pending_order_count int, collateral numeric, available_balance numeric, total_asset_value numeric,
	cross_asset_value numeric, source text NOT NULL, positions jsonb NOT NULL, orders jsonb NOT NULL) WITH (toast_tuple_target = 8160);
CREATE UNLOGGED TABLE fills (account_index bigint PRIMARY KEY, fills jsonb NOT NULL);
ALTER TABLE fills ALTER fills SET STORAGE EXTERNAL;
ALTER TABLE accounts ALTER positions SET STORAGE MAIN`

const analyze = `VACUUM (ANALYZE, FREEZE) accounts; VACUUM (ANALYZE, FREEZE) fills; CHECKPOINT`

const (
	accountColumns = `a.account_index, a.l1_address, a.account_type, a.status, a.collateral, a.available_balance, a.total_asset_value,
	a.cross_asset_value, a.total_order_count, a.pending_order_count, a.updated_at, a.source, a.positions, a.orders`
	askAccounts = `SELECT ` + accountColumns + ` FROM accounts a WHERE account_index = ANY($1)`
	askFills    = `SELECT ` + accountColumns + `, f.fills FROM accounts a JOIN fills f USING (account_index) WHERE account_index = ANY($1)`
)

// servePostgres is the process of the thin handler before PostgreSQL: one query, prepared, whose values come as text and
// are put into JSON as they are.
func servePostgres(o *options) error {
	cfg, err := pgxpool.ParseConfig(o.url)
	if err != nil {
		return err
	}
	cfg.MaxConns, cfg.MinConns = int32(o.connections), int32(o.connections)
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	asText := pgx.QueryResultFormats{pgx.TextFormatCode}
	return serveThin(func(ctx context.Context, dst []byte, ids []int64, withFills bool) ([]byte, error) {
		ask := askAccounts
		if withFills {
			ask = askFills
		}
		rows, err := pool.Query(ctx, ask, asText, ids)
		if err != nil {
			return dst, err
		}
		defer rows.Close()
		for n := 0; rows.Next(); n++ {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = appendRow(dst, rows.RawValues())
		}
		return dst, rows.Err()
	})
}

// appendRow writes an account's element from the values of a row.
func appendRow(dst []byte, v [][]byte) []byte {
	add := func(name string, value []byte) { dst = append(append(dst, name...), value...) }
	add(`{"account_index":`, v[0])
	add(`,"l1_address":"`, v[1])
	add(`","account_type":`, v[2])
	add(`,"status":`, v[3])
	add(`,"collateral":"`, v[4])
	add(`","available_balance":"`, v[5])
	add(`","total_asset_value":"`, v[6])
	add(`","cross_asset_value":"`, v[7])
	add(`","total_order_count":`, v[8])
	add(`,"pending_order_count":`, v[9])
	add(`,"positions":`, v[12])
	add(`,"orders":`, v[13])
	if len(v) > 14 {
		add(`,"fills":`, v[14])
	}
	add(`,"updated_at":`, v[10])
	add(`,"source":"`, v[11])
	add(`","as_of":`, v[10])
	return append(dst, `,"stale":false}`...)
}
