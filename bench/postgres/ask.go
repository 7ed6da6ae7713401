package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"hyperlight/bench"
	"hyperlight/bench/sides"
	"hyperlight/engine/model"
)

// question is a kind of request: path writes one with random parameters.
type question struct {
	name string
	path func(rnd *rand.Rand, dst []byte) []byte
	list string // the member of the answer that both must have alike
}

var share = shares()

// pick draws a market as trades are spread over them: what is traded most is asked for most.
func pick(rnd *rand.Rand) int {
	at := rnd.Float64()
	for m, s := range share {
		if at -= s; at < 0 {
			return m
		}
	}
	return 0
}

var questions = []question{
	{"1,000 trades of 1 to 24 hours from a random moment on", askForTrades, "trades"},
	{"the same, and how many there are", func(rnd *rand.Rand, dst []byte) []byte {
		return append(askForTrades(rnd, dst), "&total=1"...)
	}, "trades"},
	{"a day of 1-minute candles", func(rnd *rand.Rand, dst []byte) []byte {
		from := start + day*model.Millis(1+rnd.IntN(days-1))
		return fmt.Appendf(dst, "/api/v1/candles?market_id=%d&resolution=1m&start=%d&end=%d&limit=1440", pick(rnd), from, from+day)
	}, "candles"},
	{"the book of a past second, 800 levels", func(rnd *rand.Rand, dst []byte) []byte {
		at := int64(start+day) + 1000 + rnd.Int64N(1000*(bookSeconds-1))
		return fmt.Appendf(dst, "/api/v1/orderbook/%d/snapshots?at=%d&depth=1000", rnd.IntN(bookMarkets), at)
	}, "snapshots"},
}

func askForTrades(rnd *rand.Rand, dst []byte) []byte {
	length := int64(hour) + rnd.Int64N(int64(day-hour))
	from := int64(start) + rnd.Int64N(int64(end-start)-length)
	return fmt.Appendf(dst, "/api/v1/trades/by-time?market_id=%d&start=%d&end=%d&limit=1000", pick(rnd), from, from+length)
}

// asker is one connection to a server.
type asker struct {
	conn net.Conn
	r    *bufio.Reader
	rnd  *rand.Rand
	buf  []byte
}

func dial(addr string, n int, seed uint64) ([]*asker, error) {
	out := make([]*asker, n)
	for i := range out {
		conn, err := net.Dial("tcp4", addr)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		out[i] = &asker{conn: conn, r: bufio.NewReaderSize(conn, 256<<10), rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
	}
	return out, nil
}

func (a *asker) send(q *question) error {
	a.buf = q.path(a.rnd, append(a.buf[:0], "GET "...))
	a.buf = append(a.buf, " HTTP/1.1\r\nHost: localhost\r\n\r\n"...)
	_, err := a.conn.Write(a.buf)
	return err
}

// load has all connections ask for a while.
func load(all []*asker, q *question, span time.Duration) (sides.Round, error) {
	r, err := sides.Load(len(all), span, func(i int) (time.Duration, error) {
		began := time.Now()
		if err := all[i].send(q); err != nil {
			return 0, err
		}
		err := bench.SkipAnswer(all[i].r)
		return time.Since(began), err
	})
	if err != nil {
		return r, fmt.Errorf("ask for %s: %w", q.name, err)
	}
	return r, nil
}

// fetch reads one whole answer.
func (a *asker) fetch(q *question) ([]byte, error) {
	if err := a.send(q); err != nil {
		return nil, err
	}
	return sides.ReadAnswer(a.r)
}

// same asks both servers the same random questions and compares what they list. It returns the mean size of an answer
// and how many rows it has.
func same(ours, theirs string, q *question, n int) (size, rows int, err error) {
	var a [2]*asker
	for i, addr := range []string{ours, theirs} {
		all, err := dial(addr, 1, 99)
		if err != nil {
			return 0, 0, err
		}
		defer all[0].conn.Close()
		a[i] = all[0]
	}
	for range n {
		var lists [2][]byte
		for i := range a {
			body, err := a[i].fetch(q)
			if err != nil {
				return 0, 0, fmt.Errorf("ask for %s: %w", q.name, err)
			}
			if i == 0 {
				size += len(body)
			}
			if lists[i], err = list(body, q.list); err != nil {
				return 0, 0, err
			}
		}
		if !bytes.Equal(lists[0], lists[1]) {
			return 0, 0, fmt.Errorf("answers to %q differ:\n%.600s\n%.600s", a[0].buf, lists[0], lists[1])
		}
		rows += bytes.Count(lists[0], []byte(`"timestamp":`))
	}
	return size / n, rows / n, nil
}

// list cuts the rows out of an answer. PostgreSQL writes JSON in another form than it was given, so books are read.
func list(body []byte, name string) ([]byte, error) {
	if name != "snapshots" {
		_, rest, ok := bytes.Cut(body, []byte(`"`+name+`":[`))
		rows, _, closed := bytes.Cut(rest, []byte{']'})
		if !ok || !closed || len(rows) == 0 {
			return nil, fmt.Errorf("no %s in %.200s", name, body)
		}
		return rows, nil
	}
	var answer struct {
		Data struct {
			Snapshots []struct {
				Timestamp, Nonce int64
				Bids, Asks       [][2]string
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Data.Snapshots) != 1 {
		return nil, fmt.Errorf("no book in %.200s: %w", body, err)
	}
	return json.Marshal(answer.Data.Snapshots[0])
}
