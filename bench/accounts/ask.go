package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"reflect"
	"strconv"
	"time"

	"hyperlight/bench"
	"hyperlight/bench/sides"
)

// question is a batch call: n accounts of those asked for most, or of all.
type question struct {
	name  string
	n     int
	fills bool
	most  bool
}

// asker is one connection to a server.
type asker struct {
	conn   net.Conn
	r      *bufio.Reader
	rnd    *rand.Rand
	ids    []int32 // all accounts, in an order that changes
	most   int     // how many of them are asked for most
	size   int     // of the answer that sending alone is measured with
	pieces int     // that it is copied from; 0: it is sent as it is
	buf    []byte
	body   []byte
}

func dial(addr string, n int, o *options) ([]*asker, error) {
	out := make([]*asker, n)
	for i := range out {
		conn, err := net.Dial("tcp4", addr)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		a := &asker{conn: conn, r: bufio.NewReaderSize(conn, 256<<10), rnd: rand.New(rand.NewPCG(o.seed, uint64(i))), most: o.most}
		for k := range o.accounts {
			a.ids = append(a.ids, int32(accountAt(k)))
		}
		out[i] = a
	}
	return out, nil
}

// draw returns n different accounts at random.
func (a *asker) draw(q *question) []int32 {
	from := len(a.ids)
	if q.most {
		from = a.most
	}
	for i := range q.n {
		j := i + a.rnd.IntN(from-i)
		a.ids[i], a.ids[j] = a.ids[j], a.ids[i]
	}
	return a.ids[:q.n]
}

func (a *asker) send(ids []int32, fills bool) error {
	a.body = append(a.body[:0], `{"accounts":[`...)
	for i, id := range ids {
		if i > 0 {
			a.body = append(a.body, ',')
		}
		a.body = strconv.AppendInt(a.body, int64(id), 10)
	}
	a.body = append(a.body, `],"include":["positions","orders"`...)
	if fills {
		a.body = append(a.body, `,"fills"`...)
	}
	a.body = append(a.body, `]}`...)
	a.buf = fmt.Appendf(a.buf[:0], "POST /api/v1/accounts/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+sizeHeader+": %d\r\n"+piecesHeader+": %d\r\n\r\n",
		len(a.body), a.size, a.pieces)
	a.buf = append(a.buf, a.body...)
	_, err := a.conn.Write(a.buf)
	return err
}

// fetch reads one whole answer.
func (a *asker) fetch(ids []int32, fills bool) ([]byte, error) {
	if err := a.send(ids, fills); err != nil {
		return nil, err
	}
	return sides.ReadAnswer(a.r)
}

// ask has connections ask for a while.
func ask(all []*asker, q *question, span time.Duration) (sides.Round, error) {
	r, err := sides.Load(len(all), span, func(i int) (time.Duration, error) {
		a := all[i]
		ids := a.draw(q)
		began := time.Now()
		if err := a.send(ids, q.fills); err != nil {
			return 0, err
		}
		err := bench.SkipAnswer(a.r)
		return time.Since(began), err
	})
	if err != nil {
		return r, fmt.Errorf("ask for %s: %w", q.name, err)
	}
	return r, nil
}

// same asks all servers for the same accounts and compares what they list, as data. It returns the size of ours.
func same(o *options, addrs []string, q *question) (size int, err error) {
	var first map[string]any
	for i, addr := range addrs {
		all, err := dial(addr, 1, o)
		if err != nil {
			return 0, err
		}
		defer all[0].conn.Close()
		body, err := all[0].fetch(all[0].draw(q), q.fills)
		if err != nil {
			return 0, fmt.Errorf("ask for %s: %w", q.name, err)
		}
		listed, err := byIndex(body)
		if err != nil || len(listed) != q.n {
			return 0, fmt.Errorf("%d accounts of %d: %w", len(listed), q.n, err)
		}
		if i == 0 {
			first, size = listed, len(body)
			continue
		}
		for index, a := range first {
			if !reflect.DeepEqual(a, listed[index]) {
				return 0, fmt.Errorf("answers of %s and %s differ for account %s:\n%.1000v\n%.1000v", addrs[0], addr, index, a, listed[index])
			}
		}
	}
	return size, nil
}

func byIndex(body []byte) (map[string]any, error) {
	var answer struct {
		Data struct{ Accounts []map[string]any }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read %.200s: %w", body, err)
	}
	out := map[string]any{}
	for _, a := range answer.Data.Accounts {
		out[fmt.Sprint(int64(a["account_index"].(float64)))] = a
	}
	return out, nil
}

// oneByOne asks the simulated venue for n accounts, one call after the other over one connection.
func oneByOne(addr string, n int) (time.Duration, error) {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	began := time.Now()
	for i, asked := 1, 0; asked < n; i++ {
		if i%5 == 0 {
			continue // a sub-account, whose index is another one
		}
		if _, err := fmt.Fprintf(conn, "GET /api/v1/account?by=index&value=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i); err != nil {
			return 0, err
		}
		if err := bench.SkipAnswer(r); err != nil {
			return 0, err
		}
		asked++
	}
	return time.Since(began), nil
}
