package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "hyperlight.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, s Source) *Loaded {
	t.Helper()
	l, err := Load(s)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return l
}

// faultsOf loads and returns the lines of the error, with the file's directory cut off.
func faultsOf(t *testing.T, s Source) []string {
	t.Helper()
	_, err := Load(s)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error is %v, want faults", err)
	}
	return strings.Split(strings.ReplaceAll(e.Error(), filepath.Dir(s.File)+string(filepath.Separator), ""), "\n")
}

func TestNoSourceGivesDefault(t *testing.T) {
	l := load(t, Source{Environ: []string{"HOME=" + t.TempDir(), "PATH=/bin"}})
	if !reflect.DeepEqual(l.Config, Default()) {
		t.Errorf("got %+v", l.Config)
	}
	for path, o := range l.Origins {
		if o.Level != FromDefault {
			t.Errorf("%s comes from %s", path, o)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "server:\n  listen: 127.0.0.1:1\n  public_url: http://localhost:1\nlogging: {level: debug, format: text}\n")
	l := load(t, Source{
		File:    file,
		Environ: []string{"HYPERLIGHT_SERVER_LISTEN=127.0.0.1:2", "HYPERLIGHT_LOGGING_LEVEL=warn", "HYPERLIGHT_SERVER_PUBLIC_URL="},
		Flags:   []Flag{{Path: "server.listen", Name: "--listen", Text: "127.0.0.1:3"}},
	})
	c := l.Config
	if c.Server.Listen != "127.0.0.1:3" || c.Logging.Level != "warn" || c.Logging.Format != "text" || c.Server.PublicURL != "" {
		t.Errorf("got %+v %+v", c.Server, c.Logging)
	}
	for path, want := range map[string]string{
		"server.listen": "--listen", "logging.level": "HYPERLIGHT_LOGGING_LEVEL", "logging.format": file + ":4:25",
		"storage.cache": "default", "server.public_url": "HYPERLIGHT_SERVER_PUBLIC_URL",
	} {
		if got := l.Origins[path].String(); got != want {
			t.Errorf("origin of %s is %s, want %s", path, got, want)
		}
	}
}

func TestEveryKindOfValueFromEverySource(t *testing.T) {
	const file = `
venues:
  lighter:
    enabled: false
    markets: [0, 1, 300]
    stale_after: 20s
    messages_per_minute: 100
storage: {cache: 64MiB, dir: "a dir"}
server:
  trusted_proxies:
    - 10.0.0.0/8
    - 192.168.1.1
history:
  retention:
    books: 30d
    trades: 400d
  tick_retention: 7d
demo: {seed: -5}
`
	fromFile := load(t, Source{File: write(t, file)}).Config
	fromEnv := load(t, Source{Environ: []string{
		"HYPERLIGHT_VENUES_LIGHTER_ENABLED=false",
		"HYPERLIGHT_VENUES_LIGHTER_MARKETS=0,1, 300",
		"HYPERLIGHT_VENUES_LIGHTER_STALE_AFTER=20s",
		"HYPERLIGHT_VENUES_LIGHTER_MESSAGES_PER_MINUTE=100",
		"HYPERLIGHT_STORAGE_CACHE=67108864",
		"HYPERLIGHT_STORAGE_DIR=a dir",
		"HYPERLIGHT_SERVER_TRUSTED_PROXIES=10.0.0.0/8, 192.168.1.1",
		"HYPERLIGHT_HISTORY_RETENTION=books=30d,trades=400d",
		"HYPERLIGHT_HISTORY_TICK_RETENTION=168h",
		"HYPERLIGHT_DEMO_SEED=-5",
	}}).Config
	want := Default()
	want.Venues.Lighter.Enabled = false
	want.Venues.Lighter.Markets = Markets{0, 1, 300}
	want.Venues.Lighter.StaleAfter = 20 * second
	want.Venues.Lighter.MessagesPerMinute = 100
	want.Storage = Storage{Dir: "a dir", MinFree: want.Storage.MinFree, Cache: 64 << 20}
	want.Server.TrustedProxies = List{"10.0.0.0/8", "192.168.1.1"}
	want.History.Retention["books"], want.History.Retention["trades"] = 30*day, 400*day
	want.History.TickRetention = 7 * day
	want.Demo.Seed = -5
	for name, got := range map[string]*Config{"file": fromFile, "environment": fromEnv} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives\n%s\nwant\n%s", name, got.YAML(nil), want.YAML(nil))
		}
	}
}

