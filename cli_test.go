package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/config"
)

// runHere runs a command line in an empty home and returns its exit code and output.
func runHere(t *testing.T, ctx context.Context, line ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(ctx, line, &out, &err)
	return code, out.String(), err.String()
}

// alone moves the test to an empty directory where no configuration of the machine is found.
func alone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "xdg"))
	t.Setenv("HYPERLIGHT_STORAGE_DIR", filepath.Join(dir, "store"))
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "HYPERLIGHT_") && name != "HYPERLIGHT_STORAGE_DIR" {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	return dir
}

func TestExitCodes(t *testing.T) {
	dir := alone(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		line   string
		code   int
		stderr string
	}{
		{"", exitOK, ""},
		{"--version", exitOK, ""},
		{"version", exitOK, ""},
		{"config check", exitOK, "configuration is valid (defaults)"},
		{"completion bash", exitOK, ""},
		{"serv", exitUsage, `hyperlight: unknown command "serv", did you mean serve?; see hyperlight --help`},
		{"config shwo", exitUsage, `hyperlight config: unknown command "shwo", did you mean show?; see hyperlight config --help`},
		{"serve --lisen x", exitUsage, "hyperlight serve: unknown flag: --lisen; see hyperlight serve --help"},
		{"serve extra", exitUsage, `hyperlight serve: unexpected argument "extra"; see hyperlight serve --help`},
		{"version -o xml", exitUsage, "hyperlight version: --output xml is not known; use table, json or csv"},
		{"serve --set x", exitUsage, "hyperlight serve: --set x has no value; write --set key=value"},
		{"sim --rate abc", exitUsage, `hyperlight sim: invalid argument "abc" for "--rate" flag: must be a number; see hyperlight sim --help`},
		{"sim --markets 1.5", exitUsage, `for "--markets" flag: must be a whole number; see`},
		{"sim --rate NaN", exitUsage, "hyperlight sim: --rate must be at most 1000000; see hyperlight sim --help"},
		{"sim --rate 1e18", exitUsage, "--rate must be at most 1000000"},
		{"sim --volatility -1", exitUsage, "--volatility must be above 0, and at most 1000"},
		{"sim --answer-delay -1s", exitUsage, "--answer-delay and --wait-subscriptions must not be negative"},
		{"health --timeout soon", exitUsage, `for "--timeout" flag: must be a time as 500ms or 5s; see`},
		{"health --timeout 0s http://127.0.0.1:1", exitUnreachable, "server at http://127.0.0.1:1 does not answer: no answer in time, --timeout waits longer; start it"},
		{"completion fsh", exitUsage, `unknown command "fsh", did you mean bash or fish or zsh?; see hyperlight completion --help`},
		{"import", exitUsage, "hyperlight import: no file given; see hyperlight import --help"},
		{"health a b", exitUsage, "hyperlight health: at most one argument is accepted; see hyperlight health --help"},
		{"health nowhere", exitUsage, `hyperlight health: "nowhere" is no address; write it as http://127.0.0.1:8080`},
		{"health --set server.listen=127.0.0.1:0", exitUsage, "picks its port at start"},
		{"serve --listen nowhere", exitConfig, "hyperlight serve: configuration: server.listen: must be host:port as 127.0.0.1:8080 (from --listen)"},
		{"serve --local-plan gold", exitConfig, `access.local_plan: no plan is named "gold"; use free, starter,`},
		{"user", exitOK, ""},
		{"user list extra", exitUsage, `hyperlight user list: unexpected argument "extra"; see hyperlight user list --help`},
		{"user set-tier a@b.c", exitUsage, "hyperlight user set-tier: the plan is missing; see hyperlight user set-tier --help"},
		{"user create", exitUsage, "hyperlight user create: no --email given; see hyperlight user create --help"},
		{"user create --email a@b.c --password-file none", exitFailure, "read password: open none: no such file or directory; check the path"},
		{"user list --stream", exitFailure, "open store: "},
		{"user disable a@b.c", exitRefused, "nobody can be asked whether to refuse a@b.c and all its keys; add --yes"},
		{"key create", exitUsage, "hyperlight key create: no --user given; see hyperlight key create --help"},
		{"key create --user a@b.c --expires soon", exitUsage, `--expires: "soon" is no time; write 2026-01-31`},
		{"key revoke", exitUsage, "hyperlight key revoke: the key's id is missing; see hyperlight key revoke --help"},
		{"key list", exitFailure, "no such file or directory; check the path"},
		{"tier list", exitOK, ""},
		{"usage list --from 2026-02-01 --to 2026-01-01", exitUsage, "hyperlight usage list: --to must be after --from"},
		{"serve -c none.yaml", exitConfig, "configuration file none.yaml does not exist; hyperlight config init none.yaml writes one"},
		{"serve --set storage.dirr=x", exitConfig, "unknown key storage.dirr, did you mean storage.dir? (from --set)"},
		{"health http://127.0.0.1:1", exitUnreachable, "start it with hyperlight serve, or give its address"},
		{"config init file", exitRefused, "file exists already; give another name, or --force to replace it"},
		{"config init --force .", exitFailure, `hyperlight config init: "." is a directory; name a file`},
		{"config init none/file", exitFailure, "no such file or directory; check the path"},
		{"import none.ndjson", exitFailure, "hyperlight import: open none.ndjson: no such file or directory; check the path"},
		{"import .", exitFailure, ". is a directory; name the recordings in it"},
		{"check", exitFailure, "no such file or directory; check the path"},
		{"check --storage-dir file", exitFailure, "not a directory; check the path"},
		{"serve --storage-dir file", exitFailure, "not a directory; check the path"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			code, _, stderr := runHere(t, t.Context(), strings.Fields(tt.line)...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) || tt.stderr == "" && stderr != "" {
				t.Errorf("exit %d with %q, want %d with %q", code, stderr, tt.code, tt.stderr)
			}
			said := slices.DeleteFunc(strings.SplitAfter(stderr, "\n"), func(line string) bool {
				return line == "" || strings.HasPrefix(line, `{"time":`)
			})
			if tt.code != exitOK && len(said) != 1 {
				t.Errorf("an error is one line beside the log, got %q", stderr)
			}
		})
	}
}

