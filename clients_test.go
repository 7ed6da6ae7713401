package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/sim"
)

// Clients that other people wrote for Lighter, run against a simulated venue and, with nothing but the base URL changed,
// against a server in front of it. testdata/clients/README.md says what they are.

const clientsDir = "testdata/clients"

// clientsReady installs the clients that the lock file pins, once for each lock file.
var clientsReady = sync.OnceValue(func() error {
	lock, err := os.ReadFile(filepath.Join(clientsDir, "package-lock.json"))
	if err != nil {
		return err
	}
	h := sha256.Sum256(lock)
	want := hex.EncodeToString(h[:])
	stamp := filepath.Join(clientsDir, "node_modules", ".lock")
	if got, err := os.ReadFile(stamp); err == nil && strings.TrimSpace(string(got)) == want {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"ci"}, {"run", "build"}} {
		cmd := exec.CommandContext(ctx, "npm", args...)
		cmd.Dir = clientsDir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("npm %s: %w\n%s", args[0], err, out)
		}
	}
	return os.WriteFile(stamp, []byte(want+"\n"), 0o600)
})

// needClients sets the clients up, or skips the test on a machine without Node.
func needClients(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil && os.Getenv("CI") == "" {
		t.Skip("Node 20 with npm is not installed: the clients of other people do not run")
	}
	if err := clientsReady(); err != nil {
		t.Fatalf("set up %s: %v", clientsDir, err)
	}
}

// seen is what a script tells of each of its calls.
type seen map[string]json.RawMessage

// client is a running script of testdata/clients.
type client struct {
	*exec.Cmd
	name      string
	out, errs bytes.Buffer
}

func newClient(ctx context.Context, script, base string, settings ...string) *client {
	c := &client{name: script + " against " + base}
	c.Cmd = exec.CommandContext(ctx, "node", append([]string{script, base}, settings...)...)
	c.Dir, c.Stdout, c.Stderr = clientsDir, &c.out, &c.errs
	return c
}

// told reads what the script printed, once it has ended in the given way.
func (c *client) told(t testing.TB, err error) seen {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v\n%.2000s", c.name, err, c.errs.String())
	}
	var s seen
	if err := json.Unmarshal(c.out.Bytes(), &s); err != nil {
		t.Fatalf("%s: %v in %.500s", c.name, err, c.out.String())
	}
	return s
}

// runClient runs a script against a base URL.
func runClient(t testing.TB, script, base string, settings ...string) seen {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := newClient(ctx, script, base, settings...)
	return c.told(t, c.Run())
}

// refused tells whether a call failed: in the client's own way, or with the venue's answer kept.
func (s seen) refused(call string) bool {
	var r struct {
		Failed string
		Status int
		Type   string
	}
	return json.Unmarshal(s[call], &r) == nil && (r.Failed != "" || r.Status >= 400 && r.Type != "")
}

// into unmarshals what a call gave.
func (s seen) into(t testing.TB, call string, v any) {
	t.Helper()
	if err := json.Unmarshal(s[call], v); err != nil {
		t.Fatalf("%s: %v in %.300s", call, err, s[call])
	}
}

// restClients are the scripts that read over REST, with the calls that the venue or the client itself refuses, and some
// that must find something.
var restClients = []struct {
	script  string
	refused []string
	filled  []string
}{
	{
		script: "ccxt-rest.mjs",
		refused: []string{"fetchOHLCV refused", "fetchTrades", "fetchPositions unknown", "recentTrades refused", "tx unknown",
			"fetchOpenOrders without a token"},
		filled: []string{"loadMarkets", "currencies", "fetchTickers", "fetchFundingRates", "fetchOHLCV 1m", "fetchOHLCV 1w",
			"fetchPositions", "fetchAccounts", "fetchOpenOrders", "fetchMyTrades"},
	},
	{
		script: "zklighter-rest.mjs",
		refused: []string{"orderBooks unknown", "orderBookOrders refused", "candles backwards", "account unknown",
			"accountsByL1Address unknown", "tx unknown", "accountActiveOrders without a token",
			"accountActiveOrders by authorization", "accountActiveOrders of another", "sendTx again"},
		filled: []string{"orderBooks", "orderBookDetails", "candles 1m", "account", "fundingRates"},
	},
}

