package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hyperlight/engine/model"
)

func TestMain(m *testing.M) {
	code := m.Run()
	// What fasthttp and metrics leave running for the life of the process.
	var known []goleak.Option
	for _, name := range []string{
		"fasthttp.(*HostClient).connsCleaner", "fasthttp.(*Client).mCleaner", "fasthttp.(*TCPDialer).tcpAddrsClean",
		"fasthttp.(*workerPool).Start.func2", "fasthttp.updateServerDate.func1",
	} {
		known = append(known, goleak.IgnoreAnyFunction("github.com/valyala/"+name))
	}
	known = append(known, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
	if code == 0 {
		if err := goleak.Find(known...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// heard is a request as it came over the wire.
type heard struct {
	line       string // request line
	head, body string // head: the raw lines below the request line
}

func (h heard) target() string { return strings.Split(h.line, " ")[1] }

// header returns a header's value, and how often the header is there.
func (h heard) header(name string) (value string, n int) {
	for _, line := range strings.Split(h.head, "\r\n") {
		k, v, _ := strings.Cut(line, ":")
		if strings.EqualFold(k, name) {
			value = strings.TrimSpace(v)
			n++
		}
	}
	return value, n
}

// fakeVenue hears raw requests and answers raw bytes. An empty answer closes the connection.
type fakeVenue struct {
	ln     net.Listener
	answer func(n int, h heard) string // n counts from 1
	group  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	heard []heard
}

func newFakeVenue(t testing.TB, answer func(n int, h heard) string) *fakeVenue {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &fakeVenue{ln: ln, answer: answer, conns: map[net.Conn]bool{}}
	v.group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			v.mu.Lock()
			v.conns[conn] = true
			v.mu.Unlock()
			v.group.Go(func() { v.serve(conn) })
		}
	})
	t.Cleanup(v.close)
	return v
}

func (v *fakeVenue) close() {
	_ = v.ln.Close()
	v.mu.Lock()
	for c := range v.conns {
		_ = c.Close()
	}
	v.mu.Unlock()
	v.group.Wait()
}

func (v *fakeVenue) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		h, err := hear(r)
		if err != nil {
			return
		}
		v.mu.Lock()
		v.heard = append(v.heard, h)
		n := len(v.heard)
		v.mu.Unlock()
		reply := v.answer(n, h)
		if reply == "" {
			return
		}
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

func hear(r *bufio.Reader) (heard, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return heard{}, err
	}
	h := heard{line: strings.TrimRight(line, "\r\n")}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return heard{}, err
		}
		if line == "\r\n" {
			break
		}
		h.head += line
	}
	if v, n := h.header("Content-Length"); n > 0 {
		length, err := strconv.Atoi(v)
		if err != nil {
			return heard{}, err
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return heard{}, err
		}
		h.body = string(body)
	}
	return h, nil
}

func (v *fakeVenue) calls() []heard {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]heard(nil), v.heard...)
}

func (v *fakeVenue) url() string { return "http://" + v.ln.Addr().String() }

// reply writes an answer with a length.
func reply(status int, contentType, body string) string {
	s := fmt.Sprintf("HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n", status, len(body))
	if contentType != "" {
		s += "Content-Type: " + contentType + "\r\n"
	}
	return s + "\r\n" + body
}

const jsonText = "application/json; charset=utf-8"

// numbered answers every call with its number.
func numbered(n int, _ heard) string {
	return reply(200, jsonText, fmt.Sprintf(`{"code":200,"call":%d}`, n))
}

// clock is a wall clock that only tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(1_700_000_000_000_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newTestRelay(t testing.TB, o Options) *Relay {
	t.Helper()
	if o.UserAgent == "" {
		o.UserAgent = "hyperlight/test"
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute // a busy machine is not the subject
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// get asks for a target in the form path?query.
func get(target string) *Request {
	path, query, _ := strings.Cut(target, "?")
	return &Request{Method: "GET", Path: []byte(path), Query: []byte(query)}
}

func post(target, body string) *Request {
	q := get(target)
	q.Method, q.Body, q.ContentType = "POST", []byte(body), []byte("application/x-www-form-urlencoded")
	return q
}

func (r *Relay) must(t testing.TB, q *Request) *Response {
	t.Helper()
	a, err := r.Do(context.Background(), q)
	if err != nil {
		t.Fatalf("%s %s: %v", q.Method, q.Path, err)
	}
	return a
}

func wantCode(t testing.TB, err error, code model.Code, part string) {
	t.Helper()
	e, ok := errors.AsType[*model.Error](err)
	if !ok || e.Code != code || !strings.Contains(e.Message, part) {
		t.Errorf("error %v, want %s with %q", err, code, part)
	}
}
