package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
	api "hyperlight/http"
)

// caller is a client of the appliance with a credential, or with none.
type caller struct {
	base   string
	client *http.Client
	key    string // an API key, sent as X-Api-Key
	token  string // a sign-in, sent as bearer
	via    string // what X-Forwarded-For says; an address behind a trusted proxy
}

// reply is what a caller got.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// as returns a caller with a key of its own; "" for none.
func (a *appliance) as(key string) *caller {
	c := &caller{base: a.base, client: &http.Client{Timeout: time.Minute}, key: key}
	a.t.Cleanup(c.client.CloseIdleConnections)
	return c
}

// call makes a request; body is JSON, header are further ones by pairs.
func (c *caller) call(method, path, body string, header ...string) (reply, error) {
	req, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for name, value := range c.headers() {
		req.Header[name] = value
	}
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, text}, err
}

func (c *caller) headers() http.Header {
	h := http.Header{}
	if c.key != "" {
		h.Set("X-Api-Key", c.key)
	}
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	if c.via != "" {
		h.Set("X-Forwarded-For", c.via)
	}
	return h
}

// want makes a request that must be answered with a status, and unmarshals its data where out is given.
func (c *caller) want(t testing.TB, status int, method, path, body string, out any) reply {
	t.Helper()
	r, err := c.call(method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if r.status != status {
		t.Fatalf("%s %s: status %d, want %d: %.300s", method, path, r.status, status, r.body)
	}
	if out != nil {
		r.data(t, out)
	}
	return r
}

// data unmarshals the data of an envelope.
func (r reply) data(t testing.TB, out any) {
	t.Helper()
	var a answer
	if err := json.Unmarshal(r.body, &a); err != nil {
		t.Fatalf("%v in %.300s", err, r.body)
	}
	if err := json.Unmarshal(a.Data, out); err != nil {
		t.Fatalf("%v in %.300s", err, a.Data)
	}
}

// fault returns code and message of an error.
func (r reply) fault() (code, message string) {
	var e struct {
		Data struct{ Code, Message string }
	}
	if json.Unmarshal(r.body, &e) != nil {
		return "", ""
	}
	return e.Data.Code, e.Data.Message
}

// number returns a header as a number, -99 where there is none.
func (r reply) number(name string) int {
	if n, err := strconv.Atoi(r.header.Get(name)); err == nil {
		return n
	}
	return -99
}

// madeKey is the answer to a call that makes a key.
type madeKey struct {
	ID  string `json:"id"`
	Key string `json:"api_key"`
}

func (c *caller) makeKey(t testing.TB, body string) madeKey {
	t.Helper()
	var k madeKey
	c.want(t, 201, "POST", "/api/v1/keys", body, &k)
	return k
}

// login signs a user of register in.
func (a *appliance) login(email string) *caller {
	a.t.Helper()
	c := a.as("")
	var out struct{ Token string }
	c.want(a.t, 200, "POST", "/api/v1/auth/login", `{"email":"`+email+`","password":"a pass phrase of some length"}`, &out)
	c.token = out.Token
	return c
}

// command runs a command of the operator through the control socket.
func (a *appliance) command(name string, in, out any) {
	a.t.Helper()
	client, err := api.DialControl(a.cfg.ControlPath())
	if err != nil {
		a.t.Fatal(err)
	}
	defer client.Close()
	op := &operator{client.Answer, func() error { return nil }}
	if err := op.run(context.Background(), name, "", in, out); err != nil {
		a.t.Fatalf("%s: %v", name, err)
	}
}

// reload does what SIGHUP does with a configuration that was changed so.
func (a *appliance) reload(change func(c *config.Config)) {
	a.t.Helper()
	next := *a.cfg
	change(&next)
	applied, restart := config.Changes(a.cfg, &next)
	if len(restart) > 0 {
		a.t.Fatalf("%v cannot change while the server runs", restart)
	}
	a.cfg.Apply(&next)
	a.live.apply(a.cfg, applied, a.log)
}

// socket is an open socket whose end somebody waits for. Its frames are read on a goroutine.
type socket struct {
	name   string
	conn   *websocket.Conn
	frames chan []byte // closed at the end; what nobody takes is dropped
	at     time.Time   // of the end
	code   int         // its close code, 0 where there was none
	ended  chan struct{}
}

// open opens a socket as a caller.
func (c *caller) open(t testing.TB, path string) *socket {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(c.base, "http")+path, c.headers())
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	resp.Body.Close()
	s := &socket{name: path, conn: conn, frames: make(chan []byte, 256), ended: make(chan struct{})}
	go s.read()
	t.Cleanup(func() { conn.Close(); <-s.ended })
	return s
}

func (s *socket) read() {
	defer close(s.ended)
	defer close(s.frames)
	for {
		_, text, err := s.conn.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				s.code = closed.Code
			}
			s.at = time.Now()
			return
		}
		select {
		case s.frames <- text:
		default:
		}
	}
}

// expect waits for a frame with a text in it.
func (s *socket) expect(t testing.TB, text string) string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case f, ok := <-s.frames:
			if !ok {
				t.Fatalf("%s ended with %d before %s came", s.name, s.code, text)
			}
			if strings.Contains(string(f), text) {
				return string(f)
			}
		case <-limit:
			t.Fatalf("%s: %s did not come", s.name, text)
		}
	}
}

// closed waits until the server closes the socket with a code, and returns when.
func (s *socket) closed(t testing.TB, code int, limit time.Duration) time.Time {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(limit):
		t.Fatalf("%s is open after %s, want it closed with %d", s.name, limit, code)
	}
	if s.code != code {
		t.Errorf("%s was closed with %d, want %d", s.name, s.code, code)
	}
	return s.at
}

// subscribeUntil subscribes until the answer is as wanted: an open socket learns of a change a moment after it.
func (s *socket) subscribeUntil(t testing.TB, channel, want string) {
	t.Helper()
	var got string
	waitFor(t, time.Minute, func() bool {
		got = s.subscribe(t, channel)
		if strings.Contains(got, want) {
			return true
		}
		if strings.Contains(got, `"subscribed"`) {
			send(t, s.conn, fmt.Sprintf(`{"type":"unsubscribe","channel":%q}`, channel))
			s.expect(t, `"unsubscribed"`)
		}
		return false
	}, func() string { return fmt.Sprintf("a subscription to %s gets %s, want %s", channel, got, want) })
}

// stays wants the socket open, and answering.
func (s *socket) stays(t testing.TB) {
	t.Helper()
	if err := s.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	s.expect(t, `"pong"`)
}

// subscribe sends a subscribe and returns the first frame about it, refused or not.
func (s *socket) subscribe(t testing.TB, channel string) string {
	t.Helper()
	send(t, s.conn, fmt.Sprintf(`{"type":"subscribe","channel":%q}`, channel))
	limit := time.After(time.Minute)
	for {
		select {
		case f, ok := <-s.frames:
			if !ok {
				t.Fatalf("%s ended with %d at a subscribe", s.name, s.code)
			}
			if text := string(f); strings.Contains(text, `"subscribed"`) || strings.Contains(text, `"error"`) {
				return text
			}
		case <-limit:
			t.Fatalf("%s: no answer to a subscribe", s.name)
		}
	}
}
