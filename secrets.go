package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// secrets is the installation's key file: 32 random bytes that survive restarts and stay outside the store, so that no
// copy of the store carries them. Every use derives its own key from it.
type secrets struct{ root []byte }

const secretBytes = 32

// openSecrets reads the key file of a data directory, or makes one at the first start.
func openSecrets(dir string) (*secrets, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	name := filepath.Join(dir, "key")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecrets(dir, name); err != nil {
			return nil, fmt.Errorf("make key file %s: %w", name, err)
		}
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, failf(exitRefused, "run chmod 600 on it", "key file %s can be read by others", name)
	}
	root, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(root) != secretBytes {
		return nil, failf(exitConfig, "restore it, or delete it to make a new one", "key file %s is not %d bytes in hex", name, secretBytes)
	}
	return &secrets{root: root}, nil
}

// makeSecrets writes a key file unless another process was faster: that one's key is in use already, and must stay.
func makeSecrets(dir, name string) error {
	root := make([]byte, secretBytes)
	if _, err := rand.Read(root); err != nil {
		return err
	}
	f, err := renameio.NewPendingFile(name, renameio.WithTempDir(dir), renameio.WithPermissions(0o600))
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err // the name is that of a temporary file
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // after success there is nothing left of it
	if _, err := f.WriteString(hex.EncodeToString(root) + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	err = os.Link(f.Name(), name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return f.CloseAtomicallyReplace() // a file system without links
}

// derive returns the key of one use; the same name gives the same key as long as the key file lives.
func (s *secrets) derive(use string) []byte {
	mac := hmac.New(sha256.New, s.root)
	mac.Write([]byte(use))
	return mac.Sum(nil)
}
