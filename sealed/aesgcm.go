package sealed

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// AESGCM is a [Cipher] with keys of its own: AES in Galois/Counter Mode with a
// random nonce of 96 bits.
//
// Random nonces of that length bound how many records one key may seal: rotate
// before 2^32, four thousand million.
type AESGCM struct {
	current string
	keys    map[string]cipher.AEAD
}

var _ Cipher = (*AESGCM)(nil)

// NewAESGCM returns a Cipher that seals with keys[current] and opens what any of
// keys has sealed. A key has 16, 24 or 32 random bytes; take 32. Its id is kept
// in each record and is no secret. An id must never be given to another key.
func NewAESGCM(current string, keys map[string][]byte) (*AESGCM, error) {
	c := &AESGCM{current: current, keys: make(map[string]cipher.AEAD, len(keys))}
	for id, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			// It says the length, and nothing else of the key.
			return nil, fmt.Errorf("sealed: encryption key %q: %w", id, err)
		}
		if c.keys[id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("sealed: encryption key %q: %w", id, err)
		}
	}
	if c.keys[current] == nil {
		return nil, fmt.Errorf("%w: the current one, %q, is not among the %d given", ErrUnknownKey, current, len(keys))
	}
	return c, nil
}

// Seal implements [Cipher]. It never fails.
func (c *AESGCM) Seal(_ context.Context, plaintext, additional []byte) (keyID string, ciphertext []byte, err error) {
	return c.current, c.keys[c.current].Seal(nil, nil, plaintext, additional), nil
}

// Open implements [Cipher].
func (c *AESGCM) Open(_ context.Context, keyID string, ciphertext, additional []byte) ([]byte, error) {
	aead, ok := c.keys[keyID]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, keyID)
	}
	return aead.Open(nil, nil, ciphertext, additional)
}
