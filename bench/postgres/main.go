// Command postgres compares the store and the server with PostgreSQL: the same record of ten million trades in both, the
// same questions over loopback, in turns. It makes both stores, runs a process for each that answers, and prints a table.
// It measures and owns nothing else; run it by the script beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hyperlight/bench/sides"
)

type options struct {
	role, dir, url, bin, profile string
	reuse                        string
	only, ready                  int
	keep                         bool
	trades, connections, rounds  int
	span, warm                   time.Duration
	seed                         uint64
}

func main() {
	var o options
	flag.IntVar(&o.trades, "trades", 10_000_000, "trades in the record")
	flag.IntVar(&o.connections, "connections", 4, "connections that ask, and that the thin handler has to PostgreSQL")
	flag.IntVar(&o.rounds, "rounds", 5, "turns of each server")
	flag.DurationVar(&o.span, "span", 3*time.Second, "length of a turn")
	flag.DurationVar(&o.warm, "warm", 3*time.Second, "how long each server is asked before its turns are timed")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the record and the questions")
	flag.StringVar(&o.bin, "bin", "", "directory of initdb and postgres")
	flag.StringVar(&o.dir, "dir", "", "directory for both stores; empty: a temporary one")
	flag.BoolVar(&o.keep, "keep", false, "keep both stores as they were filled, and tell where they are")
	flag.StringVar(&o.reuse, "reuse", "", "directory that a run with -keep and the same number of trades has left: nothing is filled")
	flag.StringVar(&o.profile, "profile", "", "file for the processor profile of our server")
	flag.IntVar(&o.only, "only", 0, "ask nothing but this question, the first one is 1")
	flag.IntVar(&o.ready, "ready", 256, "megabytes of rows that our server keeps ready as text")
	quick := flag.Bool("quick", false, "a million trades and short turns")
	flag.StringVar(&o.role, "role", "", "of a child process")
	flag.StringVar(&o.url, "url", "", "of a child process")
	flag.Parse()
	if *quick {
		o.trades, o.rounds, o.span, o.warm = 1_000_000, 3, time.Second, time.Second
	}
	run := compare
	switch o.role {
	case "store":
		run = func(context.Context, *options) error { return serveStore(&o) }
	case "thin":
		run = func(context.Context, *options) error { return serveThin(o.url, o.connections) }
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/postgres:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, o *options) (err error) {
	dir := o.reuse
	if dir == "" {
		if dir, err = os.MkdirTemp(o.dir, "hyperlight-postgres-"); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o711); err != nil { // the cluster's own directory lies below it
			return err
		}
		if o.keep {
			fmt.Fprintln(os.Stderr, "kept in", dir)
		} else {
			defer os.RemoveAll(dir)
		}
	}
	began := time.Now()
	c, err := startCluster(o.bin, filepath.Join(dir, "pg"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	sides.Progress("cluster", began)
	store := filepath.Join(dir, "store")
	if o.reuse == "" {
		if err := c.run(ctx, schema); err != nil {
			return err
		}
		if err := fill(ctx, store, c, o.trades, o.seed); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours, err := sides.StartChild(-1, self, "-role", "store", "-dir", store, "-profile", o.profile, "-ready", strconv.Itoa(o.ready))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Stop()) }()
	theirs, err := sides.StartChild(-1, self, "-role", "thin", "-url", c.URL, "-connections", strconv.Itoa(o.connections))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.Stop()) }()

	fmt.Printf("| question | bytes | rows | | requests/s | p50 ms | p99 ms | p50 alone | p99 alone | processor ms/request | times | times by processor |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	servers := [2]side{{ours.Addrs[0], []int{ours.Process()}}, {theirs.Addrs[0], []int{theirs.Process(), c.Process()}}}
	for i := range questions {
		if o.only != 0 && o.only != i+1 {
			continue
		}
		if err := measure(o, &questions[i], servers); err != nil {
			return err
		}
	}
	if err := tell(ours, "ready"); err != nil {
		return err
	}
	size, err := c.size(ctx, "trades")
	if err != nil {
		return err
	}
	fmt.Printf("\ntrades with indexes: PostgreSQL %.0f bytes each; ours, with candles and books, %.1f\n",
		float64(size)/float64(o.trades), float64(diskUse(store))/float64(o.trades))
	if o.keep || o.reuse != "" {
		return nil
	}
	return measureDrop(o, ours, store)
}

