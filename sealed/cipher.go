package sealed

import (
	"context"
	"errors"
)

// ErrUnknownKey: a record names an encryption key that this process does not
// have. What the store returns is an [idem.ErrRecordUnreadable] too.
var ErrUnknownKey = errors.New("sealed: encryption key is not known")

// Cipher encrypts and authenticates. [NewAESGCM] makes the usual one; a Cipher
// that asks a key service bounds its own waiting, and ends with ctx. It must be
// safe for concurrent use and must not keep or change what it is given.
type Cipher interface {
	// Seal returns plaintext encrypted, and the id of the encryption key that it
	// chose. The same plaintext gives another ciphertext each time. additional
	// is authenticated and not part of the ciphertext. An error fails the
	// Commit: nothing of a transaction is kept, and under a lease it is repeated
	// for a while.
	Seal(ctx context.Context, plaintext, additional []byte) (keyID string, ciphertext []byte, err error)
	// Open is the inverse of Seal. It returns an error, and nothing else, for
	// whatever Seal has not returned for the same additional. For a keyID that
	// is not known the error is [ErrUnknownKey]; where the key cannot be had at the
	// moment, one that is [idem.ErrStoreUnavailable], and the client may retry.
	Open(ctx context.Context, keyID string, ciphertext, additional []byte) (plaintext []byte, err error)
}
