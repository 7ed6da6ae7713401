package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hyperlight/bench/sides"
)

// duck is a DuckDB in a process of its own.
type duck struct{ *sides.Child }

func startDuck(threads int) (*duck, error) {
	c, err := sides.StartChild(-1, "node", "duck.mjs", strconv.Itoa(threads))
	if err != nil {
		return nil, err
	}
	return &duck{c}, nil
}

// answer is what a statement gave.
type answer struct {
	turn
	text string // its rows as JSON
}

// run runs a statement. How long it took is told by the process that ran it.
func (d *duck) run(statement string, args ...any) (a answer, err error) {
	text := fmt.Sprintf(statement, args...)
	if _, err := fmt.Fprintln(d.In, text); err != nil {
		return a, fmt.Errorf("ask DuckDB: %w", err)
	}
	line, err := d.Out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("ask DuckDB: %w", err)
	}
	var told struct {
		MS, Processor float64
		Text, Error   string
	}
	if err := json.Unmarshal(line, &told); err != nil {
		return a, fmt.Errorf("read DuckDB's answer: %w", err)
	}
	if told.Error != "" {
		return a, errors.New("DuckDB: " + told.Error)
	}
	a.took, a.processor = time.Duration(told.MS*float64(time.Millisecond)), time.Duration(told.Processor*float64(time.Millisecond))
	a.text = told.Text
	return a, nil
}

// questions are asked of each file.
var questions = []struct{ name, query string }{
	{"volume", "SELECT sum(usd_amount), sum(size) FROM f"},
	{"volume by side", "SELECT side, count(*), sum(usd_amount) FROM f GROUP BY side ORDER BY side"},
	{"1-minute candles", "SELECT epoch_ms(timestamp) // 60000 AS t, min(price), max(price), arg_min(price, trade_id), arg_max(price, trade_id), sum(size) FROM f GROUP BY t ORDER BY t"},
	{"trades of an hour", "SELECT count(*), sum(size) FROM f WHERE timestamp BETWEEN '2025-10-06 13:00:00+00' AND '2025-10-06 14:00:00+00'"},
	{"large buys", "SELECT count(*), max(price) FROM f WHERE is_maker_ask AND size > 0.05"},
	{"top 10 accounts", "SELECT ask_account_id, sum(usd_amount) AS s FROM f GROUP BY ask_account_id ORDER BY s DESC, ask_account_id LIMIT 10"},
	{"an account's trades", "SELECT count(*), sum(size), max(price) FROM f WHERE ask_account_id = 7919 OR bid_account_id = 7919"},
	{"a trade", "SELECT * FROM f WHERE trade_id BETWEEN 212345678 AND 212345688 ORDER BY trade_id"},
	{"trades by block", "SELECT block_height, count(*) AS n FROM f GROUP BY block_height ORDER BY n DESC, block_height LIMIT 10"},
	{"transactions", "SELECT count(DISTINCT tx_hash) FROM f"},
	{"every column but the hash", "SELECT sum(hash(COLUMNS(* EXCLUDE tx_hash))) FROM f"},
	{"every column", "SELECT sum(hash(COLUMNS(*))) FROM f"},
}

// measureColumns prints the bytes that each column takes in each of the files, by their footers. The rest is theirs and the
// indexes of pages, for DuckDB also bloom filters.
func measureColumns(db *duck, dir string, rows int) error {
	var columns, sums string
	for i, f := range append([]string{oursName}, formatNames()...) {
		name := filepath.Join(dir, "large-"+f)
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		columns += fmt.Sprintf(", sum(total_compressed_size) FILTER (file_name = '%s') / %d AS c%d", name, rows, i)
		sums += fmt.Sprintf(", %d / %d AS c%d", info.Size(), rows, i)
	}
	a, err := db.run("WITH c AS (SELECT min(column_id) AS id, path_in_schema AS name%s FROM parquet_metadata('%s') GROUP BY name), "+
		"f AS (SELECT 100 AS id, 'file' AS name%s), "+
		"l AS (SELECT 101, 'file less the hash', f.c0 - h.c0, f.c1 - h.c1, f.c2 - h.c2 FROM f, c AS h WHERE h.name = 'tx_hash') "+
		"SELECT name, c0::FLOAT, c1::FLOAT, c2::FLOAT, (c0 / c2)::FLOAT FROM (FROM c UNION ALL FROM f UNION ALL FROM l) ORDER BY id",
		columns, filepath.Join(dir, "large-*.parquet"), sums)
	if err != nil {
		return err
	}
	var lines [][]any
	if err := json.Unmarshal([]byte(a.text), &lines); err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	fmt.Printf("\n| bytes/row | ours | %s | %s | of its bytes |\n|---|---|---|---|---|\n", formats[0].name, formats[1].name)
	for _, l := range lines {
		fmt.Printf("| %v | %.3f | %.3f | %.3f | %.3f |\n", l...)
	}
	return nil
}

// measureScans has DuckDB answer questions in turns from each of the files and from what no file can be read much faster than: its
// newest format with nothing to unpack, and a table in its memory. All must give the same.
func measureScans(o *options, db *duck, dir string) error {
	plain := filepath.Join(dir, "plain.parquet")
	for _, s := range []string{
		"CREATE OR REPLACE TABLE t AS SELECT * FROM '" + filepath.Join(dir, "large-"+oursName) + "'",
		"COPY t TO '" + plain + "' (FORMAT parquet, COMPRESSION uncompressed" + formats[1].options + ")",
	} {
		if _, err := db.run("%s", s); err != nil {
			return err
		}
	}
	var sources []string
	for _, f := range append([]string{oursName}, formatNames()...) {
		sources = append(sources, "'"+filepath.Join(dir, "large-"+f)+"'")
	}
	sources = append(sources, "'"+plain+"'", "t")
	fmt.Print("\n| DuckDB reads | ours, ms |")
	for _, f := range formats {
		fmt.Printf(" %s, ms | times as fast | times by processor |", f.name)
	}
	fmt.Print(" the newest not packed, ms | a table in memory, ms |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, q := range questions {
		turns := make([][]turn, len(sources))
		var first string
		for range o.rounds + 2 {
			for i, source := range sources {
				a, err := db.run("WITH f AS (FROM %s) %s", source, q.query)
				if err != nil {
					return fmt.Errorf("%s: %w", q.name, err)
				}
				if first == "" {
					first = a.text
				}
				if a.text != first {
					return fmt.Errorf("%s: the files give different answers: %.300s, %.300s", q.name, first, a.text)
				}
				turns[i] = append(turns[i], a.turn)
			}
		}
		our := median(turns[0])
		fmt.Printf("| %s | %.1f |", q.name, our.took.Seconds()*1e3)
		for i := range sources[1:] {
			t := median(turns[1+i])
			fmt.Printf(" %.1f |", t.took.Seconds()*1e3)
			if i < len(formats) {
				fmt.Printf(" %.2f | %.2f |", float64(t.took)/float64(our.took), float64(t.processor)/float64(max(our.processor, 1)))
			}
		}
		fmt.Println()
	}
	return nil
}
