package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Credentials of the store of the tests. The secret must appear nowhere.
const (
	storeKey    = "AKIATESTTESTTESTTEST"
	storeSecret = "a-secret-that-no-log-may-ever-show/0123456789"
	storeBucket = "lake"
	storeRegion = "eu-test-1"
)

// storeProgram builds the S3 server of testdata/s3 (Versity's gateway). The program is kept for the next run; what it is made
// of is in Go's build cache. Where both are empty it takes about a minute of processor time.
var storeProgram = sync.OnceValues(func() (string, error) {
	source := filepath.Join("..", "testdata", "s3")
	version := sha256.New()
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		_, _ = version.Write(text) // never fails
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "hyperlight-tests", fmt.Sprintf("s3-%s-%x", runtime.Version(), version.Sum(nil)[:8]))
	program := filepath.Join(dir, "s3")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	unfinished := fmt.Sprintf("%s.%d", program, os.Getpid())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", unfinished, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the S3 server: %w\n%s", err, out)
	}
	return program, os.Rename(unfinished, program)
})

// freeAddress returns an address that nobody listens on. Its port is below those that systems give away by themselves: it
// stays free until a server of the test takes it.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000)))
		if err == nil {
			_ = ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// startStore starts an S3 server over an empty directory with one bucket, and returns its address and directory.
func startStore(t *testing.T) (endpoint, dir string) {
	t.Helper()
	program, err := storeProgram()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "objects")
	if err := os.MkdirAll(filepath.Join(dir, storeBucket), 0o700); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	var out bytes.Buffer
	server := exec.Command(program, dir, address, storeKey, storeSecret, storeRegion)
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Wait()
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the store said:\n%s", out.Bytes())
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for range 300 {
		if resp, err := client.Get("http://" + address + "/health"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + address, dir
			}
		}
		select {
		case <-ended:
			t.Fatal("the store ended")
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("the store did not start")
	return "", ""
}
