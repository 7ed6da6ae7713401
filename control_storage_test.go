package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hyperlight/engine/model"
)

// The end of a check removes a copy that was made for one, and nothing beside or above it.
func TestEndCheckStaysInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	c := &storeControl{checking: filepath.Join(dir, "checking")}
	if err := os.MkdirAll(filepath.Join(c.checking, "copy"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "..", "copy", dir, c.checking, c.checking + "/..", c.checking + "/.", c.checking + "/", c.checking + "/copy/../..", c.checking + "/../x"} {
		e, ok := errors.AsType[*model.Error](c.EndCheck(path))
		if _, err := os.Stat(filepath.Join(c.checking, "copy")); !ok || e.Code != model.CodeBadRequest || err != nil {
			t.Fatalf("%q: %v, %v", path, e, err)
		}
	}
	if err := c.EndCheck(filepath.Join(c.checking, "copy")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(c.checking, "copy")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
}
