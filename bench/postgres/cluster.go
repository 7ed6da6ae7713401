package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"hyperlight/bench/sides"

	"github.com/jackc/pgx/v5"
)

// cluster is a PostgreSQL server of its own, and what is run in it.
type cluster struct{ *sides.Cluster }

func startCluster(bin, dir string) (*cluster, error) {
	c, err := sides.StartCluster(bin, dir, -1)
	if err != nil {
		return nil, err
	}
	return &cluster{c}, nil
}

// schema is what would be made of the same record in tables: exact decimals, the columns of an answer, one index that
// serves the order of the answer. Its columns lie so that no padding is needed.
const schema = `
CREATE UNLOGGED TABLE trades (ts bigint NOT NULL, trade_id bigint NOT NULL, recv_ts bigint, ask_id bigint NOT NULL, bid_id bigint NOT NULL,
	block_height bigint NOT NULL, ask_account_id bigint NOT NULL, bid_account_id bigint NOT NULL, market_id int NOT NULL,
	kind smallint NOT NULL, is_maker_ask bool NOT NULL, price numeric NOT NULL, size numeric NOT NULL, usd_amount numeric NOT NULL, tx_hash text);
CREATE UNLOGGED TABLE candles (market_id int NOT NULL, ts bigint NOT NULL, open numeric NOT NULL, high numeric NOT NULL, low numeric NOT NULL,
	close numeric NOT NULL, volume numeric NOT NULL, quote_volume numeric NOT NULL, trade_count bigint NOT NULL, last_trade_id bigint NOT NULL);
CREATE UNLOGGED TABLE books (market_id int NOT NULL, ts bigint NOT NULL, book jsonb NOT NULL)`

const indexes = `
CREATE INDEX ON trades (market_id, ts, trade_id);
ALTER TABLE candles ADD PRIMARY KEY (market_id, ts);
ALTER TABLE books ADD PRIMARY KEY (market_id, ts);
VACUUM (ANALYZE, FREEZE) trades;
VACUUM (ANALYZE, FREEZE) candles;
VACUUM (ANALYZE, FREEZE) books;
CHECKPOINT`

// run runs statements, one after the other.
func (c *cluster) run(ctx context.Context, statements string) error {
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	for s := range strings.SplitSeq(statements, ";") {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("run %q: %w", strings.TrimSpace(s), err)
		}
	}
	return nil
}

// load copies lines into a table.
func (c *cluster) load(ctx context.Context, table string, lines io.Reader) error {
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().CopyFrom(ctx, lines, "COPY "+table+" FROM STDIN"); err != nil {
		return fmt.Errorf("copy into %s: %w", table, err)
	}
	return nil
}

// size returns the bytes of a table with its indexes.
func (c *cluster) size(ctx context.Context, table string) (n int64, err error) {
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT pg_total_relation_size($1::regclass)", table).Scan(&n)
	return n, err
}
