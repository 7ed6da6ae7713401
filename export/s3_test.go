package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// storeRig is an object store with a log that is looked through at the end.
type storeRig struct {
	*S3
	settings config.S3
	logs     *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newStore(t *testing.T, endpoint string, edit func(*config.S3)) *storeRig {
	t.Helper()
	r := &storeRig{logs: &lockedBuffer{}, settings: config.S3{Endpoint: endpoint, Region: storeRegion, Bucket: storeBucket, Prefix: "test/",
		AccessKey: storeKey, SecretKey: storeSecret, PathStyle: true}}
	if edit != nil {
		edit(&r.settings)
	}
	var err error
	if r.S3, err = NewS3(r.settings, time.Now, slog.New(slog.NewJSONHandler(r.logs, nil))); err != nil {
		t.Fatal(err)
	}
	r.first = time.Millisecond
	t.Cleanup(func() { r.silent(t, r.logs.String()) })
	return r
}

// silent fails where a text holds the credentials, or what they have signed.
func (r *storeRig) silent(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{string(r.settings.SecretKey), r.settings.AccessKey, "X-Amz-", "Signature=", "Credential="} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows %q", text, secret)
		}
	}
}

// fails checks that a call failed with a text that has a part, and no credentials.
func (r *storeRig) fails(t *testing.T, what string, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%s: %v, want %q", what, err, part)
		return
	}
	r.silent(t, fmt.Sprintf("%v %+v", err, err))
}

