package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/rogpeppe/go-internal/testscript"

	"hyperlight/engine/sim"
)

// The scripts of testdata/script see the program as an operator does: processes, exit codes, files, answers. Beside the
// commands of testscript they have:
//
//	start NAME ARGS...            runs hyperlight in the background; $NAME is its address, $NAME_HOST that
//	                              without http://, NAME.log its standard error
//	finish NAME                   asks it to end and wants exit code 0
//	crash NAME                    ends it with SIGKILL
//	hangup NAME                   sends it SIGHUP
//	waitlog NAME RE               waits until its standard error matches
//	http [-headers] [-header LINE] [-body TEXT] [-until RE] [-pick RE] METHOD URL
//	                              prints the status, the headers if asked for, and the body; -until asks again until RE
//	                              matches, -pick prints only what RE matches
//	take VAR FILE RE              puts what RE matches first in a file into $VAR
//	sums RE WANT                  adds up what the groups of RE match in the lines of stdout, as WANT each: what is told
//	                              by the hour may be told in two
//	venue NAME sim|html|garbage   a venue: simulated, or one that answers web pages, or one whose frames are broken;
//	                              $NAME and $NAME_STREAM are its addresses
//	flip DIR                      changes one bit of the largest table of a store
//	pack SRC DST [PERCENT]        gzips a file, and keeps only the first PERCENT of the result
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"start": scriptStart, "finish": scriptFinish, "crash": scriptCrash, "http": scriptHTTP, "venue": scriptVenue, "pack": scriptPack,
	"hangup": scriptHangup, "waitlog": scriptWaitLog, "take": scriptTake, "sums": scriptSums, "flip": scriptFlip,
}

// TestMain lets scripts run the program itself: `exec hyperlight ...` starts this test binary as hyperlight.
func TestMain(m *testing.M) {
	// The path of a control socket has at most 103 bytes, those of the machine's directory for temporary files included.
	if short := "/tmp"; len(os.TempDir()) > 30 && writable(short) {
		_ = os.Setenv("TMPDIR", short)
	}
	testscript.Main(m, map[string]func(){"hyperlight": main})
}

// scriptState is what the commands of one script share.
type scriptState struct {
	vars      []string
	processes map[string]*exec.Cmd
}

type scriptStateKey struct{}

// TestScripts runs testdata/script/*.txtar, each in an empty directory that is also its home.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                scriptCommands,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/xdg")
			e.Setenv("HYPERLIGHT_STORAGE_MIN_FREE", "16MiB") // a full machine is not the scripts' subject
			e.Values[scriptStateKey{}] = &scriptState{vars: e.Vars, processes: map[string]*exec.Cmd{}}
			return nil
		},
	})
}

// writable tells whether a directory takes files of ours.
func writable(dir string) bool {
	file, err := os.CreateTemp(dir, "hyperlight-test")
	if err != nil {
		return false
	}
	return errors.Join(file.Close(), os.Remove(file.Name())) == nil
}

func stateOf(ts *testscript.TestScript) *scriptState {
	return ts.Value(scriptStateKey{}).(*scriptState)
}

// wantArgs fails the script where a command is not used as described.
func wantArgs(ts *testscript.TestScript, neg bool, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) > 1, "start NAME ARGS...")
	name, state := args[0], stateOf(ts)
	cmd := exec.Command("hyperlight", args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), state.vars
	errors, err := cmd.StderrPipe()
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(name + ".log"))
	ts.Check(err)
	ts.Check(cmd.Start())
	address := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer log.Close()
		defer close(address)
		for lines := bufio.NewScanner(errors); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			if a, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				address <- a
			}
		}
	})
	ts.Defer(func() {
		_ = cmd.Process.Kill() // gone already where the script ended it
		reading.Wait()
		_ = cmd.Wait()
	})
	select {
	case a, ok := <-address:
		if !ok {
			ts.Fatalf("%s ended before it listened:\n%s", name, ts.ReadFile(name+".log"))
		}
		ts.Setenv(name, a)
		ts.Setenv(name+"_HOST", strings.TrimPrefix(a, "http://"))
	case <-time.After(time.Minute):
		ts.Fatalf("%s does not listen after a minute:\n%s", name, ts.ReadFile(name+".log"))
	}
	state.processes[name] = cmd
}

