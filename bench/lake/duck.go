package main

import (
	"encoding/json"
	"errors"
	"fmt"
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
	before := sides.ProcessorTime(d.Process())
	if _, err := fmt.Fprintln(d.In, text); err != nil {
		return a, fmt.Errorf("ask DuckDB: %w", err)
	}
	line, err := d.Out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("ask DuckDB: %w", err)
	}
	a.processor = sides.ProcessorTime(d.Process()) - before
	var told struct {
		MS          float64
		Text, Error string
	}
	if err := json.Unmarshal(line, &told); err != nil {
		return a, fmt.Errorf("read DuckDB's answer: %w", err)
	}
	if told.Error != "" {
		return a, errors.New("DuckDB: " + told.Error)
	}
	a.took, a.text = time.Duration(told.MS*float64(time.Millisecond)), told.Text
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
	{"trades by block", "SELECT block_height, count(*) AS n FROM f GROUP BY block_height ORDER BY n DESC, block_height LIMIT 10"},
	{"transactions", "SELECT count(DISTINCT tx_hash) FROM f"},
	{"every column", "SELECT sum(hash(COLUMNS(*))) FROM f"},
}

// measureScans has DuckDB answer questions from each of the files in turns, which must give the same.
func measureScans(o *options, db *duck, dir string) error {
	files := append([]string{oursName}, formatNames()...)
	for i, f := range files {
		if _, err := db.run("CREATE OR REPLACE VIEW f%d AS SELECT * FROM '%s'", i, filepath.Join(dir, "large-"+f)); err != nil {
			return err
		}
	}
	fmt.Print("\n| DuckDB reads | ours, ms |")
	for _, f := range formats {
		fmt.Printf(" %s, ms | times as fast | times by processor |", f.name)
	}
	fmt.Print("\n|---|---|---|---|---|---|---|---|\n")
	for _, q := range questions {
		turns := make([][]turn, len(files))
		var first string
		for range o.rounds + 2 {
			for i := range files {
				a, err := db.run("WITH f AS (SELECT * FROM f%d) %s", i, q.query)
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
		for i := range formats {
			t := median(turns[1+i])
			fmt.Printf(" %.1f | %.2f | %.2f |", t.took.Seconds()*1e3, float64(t.took)/float64(our.took), float64(t.processor)/float64(max(our.processor, 1)))
		}
		fmt.Println()
	}
	return nil
}
