package http

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/lake"
)

// signedPath returns a link's path for a file, valid at the test's time.
func (l *fakeLake) signedPath(t testing.TB, f *fixture, id lake.ID) string {
	t.Helper()
	url, _ := l.options(t, func() time.Time { return f.clock() }).Links.Link(lakeFilesPath + id.FileName())
	return strings.TrimPrefix(url, lakeBase)
}

// random returns bytes that no two parts of are alike.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{7})
	_, _ = source.Read(b) // never fails
	return b
}

// Checklist 108: only the whole signature of the path and the time lets in; what is refused tells nothing about files, and
// nothing of it reaches the log.
func TestSignedFiles(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none"}})
	l := newFakeLake()
	links := l.options(t, nil).Links
	const vector = "/api/v1/data-lake/files/trades-0-20260101.parquet"
	if got := links.Sign(vector, 1767312000); got != "38dec8203a9bb84f7b869e288892016d49ef0a029d69b2a1a2cd7990d3d49a56" {
		t.Fatalf("the contract's vector: %s", got)
	}
	id, _ := lake.ParseID(ethDay)
	path, end := lakeFilesPath+id.FileName(), int64(testNow)/1000+900
	signature := links.Sign(path, end)
	query := func(expires any, signature string) string {
		return fmt.Sprintf("?expires=%v&signature=%s", expires, signature)
	}
	r := a.do(t, "GET", path+query(end, signature))
	if r.Status != 200 || r.Header["X-Credits-Cost"] != "" || r.Header["X-Ratelimit-Limit"] != "30000" {
		t.Errorf("a good link: %d %v", r.Status, r.Header)
	}
	other := lakeFilesPath + "trades-1-20240131.parquet"
	missing := lakeFilesPath + "trades-9-20240131.parquet"
	past := int64(testNow)/1000 - 1
	var bodies []string
	for name, target := range map[string]string{
		"nothing": path, "no signature": path + "?expires=" + fmt.Sprint(end), "no end": path + "?signature=" + signature, "empty": path + query("", ""),
		"another file": other + query(end, signature), "no file": missing + query(end, signature), "another end": path + query(end+1, signature),
		"half": path + query(end, signature[:32]), "a tail": path + query(end, signature+"00"), "upper case": path + query(end, strings.ToUpper(signature)),
		"a sign": path + query(fmt.Sprintf("%%2B%d", end), signature), "a zero": path + query(fmt.Sprintf("0%d", end), signature),
		"a blank": path + query(fmt.Sprintf("%d%%20", end), signature), "far": path + query("99999999999999999999", signature),
		"no name": lakeFilesPath + "x" + query(end, signature), "first counts": path + query(end, strings.Repeat("0", 64)) + "&signature=" + signature,
	} {
		r := a.do(t, "GET", target)
		e := r.envelope(t)
		if r.Status != 403 || e.Data["code"] != "forbidden" || e.Data["details"] != nil {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		bodies = append(bodies, fmt.Sprint(e.Data["message"]))
	}
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("texts differ: %q, %q", b, bodies[0])
		}
	}
	for name, target := range map[string]string{"past": path + query(past, links.Sign(path, past)), "past, no file": missing + query(past, links.Sign(missing, past))} {
		if r := a.do(t, "GET", target); r.Status != 403 || r.envelope(t).Data["code"] != "forbidden" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	if r := a.do(t, "GET", missing+query(end, links.Sign(missing, end))); r.Status != 404 {
		t.Errorf("signed, but no file: %d", r.Status)
	}
	if r := a.do(t, "GET", path+query(end, signature)+"&download=1"); r.Status != 200 {
		t.Errorf("with another parameter: %d", r.Status)
	}
	if log := a.logs.String(); strings.Contains(log, signature) || strings.Contains(log, "expires=") {
		t.Error("the log holds a link")
	}
	limit := a.do(t, "GET", path)
	if limit.Header["X-Ratelimit-Limit"] != "300" {
		t.Errorf("a refused link counts as a refused credential: %v", limit.Header)
	}
}

// exampleLakePath returns a path of a lake's route under which there is something.
func exampleLakePath(pattern string) string {
	if file, ok := strings.CutSuffix(pattern, "{file}"); ok {
		path, end := file+ethDay+".parquet", int64(testNow)/1000+900
		signature := lake.NewLinks([]byte("test-secret-test-secret"), "", time.Second, nil).Sign(path, end)
		return fmt.Sprintf("%s?expires=%d&signature=%s", path, end, signature)
	}
	dataset := "trades"
	if strings.Contains(pattern, "{dataset}/{date}") {
		dataset = "funding_rates"
	}
	return strings.NewReplacer("{export_id}", ethDay, "{dataset}", dataset, "{name}", "v1.metadata.json", "{market}", "market_id=0",
		"{date}", "date=2024-01-31", "{part}", "part-0000.parquet").Replace(pattern)
}

