// Command accounts compares batches of accounts with Redis and with PostgreSQL: the same accounts, with positions, resting
// orders and fills, in all three, asked over loopback in turns, and with asking a venue for one after the other. It makes the
// stores, runs a process for each that answers, and prints a table. It measures and owns nothing else; run it by the script
// beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"hyperlight/bench/sides"
)

type options struct {
	role, dir, url, profile string
	postgres, redis         string
	core, only              int
	accounts, most          int
	positions, orders       int
	connections, rounds     int
	span                    time.Duration
	seed                    uint64
}

// copying is the side that copies as many texts as there are accounts, and sends them.
const copying = "copying and sending alone"

// simAccounts is how many accounts the simulated venue has.
const simAccounts = 20_000

func main() {
	var o options
	flag.IntVar(&o.accounts, "accounts", 100_000, "accounts in the stores")
	flag.IntVar(&o.most, "most", 10_000, "how many of them are those that are asked for most")
	flag.IntVar(&o.positions, "positions", 5, "the most open positions of an account, which has at least one; at most 6")
	flag.IntVar(&o.orders, "orders", 4, "the most resting orders of an account")
	flag.IntVar(&o.connections, "connections", 4, "connections that ask, and that the thin handlers have")
	flag.IntVar(&o.rounds, "rounds", 3, "turns of each server")
	flag.DurationVar(&o.span, "span", time.Second, "length of a turn")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the accounts and the questions")
	flag.StringVar(&o.postgres, "postgres", "", "directory of initdb and postgres")
	flag.StringVar(&o.redis, "redis", "", "the program redis-server")
	flag.IntVar(&o.core, "core", -1, "processor that servers run on; negative: any")
	flag.StringVar(&o.profile, "profile", "", "file for the processor profile of our server")
	flag.IntVar(&o.only, "only", 0, "ask nothing but this question, the first one is 1")
	quick := flag.Bool("quick", false, "20,000 accounts and short turns")
	flag.StringVar(&o.dir, "dir", "", "directory for the stores; empty: a temporary one")
	flag.StringVar(&o.role, "role", "", "of a child process")
	flag.StringVar(&o.url, "url", "", "of a child process")
	flag.Parse()
	if *quick {
		o.accounts, o.most, o.rounds, o.span = 20_000, 10_000, 3, 400*time.Millisecond
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch o.role {
	case "ours":
		err = serveOurs(&o)
	case "redis":
		err = serveRedis(&o)
	case "postgres":
		err = servePostgres(&o)
	case "bare":
		err = serveBare(&o)
	case "sim":
		err = serveSim()
	default:
		if o.positions < 1 || o.positions > 6 || o.orders < 0 {
			err = errors.New("-positions must be 1 to 6, -orders not negative")
			break
		}
		err = compare(ctx, &o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/accounts:", err)
		os.Exit(1)
	}
}

// side is what is measured: where it answers, and the processes that it is made of.
type side struct {
	name string
	addr string
	pids []int
}

func compare(ctx context.Context, o *options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "hyperlight-accounts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the cluster's own directory lies below it
		return err
	}
	began := time.Now()
	cluster, err := sides.StartCluster(o.postgres, filepath.Join(dir, "pg"), o.core)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	if err := run(ctx, cluster.URL, schema); err != nil {
		return err
	}
	socket := filepath.Join(dir, "redis")
	redis, err := startRedis(ctx, o, socket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Process.Signal(os.Interrupt)); _ = redis.Wait() }()
	sides.Progress("servers", began)

	children := map[string]*sides.Child{}
	for role, url := range map[string]string{"ours": "", "redis": socket, "postgres": cluster.URL, "bare": "", "sim": ""} {
		began := time.Now()
		c, err := o.child(role, filepath.Join(dir, role), url)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Stop()) }()
		children[role] = c
		sides.Progress(role, began)
	}
	ours := children["ours"]
	if err := fill(ctx, o, ours.Addrs[0], socket, cluster.URL); err != nil {
		return err
	}
	if err := warm(o, ours.Addrs[1]); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(ours.In); err != nil { // what is measured begins
		return err
	}
	rows := side{"from rows", ours.Addrs[0], []int{ours.Process()}}
	ready := side{"ready bodies", ours.Addrs[1], []int{ours.Process()}}
	others := []side{
		{"Redis", children["redis"].Addrs[0], []int{children["redis"].Process(), redis.Process.Pid}},
		{"PostgreSQL", children["postgres"].Addrs[0], []int{children["postgres"].Process(), cluster.Process()}},
		{copying, children["bare"].Addrs[0], []int{children["bare"].Process()}},
		{"sending alone", children["bare"].Addrs[0], []int{children["bare"].Process()}},
	}
	fmt.Print("| question | bytes | | batches/s | p50 ms | p99 ms | processor ms/batch | times as fast | the same but for sending |\n|---|---|---|---|---|---|---|---|---|\n")
	for i, q := range questions() {
		if o.only != 0 && o.only != i+1 {
			continue
		}
		mine := rows
		if q.most {
			mine = ready
		}
		if err := measure(o, &q, append([]side{mine}, others...)); err != nil {
			return err
		}
	}
	took, err := oneByOne(children["sim"].Addrs[0], 1000)
	if err != nil {
		return err
	}
	fmt.Printf("\nthe simulated venue, 1,000 accounts one by one and without its limit: %.0f ms\n", sides.Millis(took))
	return nil
}

