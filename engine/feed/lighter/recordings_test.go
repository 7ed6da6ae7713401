package lighter

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"hyperlight/engine/feed/feedtest"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recordedFrames reads the frames of a recording, oldest first, with whatever wraps them taken off. What a client sent
// is left out.
func recordedFrames(t testing.TB, file string) [][]byte {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var frames [][]byte
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			var wrap struct {
				Dir   string          `json:"dir"`
				Raw   *string         `json:"raw"`
				Frame json.RawMessage `json:"frame"`
				Msg   json.RawMessage `json:"msg"`
			}
			if err := json.Unmarshal(line, &wrap); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			switch {
			case wrap.Dir == "out":
				continue
			case wrap.Raw != nil:
				line = []byte(*wrap.Raw)
			case wrap.Frame != nil:
				line = wrap.Frame
			case wrap.Msg != nil:
				line = wrap.Msg
			}
			frames = append(frames, bytes.Clone(line))
		}
		if err == io.EOF {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// allRecordings lists every file of recorded stream frames.
func allRecordings(t testing.TB) []string {
	dir := feedtest.Recording(t, "")
	var files []string
	for _, pattern := range []string{"lighter/ws/*.jsonl", "captures/lighter/ws-*.gz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 20 {
		t.Fatalf("%d recordings in %s, want at least 20", len(files), dir)
	}
	return files
}
