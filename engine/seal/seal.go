// Package seal owns how secrets are kept in the store: sealed with AES-256-GCM under a key that lies outside of it, and
// bound to the place that they belong to, so that a row copied elsewhere does not open. It must not store anything itself.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// KeyBytes is the length of a Box's key.
const KeyBytes = 32

const version = 1

// ErrSealed reports bytes that were not sealed with this key for this place.
var ErrSealed = errors.New("secret cannot be opened: it was sealed with another key, or is damaged")

// Box seals and opens secrets. It may be used from any goroutine.
type Box struct{ aead cipher.AEAD }

// New returns a box with a key of KeyBytes.
func New(key []byte) (*Box, error) {
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("make box: the key has %d bytes, not %d", len(key), KeyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make box: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make box: %w", err)
	}
	return &Box{aead: aead}, nil
}

// Seal returns a secret sealed for a place, as a version followed by nonce, ciphertext and tag.
func (b *Box) Seal(secret, place []byte) []byte {
	return b.aead.Seal([]byte{version}, nil, secret, place)
}

// Open returns the secret that was sealed for a place, or ErrSealed.
func (b *Box) Open(sealed, place []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != version {
		return nil, ErrSealed
	}
	secret, err := b.aead.Open(nil, nil, sealed[1:], place)
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// NewKey returns a random key.
func NewKey() []byte {
	key := make([]byte, KeyBytes)
	_, _ = rand.Read(key) // never fails
	return key
}
