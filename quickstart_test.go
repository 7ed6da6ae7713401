package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
)

// TestQuickStart runs the lines of testdata/quickstart.txt as somebody would who has just started the server.
func TestQuickStart(t *testing.T) {
	a := startInFront(t, liveVenue(t), func(c *config.Config) { c.Access.LocalPlan = "" })
	runQuickStart(t, "testdata/quickstart.txt", a.base)
}

// quickStart runs a quick start against a base URL.
type quickStart struct {
	t    *testing.T
	vars map[string]string
	conn *websocket.Conn

	status int
	answer any
}

func runQuickStart(t *testing.T, path, base string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	q := quickStart{t: t, vars: map[string]string{"BASE": base, "WS": "ws" + strings.TrimPrefix(base, "http")}}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb == "" || verb[0] == '#' {
			continue
		}
		step := map[string]func(string) error{"curl": q.curl, "=>": q.expect, "connect": q.connect, ">": q.send, "<": q.receive}[verb]
		if step == nil {
			t.Fatalf("%s:%d: %s is nothing that a quick start does", path, n, verb)
		}
		if err := step(os.Expand(rest, func(name string) string { return q.vars[name] })); err != nil {
			t.Fatalf("%s:%d: %s\n%v", path, n, strings.TrimSpace(line), err)
		}
	}
}

var shellWord = regexp.MustCompile(`'[^']*'|"[^"]*"|[^ ]+`)

// curl does what the program of that name does with -s, -X, -H and -d.
func (q *quickStart) curl(args string) error {
	method, address, body := "GET", "", ""
	header := http.Header{}
	words := shellWord.FindAllString(args, -1)
	for i := 0; i < len(words); i++ {
		switch word := strings.Trim(words[i], `'"`); {
		case word == "-s":
		case strings.HasPrefix(word, "-"):
			if i++; i == len(words) {
				return fmt.Errorf("nothing follows %s", word)
			}
			value := words[i]
			if value[0] == '\'' || value[0] == '"' {
				value = value[1 : len(value)-1]
			}
			switch word {
			case "-X":
				method = value
			case "-d":
				body = value
			case "-H":
				name, text, _ := strings.Cut(value, ": ")
				header.Add(name, text)
			default:
				return fmt.Errorf("unknown option %s", word)
			}
		default:
			address = word
		}
	}
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	q.status, q.answer = resp.StatusCode, nil
	if err := json.Unmarshal(text, &q.answer); err != nil {
		return fmt.Errorf("%w in %.300s", err, text)
	}
	return nil
}

// expect checks the last answer: its status, PATH=VALUE for a member, NAME=PATH to keep one.
func (q *quickStart) expect(args string) error {
	words := strings.Fields(args)
	if want := fmt.Sprint(q.status); words[0] != want {
		return fmt.Errorf("status %s: %.300v", want, q.answer)
	}
	for _, word := range words[1:] {
		left, right, _ := strings.Cut(word, "=")
		if keep := left == strings.ToUpper(left); keep {
			value := member(q.answer, right)
			if value == "" {
				return fmt.Errorf("no %s in %.300v", right, q.answer)
			}
			q.vars[left] = value
		} else if got := member(q.answer, left); got != right {
			return fmt.Errorf("%s is %q in %.300v", left, got, q.answer)
		}
	}
	return nil
}

// member returns the text of a member of nested objects, "" where there is none.
func member(v any, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (q *quickStart) connect(address string) error {
	conn, resp, err := websocket.DefaultDialer.Dial(address, nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	q.t.Cleanup(func() { conn.Close() })
	q.conn = conn
	return nil
}

func (q *quickStart) send(text string) error {
	return q.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

// receive reads until a frame holds a text; frames of other channels may come between.
func (q *quickStart) receive(want string) error {
	if err := q.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	for {
		_, text, err := q.conn.ReadMessage()
		if err != nil {
			return err
		}
		if strings.Contains(string(text), want) {
			return nil
		}
	}
}
