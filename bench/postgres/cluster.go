package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is a PostgreSQL server of its own: a new data directory, reached over a Unix socket in it and nowhere else.
type cluster struct {
	bin, dir string
	process  *exec.Cmd
	url      string
}

// settings are what PostgreSQL is tuned with: the data set lies in its memory or the system's, nothing waits for the disk
// while it is filled, and no worker is started for a query of a page.
var settings = []string{"shared_buffers=2GB", "effective_cache_size=8GB", "work_mem=32MB", "maintenance_work_mem=1GB", "max_wal_size=16GB",
	"wal_level=minimal", "max_wal_senders=0", "synchronous_commit=off", "fsync=off", "full_page_writes=off", "random_page_cost=1.1",
	"max_parallel_workers_per_gather=0", "jit=off", "listen_addresses=", "autovacuum=on", "max_connections=50"}

// startCluster makes a cluster with the programs in bin and runs it as the given user, which must not be root.
func startCluster(bin, dir string, user *syscall.Credential) (*cluster, error) {
	c := &cluster{bin: bin, dir: dir}
	as := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user, Setpgid: true}
		cmd.Dir = dir
		return cmd
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if user != nil {
		if err := os.Chown(dir, int(user.Uid), int(user.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if _, err := os.Stat(data); err == nil {
		// Left by a run before.
	} else if out, err := as(exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	args := []string{"-D", data, "-k", dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	c.process = as(exec.Command(filepath.Join(bin, "postgres"), args...))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.process.Stdout, c.process.Stderr = log, log
	if err := c.process.Start(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	c.url = "host=" + dir + " user=bench database=postgres"
	for range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, c.url)
		if err == nil {
			_ = conn.Close(ctx)
			cancel()
			return c, nil
		}
		cancel()
		time.Sleep(100 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("postgres does not answer"), c.stop())
}

// stop ends the server: a fast shutdown.
func (c *cluster) stop() error {
	if err := c.process.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	_ = c.process.Wait()
	return nil
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
	conn, err := pgx.Connect(ctx, c.url)
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
	conn, err := pgx.Connect(ctx, c.url)
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
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT pg_total_relation_size($1::regclass)", table).Scan(&n)
	return n, err
}