func TestCheckRefusesEmptyDirectory(t *testing.T) {
	dir := alone(t)
	empty := filepath.Join(dir, "empty", "store")
	if err := os.MkdirAll(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := runHere(t, t.Context(), "check", "--storage-dir", filepath.Dir(empty))
	if code != exitFailure || !strings.Contains(stderr, "is empty; name the right directory with --storage-dir") {
		t.Errorf("exit %d with %q", code, stderr)
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) > 0 {
		t.Errorf("the check left %v, %v", entries, err)
	}
}

func TestUnreadableConfiguration(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("root reads everything")
	}
	dir := alone(t)
	name := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(name, nil, 0o200); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runHere(t, t.Context(), "config", "check", "-c", name); code != exitConfig {
		t.Errorf("exit %d with %q", code, stderr)
	}
}

func TestHealthCommand(t *testing.T) {
	alone(t)
	answer, status := `{"status":"ok","version":"9","uptime_seconds":61,"checks":{"storage":"ok","lighter_api":"error"}}`, 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer s.Close()
	want := "WHAT         STATE\nstatus       ok\nversion      9\nuptime       1m1s\nlighter_api  error\nstorage      ok\n"
	if code, stdout, stderr := runHere(t, t.Context(), "health", s.URL); code != exitOK || stdout != want || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := runHere(t, t.Context(), "health", "--set", "server.listen="+strings.TrimPrefix(s.URL, "http://")); code != exitOK || stdout != want {
		t.Errorf("by configuration: exit %d\n%s", code, stdout)
	}
	if _, stdout, _ := runHere(t, t.Context(), "health", "-o", "json", s.URL+"/"); !strings.Contains(stdout, `"uptime_seconds": 61`) {
		t.Errorf("json: %s", stdout)
	}
	answer, status = strings.Replace(answer, "ok", "error", 1), 503
	if code, _, stderr := runHere(t, t.Context(), "health", s.URL); code != exitFailure || !strings.Contains(stderr, "reports error") {
		t.Errorf("failing server: exit %d %s", code, stderr)
	}
	answer = "<html>"
	if code, _, stderr := runHere(t, t.Context(), "health", s.URL); code != exitFailure || !strings.Contains(stderr, "without a health report") {
		t.Errorf("another server: exit %d %s", code, stderr)
	}
}

// fullDisk is a standard output that takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A result that could not be written is no success, in whatever form.
func TestResultThatCannotBeWritten(t *testing.T) {
	alone(t)
	for _, line := range []string{"tier list", "tier list -o csv", "tier list -o json", "tier list -o json --stream", "version", "config env", "config show", "config init"} {
		var stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(line), fullDisk{}, &stderr); code != exitFailure || !strings.Contains(stderr.String(), "no space left on device; free disk space") {
			t.Errorf("%s: exit %d with %q", line, code, stderr.String())
		}
	}
}