// oracle answers as net/http does.
func oracle(content []byte, etag string, changed time.Time, method string, headers http.Header) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	w.Header().Set("Etag", etag)
	w.Header().Set("Content-Type", mediaParquet)
	r := httptest.NewRequest(method, "/", nil)
	r.Header = headers
	http.ServeContent(w, r, "", changed, bytes.NewReader(content))
	return w
}

// Checklist 108: every combination of method, range and validator is answered as net/http answers it, but for what we do on
// purpose: several ranges get the whole file, and a date is no validator for a part.
func TestFileConformance(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	content := randomBytes(1000)
	id, _ := lake.ParseID(ethDay)
	file := l.put(id, "ETH", content)
	path := l.signedPath(t, f, id)
	etag := fmt.Sprintf(`"%x"`, file.SHA256)
	changed := time.UnixMilli(int64(file.Created)).UTC()
	at := func(d time.Duration) string { return changed.Add(d).Format(http.TimeFormat) }
	lists := []string{"", etag, "W/" + etag, `"x"`, `"x", ` + etag, "*", `"x","y"`}
	dates := []string{"", at(0), at(-time.Second), at(time.Second), "yesterday", changed.Format(time.RFC850), changed.Format(time.ANSIC)}
	ranges := []string{"", "bytes=0-", "bytes=0-0", "bytes=0-999", "bytes=999-", "bytes=999-5000", "bytes=1000-", "bytes=-1", "bytes=-1000", "bytes=-5000",
		"bytes=500-499", "bytes=-", "bytes=x-y", "bytes=1 - 2", "bytes=", "bytes=,", "bytes=5-9,", "bytes=0-1,5-6", "bytes=0-1,5000-", "bytes=5000-,6000-", "bytes=10-20,x", "bytes"}
	rapid.Check(t, func(rt *rapid.T) {
		method := rapid.SampledFrom([]string{"GET", "HEAD"}).Draw(rt, "method")
		headers := http.Header{}
		var pairs []string
		set := func(name string, values []string) {
			if v := rapid.SampledFrom(values).Draw(rt, name); v != "" {
				headers.Set(name, v)
				pairs = append(pairs, name, v)
			}
		}
		set("Range", ranges)
		if rapid.Bool().Draw(rt, "conditions") {
			set("If-Match", lists)
			set("If-None-Match", lists)
			set("If-Modified-Since", dates)
			set("If-Unmodified-Since", dates)
			set("If-Range", append(lists[:4:4], at(-time.Second), at(time.Second)))
		}
		want := oracle(content, etag, changed, method, headers)
		got := f.do(rt, method, path, pairs...)
		status, body := want.Code, want.Body.Bytes()
		if strings.HasPrefix(want.Header().Get("Content-Type"), "multipart/") {
			status, body = 200, content
			want.Header().Set("Content-Length", "1000")
			if method == "HEAD" {
				body = nil
			}
		}
		if headers.Get("Range") == "bytes" && status == 416 {
			status, body = 200, content // an unknown unit is ignored
			want.Header().Set("Content-Length", "1000")
			if method == "HEAD" {
				body = nil
			}
		}
		if got.Status != status {
			rt.Fatalf("%s %v: got %d, want %d", method, headers, got.Status, status)
		}
		if status == 416 && got.Header["Content-Range"] != "bytes */1000" || status == 200 && got.Header["Content-Range"] != "" {
			rt.Fatalf("%v: Content-Range is %q", headers, got.Header["Content-Range"])
		}
		if status >= 400 {
			return
		}
		if got.Header["Etag"] != etag || got.Header["Last-Modified"] != changed.Format(http.TimeFormat) {
			rt.Fatalf("%d: validators %v", status, got.Header)
		}
		if status == 304 {
			if len(got.Body) != 0 {
				rt.Fatalf("304 with a body")
			}
			return
		}
		if !bytes.Equal(got.Body, body) || got.Header["Content-Length"] != want.Header().Get("Content-Length") || got.Header["Accept-Ranges"] != "bytes" ||
			status == 206 && got.Header["Content-Range"] != want.Header().Get("Content-Range") ||
			got.Header["Content-Type"] != mediaParquet || got.Header["Content-Encoding"] != "" {
			rt.Fatalf("%s %v: got %v, want %v", method, headers, got.Header, want.Header())
		}
	})
	// Whoever accepts encodings gets the file as it is: its parts are parts of that.
	for _, part := range []string{"", "bytes=0-"} {
		if r := f.do(t, "GET", path, "Accept-Encoding", "gzip, zstd", "Range", part); !bytes.Equal(r.Body, content) {
			t.Errorf("encoded: %v", r.Header)
		}
	}
	if r := f.do(t, "GET", path, "Range", "bytes=5000-"); r.envelope(t).Data["code"] != "bad_request" {
		t.Errorf("416: %s", r.Body)
	}
	if r := f.do(t, "GET", path, "If-Match", `"x"`, "Accept", "application/problem+json"); r.Status != 412 || !strings.Contains(string(r.Body), `"status":412`) {
		t.Errorf("412: %d %s", r.Status, r.Body)
	}
}

