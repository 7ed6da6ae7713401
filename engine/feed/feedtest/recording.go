package feedtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Recording returns the path of a file, or folder, below the folder of real recordings, which are not part of the
// repository: $HYPERLIGHT_RECORDINGS, else shared/data beside the repository. Where it is absent the test is skipped; where
// CI is set it fails, so that no run passes for want of its data.
func Recording(tb testing.TB, name string) string {
	tb.Helper()
	root := os.Getenv("HYPERLIGHT_RECORDINGS")
	if root == "" {
		root = filepath.Join(filepath.Dir(repository(tb)), "shared", "data")
	}
	path, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatalf("recording %s is missing: set HYPERLIGHT_RECORDINGS to the folder of the recordings (%v)", name, err)
		}
		tb.Skipf("recording %s is not here: set HYPERLIGHT_RECORDINGS to the folder of the recordings", name)
	}
	return path
}

// repository finds the folder of go.mod above the test's own.
func repository(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("the test runs outside of the repository")
		}
		dir = filepath.Dir(dir)
	}
}