// Without an argument health finds the listener of a server that ends TLS itself, whatever name its certificate has.
func TestHealthOfAnEncryptedListener(t *testing.T) {
	cfg := tlsFiles(t)
	alone(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	}))
	s.TLS = openTestTLS(t, cfg, slog.New(slog.DiscardHandler)).config
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of the client below that does not trust it
	s.StartTLS()
	defer s.Close()
	code, stdout, stderr := runHere(t, t.Context(), "health", "--set", "server.listen="+s.Listener.Addr().String(), "--set", "tls.mode=files",
		"--set", "tls.cert_file="+cfg.TLS.CertFile, "--set", "tls.key_file="+cfg.TLS.KeyFile)
	if code != exitOK || !strings.Contains(stdout, "status   ok") {
		t.Errorf("exit %d with %q%q", code, stdout, stderr)
	}
	if code, _, stderr = runHere(t, t.Context(), "health", s.URL); code != exitUnreachable {
		t.Errorf("a certificate that nobody vouches for, at an address that somebody names: exit %d with %q", code, stderr)
	}
	if c := ownListener(&config.TLS{Mode: config.TLSACME, Domains: config.List{"data.example.com"}}); c.ServerName != "data.example.com" {
		t.Errorf("an authority's certificate is asked for by %q", c.ServerName)
	}
}

// Each command has an example, and the example works.
func TestExamples(t *testing.T) {
	demo, err := os.ReadFile("config/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := alone(t)
	if err := os.Mkdir(filepath.Join(dir, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config", "demo.yaml"), demo, 0o600); err != nil {
		t.Fatal(err)
	}
	writeTinyRecording(t, filepath.Join(dir, "recording.ndjson.gz"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"ok","version":"0","uptime_seconds":1,"checks":{}}`))
	}))
	defer s.Close()
	replace := strings.NewReplacer("http://127.0.0.1:8080", s.URL, ":9300", ":0")

	lines := map[string]bool{}
	var order []string
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Name() == "help" {
			return
		}
		line := strings.TrimSpace(c.Example)
		if !strings.HasPrefix(line, "hyperlight ") || strings.Contains(line, "\n") {
			t.Errorf("%s: the example is %q; give one runnable line", c.CommandPath(), c.Example)
			return
		}
		if !lines[line] {
			lines[line] = true
			order = append(order, line)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit((&app{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}).newRootCommand())

	// A user comes before what is done with it; a check and a replay need the store that the import makes; what takes away comes last.
	stage := func(line string) int {
		switch {
		case strings.HasPrefix(line, "hyperlight user create"):
			return 0
		case strings.HasPrefix(line, "hyperlight check"), strings.HasPrefix(line, "hyperlight replay"), strings.HasPrefix(line, "hyperlight key revoke"):
			return 2
		case strings.HasPrefix(line, "hyperlight user disable"), strings.HasPrefix(line, "hyperlight restore"):
			return 3
		}
		return 1
	}
	for pass := range 4 {
		for _, line := range order {
			if stage(line) != pass {
				continue
			}
			t.Run(line, func(t *testing.T) {
				args := strings.Fields(replace.Replace(line))[1:]
				if strings.HasPrefix(line, "hyperlight key revoke") { // of a key that is there
					_, id, _ := runHere(t, t.Context(), "key", "list", "-o", "csv")
					_, id, _ = strings.Cut(id, "\n")
					args[2], _, _ = strings.Cut(id, ",")
				}
				ctx := t.Context()
				if args[0] == "sim" || args[0] == "serve" { // these run until they are stopped
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					defer cancel()
					defer time.AfterFunc(2*time.Second, cancel).Stop()
				}
				if args[0] == "serve" {
					args = append(args, "--listen", "127.0.0.1:0")
				}
				code, _, stderr := runHere(t, ctx, args...)
				if args[0] == "signal" && args[1] != "list" { // no command makes a signal: there is none of that id
					if code != exitFailure || !strings.Contains(stderr, "signal not found") {
						t.Errorf("exit %d: %s", code, stderr)
					}
					return
				}
				if code != exitOK {
					t.Errorf("exit %d: %s", code, stderr)
				}
			})
		}
	}
}

// writeTinyRecording writes a recording of two frames of one market.
func writeTinyRecording(t *testing.T, name string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for _, line := range []string{
		`{"seq":1,"recv_us":1760000000000000,"msg":{"channel":"order_book:0","offset":7,"order_book":{"code":0,"asks":[{"price":"101.00","size":"1.0000"}],"bids":[{"price":"100.00","size":"2.0000"}],"offset":7,"nonce":70,"begin_nonce":69},"timestamp":1760000000000,"type":"subscribed/order_book"}}`,
		`{"seq":2,"recv_us":1760000001500000,"msg":{"channel":"order_book:0","offset":8,"order_book":{"code":0,"asks":[],"bids":[{"price":"100.00","size":"3.0000"}],"offset":8,"nonce":71,"begin_nonce":70},"timestamp":1760000001500,"type":"update/order_book"}}`,
	} {
		if _, err := z.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
