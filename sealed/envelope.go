package sealed

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// A sealed record has one header, which a plain record cannot have by accident:
// the version of the format and the id of the encryption key. It stands there
// and not in the body so that one sees in the table which ids are in use. The
// body is the ciphertext of: length and text of the request hash, if the inner
// store does not have it in clear; length and encoding of the header; the body.
const (
	headerName = "Pgidem-Sealed"
	version    = "1"
)

// Labels keep what is computed here for one purpose apart from all else.
const (
	additionalLabel = "pgidem sealed record 1"
	hashLabel       = "pgidem sealed hash 1"
)

var errPlain = errors.New("it is not encrypted, and Config.AcceptPlain is not set")

// seal returns what the inner store keeps of response.
func (s *Store) seal(ctx context.Context, key, requestHash string, response idem.Cached) (idem.Cached, error) {
	if s.config.OpenOnly {
		response.RequestHash = requestHash
		if _, ok := response.Header[headerName]; ok {
			response.Header = response.Header.Clone() // a handler's own would be taken for a seal
			delete(response.Header, headerName)
		}
		return response, nil
	}
	kept := idem.Cached{Status: response.Status, RequestHash: s.innerHash(key, requestHash)}
	enclosed := ""
	if kept.RequestHash != requestHash {
		enclosed = requestHash
	}
	keyID, ciphertext, err := s.config.Cipher.Seal(ctx, encode(enclosed, response), additional(key, kept))
	if err != nil {
		return idem.Cached{}, err
	}
	kept.Header, kept.Body = http.Header{headerName: {version, keyID}}, ciphertext
	return kept, nil
}

func encode(enclosed string, response idem.Cached) []byte {
	header := record.EncodeHeader(response.Header)
	b := make([]byte, 0, len(enclosed)+len(header)+len(response.Body)+2*binary.MaxVarintLen32)
	b = appendField(b, []byte(enclosed))
	b = appendField(b, header)
	return append(b, response.Body...)
}

// open is the inverse of seal.
func (s *Store) open(ctx context.Context, key string, kept idem.Cached) (idem.Cached, error) {
	seal, ok := kept.Header[headerName]
	switch {
	case !ok && (s.config.AcceptPlain || s.config.OpenOnly):
		return kept, nil
	case !ok:
		return idem.Cached{}, errPlain
	case len(seal) != 2 || seal[0] != version || len(kept.Header) != 1:
		return idem.Cached{}, fmt.Errorf("its seal %q is not known to this version", seal)
	}
	plaintext, err := s.config.Cipher.Open(ctx, seal[1], kept.Body, additional(key, kept))
	if err != nil {
		return idem.Cached{}, fmt.Errorf("encryption key %q: %w", seal[1], err)
	}
	return decode(plaintext, kept)
}

// decode takes a plaintext apart. It was authenticated, so what is wrong with it
// was wrong when it was sealed.
func decode(plaintext []byte, kept idem.Cached) (opened idem.Cached, err error) {
	hash, rest, ok := cutField(plaintext)
	header, body, ok2 := cutField(rest)
	if !ok || !ok2 {
		return opened, errors.New("what was sealed is cut short")
	}
	opened = idem.Cached{Status: kept.Status, Body: body, RequestHash: kept.RequestHash, StoredAt: kept.StoredAt}
	if len(hash) > 0 {
		opened.RequestHash = string(hash)
	}
	opened.Header, err = record.DecodeHeader(record.Format, header)
	return opened, err
}

// additional is what a record is bound to besides its encryption key. The
// moments are not in it: the inner store's clock sets them after the sealing.
func additional(key string, kept idem.Cached) []byte {
	b := make([]byte, 0, len(additionalLabel)+len(key)+len(kept.RequestHash)+32)
	b = appendField(b, []byte(additionalLabel))
	b = appendField(b, []byte(key))
	b = appendField(b, []byte(kept.RequestHash))
	return strconv.AppendInt(b, int64(kept.Status), 10)
}

// innerHash returns the request hash that the inner store sees. The key is in
// it, so that one request under two keys gives two hashes.
func (s *Store) innerHash(key, requestHash string) string {
	if s.config.HashSecret == nil || s.config.OpenOnly {
		return requestHash
	}
	mac := hmac.New(sha256.New, s.config.HashSecret)
	b := appendField(nil, []byte(hashLabel))
	b = appendField(b, []byte(key))
	mac.Write(append(b, requestHash...))
	return hex.EncodeToString(mac.Sum(nil))
}

// appendField writes a field behind its length, so that no two sequences of
// fields give the same bytes.
func appendField(b, field []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

func cutField(b []byte) (field, rest []byte, ok bool) {
	length, size := binary.Uvarint(b)
	if size <= 0 || length > uint64(len(b)-size) {
		return nil, nil, false
	}
	b = b[size:]
	return b[:length], b[length:], true
}