func scriptEnd(ts *testscript.TestScript, name string, signal os.Signal) error {
	cmd := stateOf(ts).processes[name]
	if cmd == nil {
		ts.Fatalf("nothing named %s was started", name)
	}
	ts.Check(cmd.Process.Signal(signal))
	state, err := cmd.Process.Wait()
	ts.Check(err)
	if !state.Success() {
		return fmt.Errorf("%s: %s:\n%s", name, state, ts.ReadFile(name+".log"))
	}
	return nil
}

func scriptFinish(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 1, "finish NAME")
	ts.Check(scriptEnd(ts, args[0], syscall.SIGTERM))
}

func scriptCrash(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 1, "crash NAME")
	if scriptEnd(ts, args[0], os.Kill) == nil {
		ts.Fatalf("%s had ended by itself", args[0])
	}
}

func scriptHangup(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 1 && stateOf(ts).processes[args[0]] != nil, "hangup NAME")
	ts.Check(stateOf(ts).processes[args[0]].Process.Signal(syscall.SIGHUP))
}

func scriptWaitLog(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 2, "waitlog NAME RE")
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for deadline := time.Now().Add(time.Minute); !re.MatchString(ts.ReadFile(args[0] + ".log")); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s.log does not match %s:\n%s", args[0], args[1], ts.ReadFile(args[0]+".log"))
		}
	}
}

func scriptTake(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 3, "take VAR FILE RE")
	re, err := regexp.Compile(args[2])
	ts.Check(err)
	found := re.FindString(ts.ReadFile(args[1]))
	if found == "" {
		ts.Fatalf("nothing in %s matches %s", args[1], args[2])
	}
	ts.Setenv(args[0], found)
}

func scriptSums(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 2, "sums RE WANT")
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := ts.ReadFile("stdout")
	sums := make([]int, re.NumSubexp())
	for _, match := range re.FindAllStringSubmatch(text, -1) {
		for i, digits := range match[1:] {
			n, err := strconv.Atoi(digits)
			ts.Check(err)
			sums[i] += n
		}
	}
	for _, sum := range sums {
		if sum != want {
			ts.Fatalf("what matches %s adds up to %v, want %d each, in\n%s", args[0], sums, want, text)
		}
	}
}

func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	until, pick := regexp.MustCompile(""), regexp.MustCompile("(?s).*")
	header, body, shown := http.Header{}, "", false
	for len(args) > 2 {
		if args[0] == "-headers" {
			shown, args = true, args[1:]
			continue
		}
		if args[0] == "-body" {
			body, args = args[1], args[2:]
			continue
		}
		if args[0] == "-header" {
			name, value, _ := strings.Cut(args[1], ": ")
			header.Add(name, value)
			args = args[2:]
			continue
		}
		re, err := regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		switch args[0] {
		case "-until":
			until = re
		case "-pick":
			pick = re
		default:
			ts.Fatalf("unknown flag %s", args[0])
		}
		args = args[2:]
	}
	wantArgs(ts, neg, len(args) == 2, "http [-headers] [-header LINE] [-body TEXT] [-until RE] [-pick RE] METHOD URL")
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text, err := fetch(client, args[0], args[1], body, header, shown)
		ts.Check(err)
		if until.MatchString(text) {
			fmt.Fprintln(ts.Stdout(), pick.FindString(text))
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no answer matches %q; the last one is\n%s", until, text)
		}
	}
}

func fetch(client *http.Client, method, url, send string, header http.Header, headers bool) (string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(send))
	if err != nil {
		return "", err
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var lines strings.Builder
	for name := range resp.Header {
		if headers {
			fmt.Fprintf(&lines, "%s: %s\n", name, resp.Header.Get(name))
		}
	}
	return fmt.Sprintf("status %d\n%s%s\n", resp.StatusCode, lines.String(), body), err
}

func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 1, "flip DIR")
	tables, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.sst"))
	ts.Check(err)
	if len(tables) == 0 {
		ts.Fatalf("there is no table in %s", args[0])
	}
	size := func(path string) int64 {
		info, err := os.Stat(path)
		ts.Check(err)
		return info.Size()
	}
	slices.SortFunc(tables, func(a, b string) int { return cmp.Compare(size(b), size(a)) })
	data, err := os.ReadFile(tables[0])
	ts.Check(err)
	data[len(data)/3] ^= 0x04
	// The table may be a hard link that other stores share: the damage is to be this one's alone.
	ts.Check(os.Remove(tables[0]))
	ts.Check(os.WriteFile(tables[0], data, 0o600))
}