func TestFileFaults(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string
	}{
		{"near sibling", "server:\n  # x\n  lisen: 127.0.0.1:1\n",
			[]string{"unknown key server.lisen at 3:3, did you mean server.listen? (from hyperlight.yaml)"}},
		{"wrong section", "server:\n  local_plan: free\n",
			[]string{"unknown key server.local_plan at 2:3, did you mean access.local_plan? (from hyperlight.yaml)"}},
		{"near section", "sever:\n  listen: a\n", []string{"unknown key sever at 1:1, did you mean server? (from hyperlight.yaml)"}},
		{"far", "zzzzzzzzz: 1\n", []string{"unknown key zzzzzzzzz at 1:1 (from hyperlight.yaml)"}},
		{"all at once", "a_b_c_d_e: 1\nserver:\n  listen: nowhere\nlogging:\n  level: wran\n", []string{
			"unknown key a_b_c_d_e at 1:1 (from hyperlight.yaml)",
			"server.listen: must be host:port as 127.0.0.1:8080 (from hyperlight.yaml:3:3)",
			"logging.level: must be debug, info, warn or error, did you mean warn? (from hyperlight.yaml:5:3)",
		}},
		{"number", "ws:\n  queue_frames: many\n", []string{"ws.queue_frames: must be a whole number (from hyperlight.yaml:2:3)"}},
		{"fraction", "ws:\n  queue_frames: 17.5\n", []string{"ws.queue_frames: must be a whole number (from hyperlight.yaml:2:3)"}},
		{"duration", "ws:\n  ping_interval: 30\n",
			[]string{"ws.ping_interval: must be a duration as 10s, 1h30m or 90d (from hyperlight.yaml:2:3)"}},
		{"list for text", "server:\n  listen: [a, b]\n", []string{"server.listen: must be a text (from hyperlight.yaml:2:3)"}},
		{"map for list", "server:\n  trusted_proxies: {a: b}\n", []string{"server.trusted_proxies: must be a list (from hyperlight.yaml:2:3)"}},
		{"text for section", "server: yes\n", []string{"server must hold keys with values (from hyperlight.yaml:1:9)"}},
		{"dataset", "history:\n  retention: {book: 1d}\n",
			[]string{"history.retention: unknown dataset book, did you mean books? (from hyperlight.yaml:2:3)"}},
		{"half a day", "history:\n  retention: {trades: 12h}\n",
			[]string{"history.retention: trades must be 0 or at least 1d: data is deleted by whole days (from hyperlight.yaml:2:3)"}},
		{"alias of nothing", "server: *none\nmetrics:\n  token: *secret\n", []string{
			"alias *none names no anchor above it (from hyperlight.yaml:1:9)", "alias *secret names no anchor above it (from hyperlight.yaml:3:10)",
		}},
		{"two documents", "server: {}\n---\nserver: {}\n", []string{"the file holds more than one document; keep one (from hyperlight.yaml:3:7)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := faultsOf(t, Source{File: write(t, tt.file)})
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
	for _, broken := range []string{"server:\n\tlisten: a\n", "a: [1\n", "server: {}\nserver: {}\n", "x: *nowhere\n"} {
		if got := faultsOf(t, Source{File: write(t, broken)}); len(got) == 0 || !strings.Contains(got[0], "hyperlight.yaml") {
			t.Errorf("%q gives %q", broken, got)
		}
	}
}

func TestAnchorsAndEmptySections(t *testing.T) {
	l := load(t, Source{File: write(t, "ws: {ping_interval: &p 20s, pong_timeout: *p}\nserver:\nlogging:\n  level:\n")})
	if l.Config.WS.PingInterval != 20*second || l.Config.WS.PongTimeout != 20*second || l.Config.Logging.Level != "info" {
		t.Errorf("got %+v", l.Config.WS)
	}
}

// Editors of Windows put a byte order mark in front, which is no part of the first key.
func TestByteOrderMark(t *testing.T) {
	if l := load(t, Source{File: write(t, "\ufefflogging: {level: debug}\n")}); l.Config.Logging.Level != "debug" {
		t.Errorf("got %+v", l.Config.Logging)
	}
}

// Paths are added to the address, so one that ends with a slash must not double it.
func TestPublicURLEndsWithoutSlash(t *testing.T) {
	for given, want := range map[string]string{
		"https://data.example.com/": "https://data.example.com", "https://example.com/data/": "https://example.com/data", "": "",
	} {
		l := load(t, Source{Flags: []Flag{{Path: "server.public_url", Name: "--public-url", Text: given}}})
		if l.Config.Server.PublicURL != want {
			t.Errorf("%q gives %q, want %q", given, l.Config.Server.PublicURL, want)
		}
	}
}

// Whole numbers are not cut to 32 bits: the check of a key says how large its value may be.
func TestLargeNumbers(t *testing.T) {
	l := load(t, Source{
		File:    write(t, "whales: {threshold: 5000000000}\n"),
		Environ: []string{"HYPERLIGHT_DEMO_SEED=9007199254740993"},
	})
	if l.Config.Whales.Threshold != 5_000_000_000 || l.Config.Demo.Seed != 9007199254740993 {
		t.Errorf("got %+v, seed %d", l.Config.Whales, l.Config.Demo.Seed)
	}
	got := faultsOf(t, Source{Flags: []Flag{{Path: "whales.threshold", Name: "--set", Text: "10000000000000"}}})
	if want := "whales.threshold: must be from 1000 to 1000000000000 (from --set)"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEnvironmentFaults(t *testing.T) {
	got := faultsOf(t, Source{Environ: []string{
		"HYPERLIGHT_SERVER_LISTN=a", "HYPERLIGHT_CONFIG=", "HYPERLIGHT_RECORDINGS=/x", "HYPERLIGHT_SOAK=1",
		"HYPERLIGHT_WS_QUEUE_FRAMES=", "HYPERLIGHT_WS_COMPRESSION=maybe", "HYPERLIGHT_ACCESS_LOCAL_PLAN=",
	}})
	want := []string{
		"unknown environment variable HYPERLIGHT_SERVER_LISTN, did you mean HYPERLIGHT_SERVER_LISTEN?",
		"ws.compression: must be true or false (from HYPERLIGHT_WS_COMPRESSION)",
		"ws.queue_frames: must not be empty: want whole number (from HYPERLIGHT_WS_QUEUE_FRAMES)",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestFileSearch(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, "hyperlight")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	found := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(found, []byte("logging: {level: error}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := load(t, Source{Environ: []string{"XDG_CONFIG_HOME=" + home}}); l.File != found || l.Config.Logging.Level != "error" {
		t.Errorf("searched file: %q", l.File)
	}
	named := write(t, "logging: {level: debug}\n")
	if l := load(t, Source{Environ: []string{"XDG_CONFIG_HOME=" + home, "HYPERLIGHT_CONFIG=" + named}}); l.File != named {
		t.Errorf("file of the variable: %q", l.File)
	}
	if l := load(t, Source{File: found, Environ: []string{"HYPERLIGHT_CONFIG=" + named}}); l.File != found {
		t.Errorf("file of the flag: %q", l.File)
	}
	missing := filepath.Join(home, "none.yaml")
	if got := faultsOf(t, Source{File: missing})[0]; !strings.Contains(got, "does not exist; hyperlight config init") {
		t.Errorf("missing file: %s", got)
	}
}

func TestCheckFromAbove(t *testing.T) {
	got := faultsOf(t, Source{
		Environ: []string{"HYPERLIGHT_ACCESS_LOCAL_PLAN=free"},
		Check: func(c *Config) []Fault {
			return []Fault{{Path: "access.local_plan", Message: "no plan is named " + c.Access.LocalPlan}}
		},
	})
	if got[0] != "access.local_plan: no plan is named free (from HYPERLIGHT_ACCESS_LOCAL_PLAN)" {
		t.Errorf("got %q", got)
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "metrics.token")
	save := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	save("from-file\n", 0o600)
	token := func(environ ...string) string {
		t.Helper()
		return string(load(t, Source{Environ: environ}).Config.Metrics.Token)
	}
	if got := token("HYPERLIGHT_METRICS_TOKEN_FILE=" + file); got != "from-file" {
		t.Errorf("token_file gives %q", got)
	}
	if got := token("CREDENTIALS_DIRECTORY=" + dir); got != "from-file" {
		t.Errorf("credentials directory gives %q", got)
	}
	if got := token("CREDENTIALS_DIRECTORY="+dir, "HYPERLIGHT_METRICS_TOKEN=direct"); got != "direct" {
		t.Errorf("variable over credentials directory gives %q", got)
	}
	l := load(t, Source{
		File:    write(t, "metrics: {token: below}\n"),
		Environ: []string{"HYPERLIGHT_METRICS_TOKEN_FILE=" + file},
	})
	if l.Config.Metrics.Token != "from-file" {
		t.Error("a token file of the environment must beat a token of the file")
	}
	faults := func(want string, environ ...string) {
		t.Helper()
		if got := faultsOf(t, Source{Environ: environ}); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	faults("keep one", "HYPERLIGHT_METRICS_TOKEN=a", "HYPERLIGHT_METRICS_TOKEN_FILE="+file)
	faults("no such file", "HYPERLIGHT_METRICS_TOKEN_FILE="+file+"x")
	save("\n", 0o600)
	faults("is empty", "HYPERLIGHT_METRICS_TOKEN_FILE="+file)
	save("open", 0o644)
	faults("readable by everybody", "HYPERLIGHT_METRICS_TOKEN_FILE="+file)
}