// side is what is measured: where it answers, and the processes that it is made of.
type side struct {
	addr string
	pids []int
}

// measure lets both servers work in turns and prints the medians of their turns.
func measure(o *options, q *question, servers [2]side) error {
	size, rows, err := same(servers[0].addr, servers[1].addr, q, 100)
	if err != nil {
		return err
	}
	var rounds, single [2][]sides.Round
	var all [2][]*asker
	for i, s := range servers {
		if all[i], err = dial(s.addr, o.connections, o.seed+7); err != nil {
			return err
		}
		defer func() {
			for _, a := range all[i] {
				_ = a.conn.Close()
			}
		}()
		if _, err := load(all[i], q, o.warm); err != nil {
			return err
		}
	}
	for range o.rounds {
		for i, s := range servers {
			before := sides.ProcessorTime(s.pids...)
			r, err := load(all[i], q, o.span)
			if err != nil {
				return err
			}
			r.Processor = (sides.ProcessorTime(s.pids...) - before) / time.Duration(r.Answers)
			rounds[i] = append(rounds[i], r)
			// Where all connections ask at once, the cores are full and an answer waits for others: how long one takes is told
			// by a client that is alone.
			if r, err = load(all[i][:1], q, o.span); err != nil {
				return err
			}
			single[i] = append(single[i], r)
		}
	}
	a, b := sides.Median(rounds[0]), sides.Median(rounds[1])
	for i, name := range []string{"hyperlight", "PostgreSQL"} {
		all, one := sides.Median(rounds[i]), sides.Median(single[i])
		fmt.Printf("| %s | %d | %d | %s | %.0f | %.2f | %.2f | %.2f | %.2f | %.3f |", q.name, size, rows, name, all.Rate, sides.Millis(all.P50), sides.Millis(all.P99),
			sides.Millis(one.P50), sides.Millis(one.P99), sides.Millis(all.Processor))
		if i == 0 {
			fmt.Printf(" %.1f | %.1f |\n", a.Rate/b.Rate, float64(b.Processor)/float64(a.Processor))
		} else {
			fmt.Print(" | |\n")
		}
	}
	return nil
}

// measureDrop asks for trades while a quarter of the record is deleted, and prints how long the answers took before and
// meanwhile, and what the disk holds.
func measureDrop(o *options, ours *sides.Child, store string) error {
	all, err := dial(ours.Addrs[0], o.connections, o.seed+8)
	if err != nil {
		return err
	}
	q := &questions[0]
	quiet, err := load(all, q, o.span)
	if err != nil {
		return err
	}
	before := diskUse(store)
	dropped := make(chan error, 1)
	go func() {
		dropped <- tell(ours, "drop")
	}()
	busy, err := load(all, q, 15*time.Second)
	if err := errors.Join(err, <-dropped); err != nil {
		return err
	}
	after := diskUse(store)
	fmt.Printf("a day of %d dropped: %.0f MB, then %.0f MB; p99 of reads before %.2f ms, in the 15 s after %.2f ms, the slowest %.1f ms\n",
		days, float64(before)/1e6, float64(after)/1e6, sides.Millis(quiet.P99), sides.Millis(busy.P99), sides.Millis(busy.Max))
	return nil
}

// tell sends a child a word and prints what it answers, where that is anything.
func tell(c *sides.Child, word string) error {
	if _, err := fmt.Fprintln(c.In, word); err != nil {
		return fmt.Errorf("tell a child %s: %w", word, err)
	}
	answer, err := c.Out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("tell a child %s: %w", word, err)
	}
	if answer = strings.TrimSpace(answer); answer != "" {
		fmt.Printf("\n%s\n", answer)
	}
	return nil
}