// Who asks for the length alone downloads nothing. The count is the process's: nothing runs beside this test.
func TestHeadIsNoDownload(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	id, _ := lake.ParseID(ethDay)
	path := l.signedPath(t, f, id)
	for method, want := range map[string]uint64{"HEAD": 0, "GET": 1} {
		before := filesSent.Get()
		if r := f.do(t, method, path); r.Status != 200 || filesSent.Get()-before != want {
			t.Errorf("%s: %d, counts as %d downloads", method, r.Status, filesSent.Get()-before)
		}
	}
}

// FuzzRange: a Range header is read as net/http reads it. On purpose we differ in five things: an unknown unit, several
// ranges and any range of an empty file get the whole file, a place may have any number of digits but no sign, and the last 0
// bytes are none.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-", "bytes=-5", "bytes=3-7", "bytes=0-1,3-4", "bytes=9-", "bytes=10-", "bytes=99999999999999999999-", "bytes= 1 - 2 ,", "items=0-1", "bytes=-0"} {
		f.Add(seed, uint8(10))
	}
	f.Fuzz(func(t *testing.T, header string, size uint8) {
		content := make([]byte, size)
		verdict, r := parseRange([]byte(header), int64(size))
		if verdict == sendPart && (r.From < 0 || r.Length <= 0 || r.From+r.Length > int64(size)) {
			t.Fatalf("%q: %v of %d", header, r, size)
		}
		if size == 0 || header == "" || strings.ContainsAny(header, "+\r\n") || len(header) < 6 || !strings.HasPrefix(header, "bytes=") || longNumber(header) || strings.Contains(header, "-0") {
			return
		}
		w := oracle(content, `"x"`, time.Unix(1, 0), "GET", http.Header{"Range": {header}})
		got := map[outcome]int{sendWhole: 200, sendPart: 206, noSuchRange: 416}[verdict]
		want := w.Code
		if strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/") {
			want = 200
		}
		if got != want {
			t.Fatalf("%q of %d: got %d, want %d", header, size, got, want)
		}
		if verdict == sendPart {
			if text := fmt.Sprintf("bytes %d-%d/%d", r.From, r.From+r.Length-1, size); text != w.Header().Get("Content-Range") {
				t.Fatalf("%q: got %s, want %s", header, text, w.Header().Get("Content-Range"))
			}
		}
	})
}

func longNumber(header string) bool {
	digits := 0
	for _, ch := range header {
		if ch < '0' || ch > '9' {
			digits = -1
		}
		if digits++; digits > maxDigits {
			return true
		}
	}
	return false
}

// Where we differ from net/http on purpose.
func TestRangeOnPurpose(t *testing.T) {
	for _, tt := range []struct {
		header  string
		verdict outcome
		r       fileRange
	}{
		{"items=0-1", sendWhole, fileRange{0, 10}}, {"BYTES=0-1", sendPart, fileRange{0, 2}}, {"bytes=-0", noSuchRange, fileRange{}},
		{"bytes=+1-2", noSuchRange, fileRange{}}, {"bytes=0-99999999999999999999999", sendPart, fileRange{0, 10}},
		{"bytes=-99999999999999999999999", sendPart, fileRange{0, 10}}, {"bytes=99999999999999999999999-", noSuchRange, fileRange{}},
		{"bytes=0-1,2-3", sendWhole, fileRange{0, 10}}, {"bytes=0000000000000000000000001-2", sendPart, fileRange{1, 2}},
	} {
		if verdict, r := parseRange([]byte(tt.header), 10); verdict != tt.verdict || r != tt.r {
			t.Errorf("%s: %d %v", tt.header, verdict, r)
		}
	}
}

// overTCP serves a fixture on a real port, where the kernel copies files, and returns its base address.
func overTCP(t *testing.T, f *fixture) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = f.Serve(ln) }() // ends with the fixture
	return "http://" + ln.Addr().String()
}

