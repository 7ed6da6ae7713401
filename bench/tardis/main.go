// Command tardis compares replays at "max" of `hyperlight serve` with those of the library that tardis-machine wraps, behind a
// WebSocket as tardis-machine has it: the same trades and books, one loopback socket, the same client, in turns. It measures
// and owns nothing else; run it by the script beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"hyperlight/bench/sides"
)

type options struct {
	program, node, dir, recordings string
	span                           time.Duration
	rounds, firsts                 int
}

func main() {
	o := options{recordings: os.Getenv("HYPERLIGHT_RECORDINGS")}
	if o.recordings == "" {
		o.recordings = "../../../shared/data"
	}
	flag.StringVar(&o.program, "hyperlight", "", "the program hyperlight")
	flag.StringVar(&o.node, "node", "node", "the program node")
	flag.StringVar(&o.dir, "dir", "", "directory for all files; empty: a temporary one")
	flag.DurationVar(&o.span, "span", 20*time.Minute, "length of the record that is made up, whole minutes")
	flag.IntVar(&o.rounds, "rounds", 5, "turns of each side")
	flag.IntVar(&o.firsts, "firsts", 30, "times that the first event is waited for")
	quick := flag.Bool("quick", false, "ten minutes and three turns")
	flag.Parse()
	if *quick {
		o.span, o.rounds, o.firsts = 10*time.Minute, 3, 10
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/tardis:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, o *options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "hyperlight-tardis-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	made, err := makeUp(dir, o.span.Truncate(time.Minute))
	if err != nil {
		return err
	}
	live, err := takeRecording(dir, o.recordings)
	if err != nil {
		return err
	}
	records := []*record{made, live}
	ours, err := startOurs(ctx, o.program, dir, records)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	peer, err := sides.StartChild(-1, o.node, "peer.mjs", filepath.Join(dir, "cache"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, peer.Stop()) }()
	return measure(ctx, o, ours, peer, records)
}