// localFile writes a file and describes it.
func localFile(t *testing.T, content []byte) (string, lake.File) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "part-0000.parquet")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	id := lake.ID{Dataset: lake.Trades, Market: 3, Day: model.Millis(20_000 * 86_400_000)}
	return name, lake.File{ID: id, Bytes: int64(len(content)), Rows: 7, SchemaVersion: 1, SHA256: sha256.Sum256(content)}
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// fetch gets a link with a client that knows nothing of stores.
func fetch(t *testing.T, method, link, part string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	if part != "" {
		req.Header.Set("Range", part)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// Against a real server: what is uploaded comes back by a link, whole and in part; large files go in parts; a repeated upload
// costs nothing; another version takes the place of the first; what is deleted is gone.
func TestS3(t *testing.T) {
	t.Parallel()
	endpoint, dir := startStore(t)
	s := newStore(t, endpoint, nil)
	ctx := context.Background()
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	content := noise(s3Part+s3Part/2, 1) // two parts
	name, f := localFile(t, content)
	key := f.ID.Key()
	if err := s.Put(ctx, key, name, f); err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(dir, storeBucket, "test", filepath.FromSlash(key))
	if stored, err := os.ReadFile(object); err != nil || !bytes.Equal(stored, content) {
		t.Errorf("the object differs: %v", err)
	}
	link, expires, err := s.Link(ctx, key, f.ID.FileName(), 90*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(expires); left < 60*time.Second || left > 91*time.Second {
		t.Errorf("the link ends in %s", left)
	}
	if u, err := url.Parse(link); err != nil || u.Query().Get("X-Amz-Expires") != "90" || strings.Contains(link, storeSecret) {
		t.Errorf("link %s: %v", link, err)
	}
	resp, body := fetch(t, "GET", link, "")
	if resp.StatusCode != 200 || !bytes.Equal(body, content) || resp.Header.Get("Content-Type") != "application/vnd.apache.parquet" ||
		resp.Header.Get("Content-Disposition") != `attachment; filename="`+f.ID.FileName()+`"` ||
		resp.Header.Get("X-Amz-Meta-Sha256") != fmt.Sprintf("%x", f.SHA256) {
		t.Errorf("whole: %d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	for part, want := range map[string][]byte{"bytes=10-99": content[10:100], "bytes=-8": content[len(content)-8:], "bytes=25165800-": content[25165800:]} {
		if resp, body := fetch(t, "GET", link, part); resp.StatusCode != 206 || !bytes.Equal(body, want) {
			t.Errorf("%s: %d, %d bytes", part, resp.StatusCode, len(body))
		}
	}
	for what, bad := range map[string]string{"another file": strings.Replace(link, "market_id%3D3", "market_id%3D4", 1), "another end": strings.Replace(link, "X-Amz-Expires=90", "X-Amz-Expires=900", 1)} {
		if resp, _ := fetch(t, "GET", bad, ""); bad == link || resp.StatusCode != 403 {
			t.Errorf("%s: %d", what, resp.StatusCode)
		}
	}

	before := stamp(t, object)
	if err := s.Put(ctx, key, name, f); err != nil || !before.Equal(stamp(t, object)) {
		t.Errorf("uploaded again: %v", err)
	}
	second, g := localFile(t, noise(1000, 2))
	if err := s.Put(ctx, key, second, g); err != nil {
		t.Fatal(err)
	}
	if resp, body := fetch(t, "GET", link, ""); resp.StatusCode != 200 || len(body) != 1000 || resp.Header.Get("X-Amz-Meta-Sha256") != fmt.Sprintf("%x", g.SHA256) {
		t.Errorf("made again: %d, %d bytes", resp.StatusCode, len(body))
	}
	// The file on disk is newer than the one that was listed.
	if err := s.Put(ctx, key, second, f); !errors.Is(err, ErrStale) {
		t.Errorf("another version: %v", err)
	}
	if err := s.Put(ctx, "trades/metadata/v1.metadata.json", second, lake.File{}); err != nil {
		t.Errorf("a file without a version: %v", err)
	}
	for range 2 {
		if err := s.Delete(ctx, key); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if resp, _ := fetch(t, "GET", link, ""); resp.StatusCode != 404 {
		t.Errorf("deleted: %d", resp.StatusCode)
	}
	short, _, err := s.Link(ctx, "trades/metadata/v1.metadata.json", "v1.metadata.json", time.Nanosecond) // a second
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond)
	if resp, _ := fetch(t, "GET", short, ""); resp.StatusCode != 403 {
		t.Errorf("after its end: %d", resp.StatusCode)
	}
}

func stamp(t *testing.T, name string) time.Time {
	t.Helper()
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return st.ModTime()
}

// What a real server refuses is told in our words, and shows no credentials.
func TestS3Refusals(t *testing.T) {
	t.Parallel()
	endpoint, _ := startStore(t)
	name, f := localFile(t, []byte("PAR1"))
	ctx := context.Background()
	for what, tt := range map[string]struct {
		edit func(*config.S3)
		want string
	}{
		"wrong secret": {func(c *config.S3) { c.SecretKey = "another-secret-of-nobody" }, "the store refused the credentials"},
		"unknown key":  {func(c *config.S3) { c.AccessKey = "AKIANOBODY" }, "the store refused the credentials"},
		"no bucket":    {func(c *config.S3) { c.Bucket = "nothing-here" }, "the bucket does not exist"},
	} {
		s := newStore(t, endpoint, tt.edit)
		s.fails(t, what+": check", s.Check(ctx), tt.want)
		s.fails(t, what+": put", s.Put(ctx, f.ID.Key(), name, f), tt.want)
		if what != "no bucket" {
			s.fails(t, what+": delete", s.Delete(ctx, f.ID.Key()), tt.want)
		}
	}
	s := newStore(t, endpoint, func(c *config.S3) { c.SecretKey = "another-secret-of-nobody" })
	link, _, err := s.Link(ctx, f.ID.Key(), f.ID.FileName(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if resp, _ := fetch(t, "GET", link, ""); resp.StatusCode != 403 {
		t.Errorf("a link of another secret: %d", resp.StatusCode)
	}
}

// faultyStore answers as told, and counts.
func faultyStore(t *testing.T, answer http.HandlerFunc) (endpoint string, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

// A store that repeats in its answer what it was sent, headers and all.
func echo(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s %s</Message></Error>", code, r.Header.Get("Authorization"), storeSecret)
	}
}

// Faults that may pass are tried again, others not; nothing of an answer gets further.
func TestS3Faults(t *testing.T) {
	t.Parallel()
	name, f := localFile(t, []byte("PAR1"))
	ctx := context.Background()
	for _, tt := range []struct {
		status int
		code   string
		want   string
		calls  int64
	}{
		{500, "InternalError", "the store answered 500 InternalError", s3Attempts},
		{503, "SlowDown", "the store answered 503 SlowDown", s3Attempts},
		{403, "SignatureDoesNotMatch", "the store refused the credentials", 1},
		{403, "RequestTimeTooSkewed", "the clocks of this machine", 1},
		{400, "InvalidArgument", "the store answered 400 InvalidArgument", 1},
		{400, storeSecret, "the store answered 400", 1},
	} {
		endpoint, calls := faultyStore(t, echo(tt.status, tt.code))
		s := newStore(t, endpoint, nil)
		s.fails(t, tt.code, s.Delete(ctx, f.ID.Key()), tt.want)
		if calls.Load() != tt.calls {
			t.Errorf("%s: %d calls, want %d", tt.code, calls.Load(), tt.calls)
		}
		unversioned := f
		unversioned.SHA256 = [sha256.Size]byte{}
		s.fails(t, tt.code, s.Put(ctx, f.ID.Key(), name, unversioned), tt.want)
	}
	var failed atomic.Int64
	endpoint, _ := faultyStore(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && failed.Add(1) < s3Attempts {
			echo(500, "InternalError")(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if s := newStore(t, endpoint, nil); s.Delete(ctx, f.ID.Key()) != nil || failed.Load() != s3Attempts {
		t.Errorf("a store that recovers: %d calls", failed.Load())
	}

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	s := newStore(t, "http://"+closed.Addr().String(), nil)
	s.fails(t, "nobody there", s.Put(ctx, f.ID.Key(), name, f), "the store cannot be reached")

	stuck, release := make(chan struct{}), sync.Once{}
	endpoint, _ = faultyStore(t, func(http.ResponseWriter, *http.Request) { <-stuck })
	free := func() { release.Do(func() { close(stuck) }) }
	defer free()
	s = newStore(t, endpoint, nil)
	s.fails(t, "stuck", s.retry(ctx, "look for the bucket", 20*time.Millisecond, func(ctx context.Context) error {
		_, err := s.client.BucketExists(ctx, s.bucket)
		return err
	}), "the store took too long")
	ended, end := context.WithCancel(ctx)
	end()
	if err := s.Delete(ended, f.ID.Key()); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	free()
}

// Credentials that may write but not list are told 403 of an object that is not there; with them files are copied all the same.
func TestS3WithoutListing(t *testing.T) {
	t.Parallel()
	name, f := localFile(t, []byte("PAR1"))
	var put atomic.Int64
	endpoint, _ := faultyStore(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodHead:
			w.WriteHeader(http.StatusForbidden)
		case http.MethodPut:
			if r.URL.Path == "/lake/test/"+f.ID.Key() {
				put.Add(1)
			}
			w.Header().Set("ETag", `"0"`)
		}
	})
	// A prefix is that of a directory, with or without a slash at its end.
	s := newStore(t, endpoint, func(c *config.S3) { c.Prefix = "test" })
	if err := s.Put(t.Context(), f.ID.Key(), name, f); err != nil || put.Load() != 1 {
		t.Errorf("%d objects were put: %v", put.Load(), err)
	}
}

// A store is another one where its address, the bucket or the prefix is, and nothing else.
func TestS3Name(t *testing.T) {
	names := map[string]bool{}
	for i, edit := range []func(*config.S3){
		nil, func(c *config.S3) { c.Endpoint = "https://STORE.example.org/" }, func(c *config.S3) { c.Prefix = "test" },
		func(c *config.S3) { c.Endpoint = "https://store.example.com" }, func(c *config.S3) { c.Bucket = "pond" }, func(c *config.S3) { c.Prefix = "" },
	} {
		names[newStore(t, "https://store.example.org", edit).Name()] = true
		if want := max(1, i-1); len(names) != want {
			t.Errorf("%d settings name %d stores, want %d", i+1, len(names), want)
		}
	}
}

// Settings that cannot work are refused before anything is sent.
func TestS3Settings(t *testing.T) {
	good := config.S3{Endpoint: "https://store.example.org", Bucket: "lake", AccessKey: storeKey, SecretKey: storeSecret}
	for what, edit := range map[string]func(*config.S3){
		"no endpoint": func(c *config.S3) { c.Endpoint = "" }, "no scheme": func(c *config.S3) { c.Endpoint = "store.example.org" },
		"another scheme": func(c *config.S3) { c.Endpoint = "ftp://store.example.org" }, "a path": func(c *config.S3) { c.Endpoint += "/bucket" },
		"a user":    func(c *config.S3) { c.Endpoint = "https://" + storeKey + ":" + storeSecret + "@store.example.org" },
		"no bucket": func(c *config.S3) { c.Bucket = "" }, "an odd bucket": func(c *config.S3) { c.Bucket = "a/b" }, "no key": func(c *config.S3) { c.AccessKey = "" }, "no secret": func(c *config.S3) { c.SecretKey = "" },
	} {
		c := good
		edit(&c)
		_, err := NewS3(c, time.Now, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), storeSecret) || strings.Contains(err.Error(), storeKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A link is made without asking anybody, in either style, and ends when it says.
	now := func() time.Time { return time.Now().Add(time.Hour) }
	for style, want := range map[bool]string{true: "https://store.example.org/lake/p/k?", false: "https://lake.store.example.org/p/k?"} {
		c := good
		c.PathStyle, c.Prefix = style, "p/"
		s, err := NewS3(c, now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		link, expires, err := s.Link(context.Background(), "k", "k.parquet", 30*24*time.Hour)
		if err != nil || !strings.HasPrefix(link, want) || !strings.Contains(link, "X-Amz-Expires=604800") || expires.After(now().Add(s3LongestLink)) {
			t.Errorf("%s until %s: %v", link, expires, err)
		}
	}
	for ending, want := range map[string]string{".parquet": "application/vnd.apache.parquet", ".json": "application/json", ".csv": "text/csv; charset=utf-8",
		".avro": "application/avro", ".text": "text/plain; charset=utf-8", "": "application/octet-stream"} {
		if got := mediaType("a/b" + ending); got != want {
			t.Errorf("%s: %s", ending, got)
		}
	}
	if transport := newS3Transport(); transport.TLSClientConfig.MinVersion < 0x0303 || transport.ResponseHeaderTimeout == 0 || transport.TLSHandshakeTimeout == 0 {
		t.Error("the transport waits for ever, or speaks old TLS")
	}
}