// A file that is made again while it is read: the open one stays whole, and its validator does not fit the new one.
func TestRemadeWhileRead(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	id, _ := lake.ParseID(ethDay)
	old, young := randomBytes(8<<20), bytes.Repeat([]byte("young"), 1_000_000)
	l.put(id, "ETH", old)
	base, path := overTCP(t, f), l.signedPath(t, f, id)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	get := func(headers ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(context.Background(), "GET", base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	slow := get()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(slow.Body, first); err != nil {
		t.Fatal(err)
	}
	l.put(id, "ETH", young)
	rest, err := io.ReadAll(slow.Body)
	if err != nil || !bytes.Equal(append(first, rest...), old) {
		t.Errorf("%d bytes, %v: not the file that was opened", len(first)+len(rest), err)
	}
	etag := slow.Header.Get("Etag")
	if resp := get("Range", "bytes=1000-", "If-Range", etag); resp.StatusCode != 200 || resp.ContentLength != int64(len(young)) || resp.Header.Get("Etag") == etag {
		t.Errorf("If-Range of the old one: %d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
	if resp := get("Range", "bytes=1000-", "If-Match", etag); resp.StatusCode != 412 {
		t.Errorf("If-Match of the old one: %d", resp.StatusCode)
	}
	if resp := get("If-None-Match", etag); resp.StatusCode != 200 {
		t.Errorf("If-None-Match of the old one: %d", resp.StatusCode)
	}
	file := l.files[id]
	file.Bytes++
	l.files[id] = file
	if resp := get(); resp.StatusCode != 503 {
		t.Errorf("a file between two versions: %d", resp.StatusCode)
	}
	delete(l.content, id)
	if resp := get(); resp.StatusCode != 404 {
		t.Errorf("a file that is gone: %d", resp.StatusCode)
	}
}

// Many readers of parts at once get the whole of it, and memory does not grow with the file.
func TestParallelRanges(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	id, _ := lake.ParseID(ethDay)
	content := randomBytes(32 << 20)
	l.put(id, "ETH", content)
	base, path := overTCP(t, f), l.signedPath(t, f, id)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 60 * time.Second}
	defer client.CloseIdleConnections()
	const readers, parts = 16, 128
	size := len(content) / parts
	got := make([]byte, len(content))
	next := make(chan int, parts)
	for i := range parts {
		next <- i
	}
	close(next)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for i := range next {
				if err := readPart(client, base+path, i*size, got[i*size:(i+1)*size]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	reading.Wait()
	runtime.ReadMemStats(&after)
	if !bytes.Equal(got, content) {
		t.Error("the parts are not the file")
	}
	// Nearly all of it is the clients' and the fake's; a body in memory would be 32 MiB.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

func readPart(client *http.Client, url string, from int, into []byte) error {
	req, err := http.NewRequestWithContext(context.Background(), "GET", url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+len(into)-1))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, into); err != nil || resp.StatusCode != 206 {
		return fmt.Errorf("from %d: %d %w", from, resp.StatusCode, err)
	}
	return nil
}

// deadlineConn notes when writing must have ended.
type deadlineConn struct {
	net.Conn
	deadlines []time.Time
	fault     error
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.deadlines = append(c.deadlines, t)
	return c.fault
}

// Each piece of a file has a deadline of its own, so that a slow client gets a long file and a stuck one is let go.
func TestSlowDownload(t *testing.T) {
	part := func(size int64, fault error) (*filePart, *deadlineConn) {
		name := t.TempDir() + "/x"
		if err := os.WriteFile(name, randomBytes(int(size)), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		conn := &deadlineConn{fault: fault}
		return &filePart{file: file, left: size, conn: conn}, conn
	}
	p, conn := part(4*sendPiece+1, nil)
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	start := time.Now()
	n, err := p.WriteTo(w)
	if err != nil || n != 4*sendPiece+1 || len(conn.deadlines) != 5 || conn.deadlines[0].Before(start.Add(sendTime)) {
		t.Errorf("%d bytes, %v, %d deadlines", n, err, len(conn.deadlines))
	}
	if err := w.Flush(); err != nil || !bytes.Equal(out.Bytes(), randomBytes(4*sendPiece+1)) {
		t.Error("the bytes differ")
	}
	p, _ = part(10, net.ErrClosed)
	if _, err := p.WriteTo(io.Discard); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed connection: %v", err)
	}
	p, _ = part(10, nil)
	p.left = 20
	if n, err := p.WriteTo(io.Discard); n != 10 || err == nil {
		t.Errorf("a file that ends too early: %d, %v", n, err)
	}
	p, _ = part(100, nil)
	p.left = 60
	if b, err := io.ReadAll(struct{ io.Reader }{p}); err != nil || len(b) != 60 {
		t.Errorf("read: %d, %v", len(b), err)
	}
}