// busyAccount is a master account of every simulated exchange that holds positions, orders and trades.
const busyAccount = "account=1"

// checkRefusals wants exactly the named calls refused.
func (s seen) checkRefusals(t *testing.T, want []string) {
	t.Helper()
	for _, call := range slices.Sorted(maps.Keys(s)) {
		if s.refused(call) != slices.Contains(want, call) {
			t.Errorf("%s: %.400s", call, s[call])
		}
		if string(s[call]) == "false" {
			t.Errorf("%s: is not so", call)
		}
	}
	for _, call := range want {
		if s[call] == nil {
			t.Errorf("%s: not called", call)
		}
	}
}

// stillVenue is a venue that has traded for a while and then stands still, so that the same question gets the same
// answer whenever it is asked.
func stillVenue(t *testing.T) venue {
	t.Helper()
	x := sim.New(sim.Options{Seed: 11, Markets: 4, Accounts: 300, Rate: 800, Start: time.Now().Add(-30 * time.Second)})
	x.AdvanceBy(30 * time.Second)
	x.Pause()
	return startVenue(t, x, sim.ServeOptions{Limits: sim.Limits{MessagesPerMinute: -1}})
}

// TestClientsREST runs the REST clients directly against the venue.
func TestClientsREST(t *testing.T) {
	needClients(t)
	v := stillVenue(t)
	for _, c := range restClients {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			direct := runClient(t, c.script, v.rest, busyAccount)
			direct.checkRefusals(t, c.refused)
			for _, call := range c.filled {
				if len(direct[call]) < 10 {
					t.Errorf("%s: found nothing: %s", call, direct[call])
				}
			}
			again := runClient(t, c.script, v.rest, busyAccount)
			direct.checkEqual(t, again)
		})
	}
}

// checkEqual wants every call to have given the same, member by member.
func (s seen) checkEqual(t *testing.T, other seen) {
	t.Helper()
	for _, difference := range s.unequal(t, other) {
		t.Error(difference)
	}
}

func (s seen) unequal(t *testing.T, other seen) (out []string) {
	t.Helper()
	for _, call := range slices.Sorted(maps.Keys(s)) {
		if other[call] == nil {
			out = append(out, call+": not called")
			continue
		}
		var a, b any
		s.into(t, call, &a)
		other.into(t, call, &b)
		for _, difference := range differences(nil, "", a, b) {
			out = append(out, call+difference)
		}
	}
	return out
}

// TestClientsNotice puts a proxy between that changes one letter of one answer, and wants it noticed there alone.
func TestClientsNotice(t *testing.T) {
	needClients(t)
	v := stillVenue(t)
	target, err := url.Parse(v.rest)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path != "/api/v1/apikeys" {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte(`"nonce":1`), []byte(`"nonce":2`), 1)))
		return err
	}
	between := httptest.NewServer(proxy)
	defer between.Close()
	const script = "ccxt-rest.mjs"
	got := runClient(t, script, v.rest, busyAccount).unequal(t, runClient(t, script, between.URL, busyAccount))
	if want := []string{"apikeys.api_keys[0].nonce: 1, but 2"}; !slices.Equal(got, want) {
		t.Errorf("differences are %q, want %q", got, want)
	}
}

// differences lists where two JSON values differ, at most ten places.
func differences(out []string, path string, a, b any) []string {
	if len(out) >= 10 {
		return out
	}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			break
		}
		names := slices.Sorted(maps.Keys(a))
		for name := range b {
			if _, both := a[name]; !both {
				names = append(names, name)
			}
		}
		for _, name := range names {
			out = differences(out, path+"."+name, a[name], b[name])
		}
		return out
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			out = differences(out, fmt.Sprintf("%s[%d]", path, i), a[i], b[i])
		}
		return out
	default:
		if a == b {
			return out
		}
	}
	return append(out, fmt.Sprintf("%s: %.200v, but %.200v", path, a, b))
}
