package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hyperlight/config"
)

// The programs of the quick start and two that keep a book, as a user would copy them: nothing but the address, the key
// and a replay's times are changed. testdata/clients/README.md says what they are.

const examplesDir = clientsDir + "/examples"

// pythonWithSockets finds a Python that has the package websockets.
var pythonWithSockets = sync.OnceValue(func() string {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import websockets").Run() == nil {
			return name
		}
	}
	return ""
})

// example is a running program of the quick start.
type example struct {
	*exec.Cmd
	lines chan string // what it prints, closed at its end
	errs  strings.Builder
}

// runExample starts a program with some of its text replaced. It ends with the test, or by itself.
func runExample(t *testing.T, name string, replace ...string) *example {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examplesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			t.Fatalf("%s does not hold %q", name, replace[i])
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	e := &example{lines: make(chan string, 1024)}
	if strings.HasSuffix(name, ".py") {
		if pythonWithSockets() == "" {
			if os.Getenv("CI") != "" {
				t.Fatal("no Python 3 has the package websockets (Debian: python3-websockets)")
			}
			t.Skip("no Python 3 has the package websockets (Debian: python3-websockets): the Python examples do not run")
		}
		e.Cmd = exec.CommandContext(ctx, pythonWithSockets(), "-u", "-")
	} else {
		needClients(t)
		e.Cmd = exec.CommandContext(ctx, "node", "--import", "./websocket.mjs", "--input-type=module", "-")
	}
	e.Dir, e.Stderr, e.Stdin = examplesDir, &e.errs, strings.NewReader(strings.NewReplacer(replace...).Replace(string(text)))
	out, err := e.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(e.lines)
		s := bufio.NewScanner(out)
		s.Buffer(nil, 16<<20) // a whole book is one line
		for s.Scan() {
			select {
			case e.lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = e.Wait() // ended by us, or read to its end before
	})
	return e
}

// line returns the next line that is printed.
func (e *example) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-e.lines:
		if !ok {
			_ = e.Wait()
			t.Fatalf("the program ended: %.2000s", e.errs.String())
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("the program prints nothing more")
	}
	return ""
}

// exampleServer is a server in front of a venue that trades, with a key of a user who may replay.
func exampleServer(t *testing.T) (address, key string) {
	t.Helper()
	a := startInFront(t, liveVenue(t), func(c *config.Config) {
		c.Access.LocalPlan = ""
		c.Access.DefaultTier = "enterprise"
	})
	return "ws" + strings.TrimPrefix(a.base, "http"), a.register("examples@example.com")
}

const (
	exampleAddress = "wss://api.hyperlightapi.xyz"
	exampleKey     = "hlt_your_key_here"
)

// TestExamplesStream runs the first program of the quick start. It prints data frames, which raw channels have when the
// auth message asks for them.
func TestExamplesStream(t *testing.T) {
	address, key := exampleServer(t)
	for name, greeting := range map[string]string{"stream.py": "Authenticated: tier=enterprise", "stream.js": "Tier: enterprise"} {
		t.Run(name, func(t *testing.T) {
			if got := runExample(t, name, exampleAddress, address, exampleKey, key).line(t); got != greeting {
				t.Errorf("as it stands it prints %q, want %q", got, greeting)
			}
			e := runExample(t, name, exampleAddress, address, exampleKey+`"`, key+`", "format": "data"`)
			if got := e.line(t); got != greeting {
				t.Errorf("it prints %q, want %q", got, greeting)
			}
			for range 3 {
				for line := e.line(t); !strings.HasPrefix(line, "[order_book/0] {"); line = e.line(t) {
				}
			}
		})
	}
}

// TestExamplesKeepTheSameBook runs both programs that keep a book at once: they end by themselves where a nonce is
// missing, and at the same nonce they have the same book.
func TestExamplesKeepTheSameBook(t *testing.T) {
	address, key := exampleServer(t)
	seen := map[string]string{} // a book's nonce: how it looks
	met, trades := 0, map[string]int{}
	var programs []*example
	for _, name := range []string{"book.py", "book.js"} {
		e := runExample(t, name, exampleAddress, address, exampleKey, key)
		if got := e.line(t); got != "Authenticated: tier=enterprise" {
			t.Fatalf("%s prints %q", name, got)
		}
		programs = append(programs, e)
	}
	for until := time.Now().Add(time.Minute); met < 20 || len(trades) < 5; {
		if time.Now().After(until) {
			t.Fatalf("%d books and %d trades met", met, len(trades))
		}
		for _, e := range programs {
			line := e.line(t)
			kind, rest, _ := strings.Cut(line, " ")
			if kind == "trade" {
				trades[rest]++
				continue
			}
			nonce, book, _ := strings.Cut(rest, " ")
			if other, ok := seen[nonce]; !ok {
				seen[nonce] = book
			} else if met++; other != book {
				t.Fatalf("book %s is %s to one and %s to the other", nonce, other, book)
			}
		}
	}
	for trade, times := range trades {
		if times > len(programs) {
			t.Errorf("trade %s came %d times", trade, times)
		}
	}
}

// TestExamplesReplay runs the quick start's replay over what the server has just recorded: as many events are printed as
// it says at its end, by both programs.
func TestExamplesReplay(t *testing.T) {
	address, key := exampleServer(t)
	start := time.Now().Add(time.Second).UTC().Truncate(time.Millisecond)
	time.Sleep(4 * time.Second) // what is replayed
	const format = "2006-01-02T15:04:05.000Z07:00"
	counts := map[string]int{}
	for _, name := range []string{"replay.py", "replay.js"} {
		t.Run(name, func(t *testing.T) {
			e := runExample(t, name, exampleAddress, address, exampleKey, key,
				"2026-01-01T00:00:00Z", start.Format(format), "2026-01-01T01:00:00Z", start.Add(2*time.Second).Format(format))
			if got := e.line(t); !strings.Contains(got, "authenticated") && !strings.Contains(got, "{") {
				t.Fatalf("it prints %q", got)
			}
			kinds, events := map[string]int{}, 0
			for {
				line := e.line(t)
				if strings.HasPrefix(line, "Done!") {
					if want := fmt.Sprintf("Done! %d events", events); line != want {
						t.Errorf("it prints %q, want %q", line, want)
					}
					break
				}
				if kind, _, ok := strings.Cut(line, "]"); ok && line[0] == '[' {
					kinds[kind[1:]]++
					events++
				}
			}
			if kinds["trade"] == 0 || kinds["orderbook_snapshot"] == 0 {
				t.Errorf("events: %v", kinds)
			}
			counts[name] = events
		})
	}
	if py, ok := counts["replay.py"]; ok && py != counts["replay.js"] {
		t.Errorf("events: %v", counts)
	}
}