func scriptPack(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 2 || len(args) == 3, "pack SRC DST [PERCENT]")
	var b strings.Builder
	z := gzip.NewWriter(&b)
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		_, err := io.WriteString(z, line)
		ts.Check(err)
		ts.Check(z.Flush()) // each line in a block of its own, so that a cut loses what follows it and nothing else
	}
	ts.Check(z.Close())
	packed := b.String()
	if len(args) == 3 {
		percent, err := strconv.Atoi(args[2])
		ts.Check(err)
		packed = packed[:len(packed)*percent/100]
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(packed), 0o600))
}

func scriptVenue(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, len(args) == 2, "venue NAME sim|html|garbage")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], "http://"+ln.Addr().String())
	ts.Setenv(args[0]+"_STREAM", "ws://"+ln.Addr().String()+"/stream")
	serve, end := func() error { return nil }, func() { ln.Close() }
	switch args[1] {
	case "sim":
		ctx, cancel := context.WithCancel(context.Background())
		exchange := sim.New(sim.Options{Seed: 1, Markets: 2, Accounts: 200, Rate: 300})
		serve, end = func() error { return sim.Serve(ctx, ln, exchange, sim.ServeOptions{}) }, cancel
	case "html", "garbage":
		server := &http.Server{Handler: http.HandlerFunc(answerHTML)}
		if args[1] == "garbage" {
			server.Handler = http.HandlerFunc(answerGarbage)
		}
		serve, end = func() error { return server.Serve(ln) }, func() { _ = server.Close() }
	default:
		ts.Fatalf("there is no venue %s", args[1])
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = serve() }) // what it says at its end is of no use: the script's server tells what it saw
	ts.Defer(func() {
		end()
		serving.Wait()
	})
}

// answerHTML is a venue behind a gateway that has lost it.
func answerHTML(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, "<html><body><h1>502 Bad Gateway</h1></body></html>")
}

// answerGarbage is a venue whose REST lists one market and whose stream answers a subscribe with a good book of it,
// then with one broken frame after another.
func answerGarbage(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/stream" {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/":
			fmt.Fprintf(w, `{"status":200,"network_id":1,"timestamp":%d}`, time.Now().Unix())
		case strings.HasPrefix(r.URL.Path, "/api/v1/orderBook"):
			const m = `[{"symbol":"ETH","market_id":0,"market_type":"perp","status":"active","taker_fee":"0","maker_fee":"0",` +
				`"min_base_amount":"0.1","min_quote_amount":"1","supported_size_decimals":4,"supported_price_decimals":2,` +
				`"supported_quote_decimals":6,"size_decimals":4,"price_decimals":2}]`
			fmt.Fprint(w, `{"code":200,"order_books":`+m+`,"order_book_details":`+m+`}`)
		default:
			fmt.Fprint(w, `{"code":200,"trades":[{"trade_id":`)
		}
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	say := func(text string) { _ = conn.WriteMessage(websocket.TextMessage, []byte(text)) } // a lost client ends the loop below
	say(`{"session_id":"1","type":"connected"}`)
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if !strings.Contains(string(message), "order_book/0") || !strings.Contains(string(message), `"subscribe"`) {
			continue
		}
		say(fmt.Sprintf(`{"channel":"order_book:0","offset":1,"order_book":{"code":0,"asks":[{"price":"101.00","size":"1.0000"}],`+
			`"bids":[{"price":"100.00","size":"2.0000"}],"offset":1,"nonce":10,"begin_nonce":0},"timestamp":%d,"type":"subscribed/order_book"}`,
			time.Now().UnixMilli()))
		for _, broken := range []string{
			``, `null`, `[1,2]`, `{"channel":"order_book:0","type":"update/ord`, `<html>gateway</html>`, "\x00\x01\x02",
			`{"channel":"order_book:0","order_book":{"asks":[{"price":"abc","size":"1"}],"bids":[],"nonce":11,"begin_nonce":10},"type":"update/order_book"}`,
			`{"channel":"order_book:0","order_book":{"asks":{"price":1},"bids":7,"nonce":12,"begin_nonce":11},"type":"update/order_book"}`,
			`{"channel":"order_book:99999999999999999999","order_book":{},"type":"update/order_book"}`,
		} {
			say(broken)
		}
	}
}
