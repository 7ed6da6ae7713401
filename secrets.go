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
		root := make([]byte, secretBytes)
		if _, err := rand.Read(root); err != nil {
			return nil, fmt.Errorf("make key file: %w", err)
		}
		if err := renameio.WriteFile(name, []byte(hex.EncodeToString(root)+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write key file: %w", err)
		}
		return &secrets{root: root}, nil
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

// derive returns the key of one use; the same name gives the same key as long as the key file lives.
func (s *secrets) derive(use string) []byte {
	mac := hmac.New(sha256.New, s.root)
	mac.Write([]byte(use))
	return mac.Sum(nil)
}
