package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hyperlight/engine/lake"
)

// exported is a file as the list tells it.
type exported struct {
	ID      string `json:"export_id"`
	Dataset lake.Dataset
	Market  *int64 `json:"market_id"`
	Date    string
	Rows    int64
	Bytes   int64  `json:"size_bytes"`
	SHA256  string `json:"sha256"`
	Status  string
}

// exports is the list of files and what the making of them is at.
type exports struct {
	Exports []exported
	State   struct {
		Status   string
		Finished *int64 `json:"finished_at"`
		Next     *int64 `json:"next_at"`
	}
}

func (a *appliance) exports(query string) (e exports) {
	a.t.Helper()
	a.get("/api/v1/data-lake/exports?limit=1000&order=asc&"+query, &e)
	return e
}

// waitLake waits until the files of all finished days are made, and returns those that a query asks for.
func (a *appliance) waitLake(query string) map[string]exported {
	a.t.Helper()
	var e exports
	waitFor(a.t, time.Minute, func() bool { e = a.exports(query); return e.State.Status == "idle" && e.State.Next != nil },
		func() string { return fmt.Sprintf("%+v", e) })
	out := make(map[string]exported, len(e.Exports))
	for _, f := range e.Exports {
		if f.Status != "ready" || f.Rows <= 0 || out[f.ID].ID != "" {
			a.t.Errorf("listed is %+v", f)
		}
		out[f.ID] = f
	}
	return out
}

// link asks for the link to a file.
func (a *appliance) link(f exported) string {
	a.t.Helper()
	var d struct {
		URL       string
		ExpiresIn int `json:"expires_in"`
		SHA256    string
		Bytes     int64 `json:"size_bytes"`
	}
	a.get("/api/v1/data-lake/download/"+f.ID, &d)
	if d.ExpiresIn < 890 || d.ExpiresIn > 900 || d.SHA256 != f.SHA256 || d.Bytes != f.Bytes || !strings.HasPrefix(d.URL, a.base+"/api/v1/data-lake/files/"+f.ID+".parquet?") {
		a.t.Errorf("download of %+v is %+v", f, d)
	}
	return d.URL
}

// fetchPart fetches an address, or a range of it.
func fetchPart(method, address, part string) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		return nil, nil, err
	}
	if part != "" {
		req.Header.Set("Range", part)
	}
	client := http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// download fetches a file by its link, wants it to be the one that is listed, whole and in parts, and keeps it.
func (a *appliance) download(f exported, dir string) (link, name string) {
	a.t.Helper()
	link = a.link(f)
	whole, body, err := fetchPart("GET", link, "")
	if err != nil {
		a.t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	etag := `"` + f.SHA256 + `"`
	if hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(body)) != f.Bytes || whole.Header.Get("ETag") != etag ||
		whole.StatusCode != 200 || whole.Header.Get("Content-Type") != "application/vnd.apache.parquet" {
		a.t.Errorf("%s: status %d, %d bytes, SHA-256 %x, headers %v; listed is %+v", f.ID, whole.StatusCode, len(body), sum, whole.Header, f)
	}
	for part, want := range map[string][]byte{"bytes=-8": body[len(body)-8:], "bytes=4-19": body[4:20], fmt.Sprintf("bytes=%d-", len(body)/2): body[len(body)/2:]} {
		resp, got, err := fetchPart("GET", link, part)
		if err != nil || resp.StatusCode != 206 || !bytes.Equal(got, want) || resp.Header.Get("ETag") != etag {
			a.t.Errorf("%s %s: %v, %d bytes of %d", f.ID, part, err, len(got), len(want))
		}
	}
	if resp, got, err := fetchPart("HEAD", link, ""); err != nil || resp.StatusCode != 200 || len(got) > 0 || resp.ContentLength != f.Bytes {
		a.t.Errorf("HEAD of %s: %v %+v", f.ID, err, resp)
	}
	if resp, _, err := fetchPart("GET", strings.Replace(link, "signature=", "signature=0", 1), ""); err != nil || resp.StatusCode != 403 {
		a.t.Errorf("%s with a wrong signature: %v %v", f.ID, err, resp)
	}
	if resp, _, err := fetchPart("GET", a.base+"/api/v1/data-lake/download/"+f.ID+"?redirect=true", ""); err != nil || resp.StatusCode != 302 ||
		!strings.HasPrefix(resp.Header.Get("Location"), strings.SplitAfter(link, "?")[0]) {
		a.t.Errorf("%s redirected: %v %v", f.ID, err, resp)
	}
	name = filepath.Join(dir, f.ID+".parquet")
	if err := os.WriteFile(name, body, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return link, name
}

// recordedLake is the files of the recorded day, as they were downloaded.
type recordedLake struct {
	*appliance
	names, links map[string]string // by id
	readers      map[string][]fileTold
}

func (a *appliance) downloadAll(files map[string]exported) *recordedLake {
	a.t.Helper()
	r := &recordedLake{appliance: a, names: map[string]string{}, links: map[string]string{}}
	dir := a.t.TempDir()
	for id, f := range files {
		r.links[id], r.names[id] = a.download(f, dir)
	}
	return r
}
