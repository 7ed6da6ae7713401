package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/sim"
)

// syncBuffer is a buffer that a command or a timer writes while the test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

// TestSimCommand starts the venue on a free port, asks it something and ends it.
func TestSimCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out syncBuffer
	c := newSimCommand()
	c.SetArgs([]string{"--listen", "127.0.0.1:0", "--markets", "3", "--accounts", "20"})
	c.SetErr(&out)
	ended := make(chan error, 1)
	go func() { ended <- c.ExecuteContext(ctx) }()
	const prefix = "listening on "
	for deadline := time.Now().Add(time.Minute); !strings.HasPrefix(out.String(), prefix); {
		if time.Now().After(deadline) {
			t.Fatalf("no address on stderr: %q", out.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(strings.TrimSpace(strings.TrimPrefix(out.String(), prefix)) + "/api/v1/orderBooks")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != http.StatusOK || strings.Count(string(body), `"market_id"`) != 3 {
		t.Errorf("%d %v %.200s", r.StatusCode, err, body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestSimRefuses gives the command what it must not accept.
func TestSimRefuses(t *testing.T) {
	run := func(args ...string) error {
		c := newSimCommand()
		c.SilenceErrors, c.SilenceUsage = true, true
		c.SetArgs(args)
		c.SetErr(io.Discard)
		return c.ExecuteContext(t.Context())
	}
	if err := run("--listen", "0.0.0.0:0", "--markets", "1"); !errors.Is(err, sim.ErrRemote) {
		t.Errorf("an open address: %v", err)
	}
	if err := run("--markets", "0"); err == nil {
		t.Error("no markets were accepted")
	}
	if err := run("--capture", "absent.jsonl"); err == nil {
		t.Error("an absent recording was accepted")
	}
}