func questions() (out []question) {
	for _, most := range []bool{false, true} {
		for _, n := range []int{1000, 5000} {
			for _, fills := range []bool{false, true} {
				q := question{name: fmt.Sprintf("%d accounts, positions, orders", n), n: n, fills: fills, most: most}
				if fills {
					q.name += fmt.Sprintf(", %d fills", fillsEach)
				}
				if most {
					q.name += "; of those asked for most"
				}
				out = append(out, q)
			}
		}
	}
	return out
}

// child starts this program in a role.
func (o *options) child(role, dir, url string) (*sides.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"-role", role, "-dir", dir, "-url", url, "-connections", strconv.Itoa(o.connections), "-accounts", strconv.Itoa(o.accounts),
		"-most", strconv.Itoa(o.most), "-positions", strconv.Itoa(o.positions), "-orders", strconv.Itoa(o.orders), "-seed", strconv.FormatUint(o.seed, 10)}
	if role == "ours" {
		args = append(args, "-profile", o.profile)
	}
	return sides.StartChild(o.core, self, args...)
}

// startRedis runs a server that keeps nothing on disk, reached over a Unix socket and nowhere else.
func startRedis(ctx context.Context, o *options, socket string) (*exec.Cmd, error) {
	cmd, err := sides.StartCommand(o.core, o.redis, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--logfile", socket+".log", "--dir", filepath.Dir(socket))
	if err != nil {
		return nil, err
	}
	client := openRedis(socket, 1)
	defer client.Close()
	for range 100 {
		if err = client.Ping(ctx).Err(); err == nil {
			return cmd, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	return nil, fmt.Errorf("redis does not answer: %w", err)
}

// measure lets the servers work in turns and prints the medians of their turns: how many batches all connections
// together get, and how long one connection alone waits. The first side is ours, the last two are bare: one copies as many
// texts of as many bytes, what is left of the work where all is ready; one sends as many bytes and does nothing else.
func measure(o *options, q *question, all []side) error {
	var addrs []string
	for _, s := range all {
		addrs = append(addrs, s.addr)
	}
	size, err := same(o, addrs[:len(addrs)-2], q)
	if err != nil {
		return err
	}
	rounds := make([][]sides.Round, len(all))
	askers := make([][]*asker, len(all))
	for i, s := range all {
		if askers[i], err = dial(s.addr, o.connections, o); err != nil {
			return err
		}
		for _, a := range askers[i] {
			a.size = size
			if s.name == copying {
				a.pieces = q.n
			}
			defer a.conn.Close()
		}
		if _, err := ask(askers[i], q, o.span/2); err != nil { // warm-up
			return err
		}
	}
	for range o.rounds {
		for i, s := range all {
			before := sides.ProcessorTime(s.pids...)
			r, err := ask(askers[i], q, o.span)
			if err != nil {
				return err
			}
			r.Processor = (sides.ProcessorTime(s.pids...) - before) / time.Duration(r.Answers)
			alone, err := ask(askers[i][:1], q, o.span*3/4)
			if err != nil {
				return err
			}
			r.P50, r.P99 = alone.P50, alone.P99
			rounds[i] = append(rounds[i], r)
		}
	}
	name, bytes, first, bare := q.name, strconv.Itoa(size), sides.Median(rounds[0]), sides.Median(rounds[len(all)-1])
	for i, s := range all {
		m := sides.Median(rounds[i])
		fmt.Printf("| %s | %s | %s | %.0f | %.2f | %.2f | %.2f | ", name, bytes, s.name, m.Rate, sides.Millis(m.P50), sides.Millis(m.P99), sides.Millis(m.Processor))
		switch i {
		case 0, len(all) - 1:
			fmt.Print("| |\n")
		default:
			fmt.Printf("%.1f | %.1f |\n", first.Rate/m.Rate, float64(m.Processor-bare.Processor)/float64(first.Processor-bare.Processor))
		}
		name, bytes = "", ""
	}
	return nil
}

// run runs statements, one after the other.
func run(ctx context.Context, url, statements string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	for _, s := range strings.Split(statements, ";") {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("run %.60s: %w", s, err)
		}
	}
	return nil
}
