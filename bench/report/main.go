// Command report runs the benchmarks that stand in BENCHMARKS.md and prints their medians as Markdown. It knows which
// benchmarks there are and what they compare; it measures nothing itself.
//
//	go run ./bench/report            # about five minutes
//	go run ./bench/report -count 1   # a first look
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	count := flag.Int("count", 5, "runs of each benchmark; the medians are printed")
	scale := flag.Float64("time", 1, "factor on the time that each benchmark gets")
	only := flag.String("only", "", "only the sections whose title contains this")
	limit := flag.Duration("limit", 10*time.Minute, "give up after this time")
	flag.Parse()
	if flag.NArg() > 0 || *count < 1 || *scale <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := run(ctx, *count, *scale, *only); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// run prints each section as soon as its benchmarks have ended.
func run(ctx context.Context, count int, scale float64, only string) error {
	began := time.Now()
	cpu := ""
	missing := 0
	for _, s := range sections {
		if !strings.Contains(strings.ToLower(s.title), strings.ToLower(only)) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s, %d runs\n", time.Since(began).Round(time.Second), s.title, count)
		results := measured{}
		for _, g := range s.groups {
			out, err := goTest(ctx, g, count, scale)
			if err != nil {
				return err
			}
			results.read(out, &cpu)
		}
		missing += s.print(os.Stdout, results)
	}
	fmt.Printf("Medians of %d runs on %s, %s.\n", count, cpu, time.Now().UTC().Format(time.DateOnly))
	if missing > 0 {
		return fmt.Errorf("%d figures are missing", missing)
	}
	return nil
}

// goTest runs a group of benchmarks and returns what they printed.
func goTest(ctx context.Context, g group, count int, scale float64) ([]byte, error) {
	span := time.Duration(float64(g.time) * scale)
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", g.pattern, "-benchtime", span.String(),
		"-count", fmt.Sprint(count), "-timeout", "9m", g.pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, errors.New("out of time")
	}
	if err != nil {
		_, _ = os.Stderr.Write(out)
		return nil, fmt.Errorf("benchmarks %s of %s: %w", g.pattern, g.pkg, err)
	}
	return out, nil
}
