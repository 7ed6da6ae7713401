package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Client asks an HTTP server one question over a connection of its own, again and again.
type Client struct {
	conn     net.Conn
	r        *bufio.Reader
	question []byte
}

// Clients opens n connections. The question is a whole request of HTTP/1.1 that leaves the connection open.
func Clients(b testing.TB, n int, dial func() (net.Conn, error), question string) []*Client {
	b.Helper()
	all := make([]*Client, n)
	for i := range all {
		conn, err := dial()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		all[i] = &Client{conn, bufio.NewReaderSize(conn, 16<<10), []byte(question)}
	}
	return all
}

// Ask asks once. Anything but a 200 is an error.
func (c *Client) Ask() error {
	if _, err := c.conn.Write(c.question); err != nil {
		return err
	}
	return SkipAnswer(c.r)
}

// SkipAnswer reads one answer with as little work as a load generator can do: it looks for the length and the end of the
// head, and at nothing else, so that what is measured is the server.
func SkipAnswer(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		switch {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
			return fmt.Errorf("got %q", line)
		case line[0] == 'C' && bytes.HasPrefix(line, []byte("Content-Length: ")):
			for _, d := range line[len("Content-Length: ") : len(line)-2] {
				length = length*10 + int(d-'0')
			}
		case len(line) == 2:
			_, err := r.Discard(length)
			return err
		}
	}
}

// Load has all clients ask for a while and returns how many answers came.
func Load(b testing.TB, clients []*Client, span time.Duration) int {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	until := time.Now().Add(span)
	for _, c := range clients {
		all.Go(func() {
			for n := int64(1); ; n++ {
				if err := c.Ask(); err != nil {
					b.Error(err)
					return
				}
				if n%8 == 0 && time.Now().After(until) {
					done.Add(n)
					return
				}
			}
		})
	}
	all.Wait()
	return int(done.Load())
}

// CompareLatency lets one client of each server ask in turns, and reports of both how long the median question and the
// slowest in a hundred took. A ratio is how fast ours is as a part of bare, as in Compare.
func CompareLatency(b *testing.B, bare, ours *Client) {
	b.Helper()
	const turn = 50
	var took [2][]time.Duration
	for b.Loop() {
		for i, c := range [...]*Client{bare, ours} {
			for range turn {
				began := time.Now()
				if err := c.Ask(); err != nil {
					b.Fatal(err)
				}
				took[i] = append(took[i], time.Since(began))
			}
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	for name, percent := range map[string]int{"p50": 50, "p99": 99} {
		at := func(i int) float64 { return float64(took[i][len(took[i])*percent/100]) }
		b.ReportMetric(at(1), name+"-ns")
		b.ReportMetric(at(0), "bare-"+name+"-ns")
		b.ReportMetric(at(0)/at(1), name+"-ratio")
	}
	b.ReportMetric(0, "ns/op")
}
