package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is `hyperlight serve` on a store that the records were imported into.
type server struct {
	cmd  *exec.Cmd
	addr string
}

// startOurs imports the records and serves them, without a venue and otherwise with the defaults.
func startOurs(ctx context.Context, program, dir string, records []*record) (*server, error) {
	markets, config := filepath.Join(dir, "markets.json"), filepath.Join(dir, "hyperlight.yaml")
	if err := writeMarkets(markets, records); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("venues: {lighter: {enabled: false}}\nstorage: {dir: %q}\nserver: {listen: \"127.0.0.1:0\"}\n"+
		"access: {local_plan: enterprise}\nlogging: {level: error}\n", filepath.Join(dir, "store"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	args := []string{"-c", config, "-q", "import", "--markets", markets}
	for _, r := range records {
		args = append(args, r.file)
	}
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("import: %w: %s", err, out)
	}
	s := &server{cmd: exec.CommandContext(ctx, program, "-c", config, "-q", "serve")}
	said, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines, log := bufio.NewScanner(said), ""
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on http://"); ok {
			s.addr = url
			go io.Copy(io.Discard, said)
			return s, nil
		}
		log += lines.Text() + "\n"
	}
	return nil, errors.Join(fmt.Errorf("hyperlight does not serve: %s", log), s.cmd.Wait())
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

var (
	ourEvents = words{trade: `{"type":"replay_event","event_type":"trade"`, book: `{"type":"replay_event","event_type":"orderbook_snapshot"`}
	ourNative = words{trade: `{"channel":"trade:`, book: `{"channel":"order_book:`}
)

// margin is asked for on both ends: trades have the venue's time, books ours, and the recording's clocks differ by more than
// a second.
const margin = 10 * time.Second

// replayOurs asks for a replay over a new socket.
func replayOurs(addr string, q *request) (a answer, err error) {
	began := time.Now()
	s, err := dial(addr, "/ws/replay")
	if err != nil {
		return a, err
	}
	defer s.conn.Close()
	form, w := `"format":"event","include":["trade","orderbook_snapshot"],"depth":20`, &ourEvents
	if q.kind == native {
		form, w = `"format":"native","include":["trade","order_book"]`, &ourNative
	}
	if err := s.say(fmt.Sprintf(`{"type":"replay","market_id":%d,"start":%d,"end":%d,"speed":"max",%s}`,
		q.record.market.Native, q.from.UnixMilli(), q.to.UnixMilli(), form)); err != nil {
		return a, err
	}
	if a, err = s.read(began, w, `{"type":"replay_complete"`, q.most, q.see); err != nil {
		return a, fmt.Errorf("our replay of %s: %w", q.record.name, err)
	}
	return a, nil
}
