package redisstore

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pgidem/pgidem/idem"
	"github.com/pgidem/pgidem/internal/record"
)

// The layout of a record, which the scripts know too: see lua/record.lua.
const (
	version         = 1
	stateLeased     = 'L'
	stateCompleted  = 'C'
	stateRemembered = 'R'
	atOffset        = 10
	attemptOffset   = 18
	headBytes       = 54
	forgottenBytes  = 8 // follow the head of a record that is to be remembered
)

// stored is a record as a probe met it.
type stored struct {
	completed bool
	at        time.Time // of the Commit, if completed
	attempt   string
	hash      string
	response  []byte
}

// freeHead is the head of a lease without the attempt. It has no times: the
// server knows them of the key.
const freeHead = "\x01L\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// leaseHead returns the head of an attempt's lease.
func leaseHead(attempt string) string { return freeHead + attempt }

// encodeLease returns the record of an attempt's lease.
func encodeLease(attempt, hash string) string {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(hash))) //nolint:gosec // no hash has 4 GiB
	return freeHead + attempt + string(length[:]) + hash
}

func appendHash(b []byte, hash string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(hash))) //nolint:gosec // no hash has 4 GiB
	return append(b, hash...)
}

// encodeCompleted returns what follows the times in a completed record: the
// attempt, the request hash, then status, length of the header, header and body.
func encodeCompleted(attempt, hash string, c idem.Cached) []byte {
	header := record.EncodeHeader(c.Header)
	b := make([]byte, 0, len(attempt)+4+len(hash)+2*binary.MaxVarintLen64+len(header)+len(c.Body))
	b = appendHash(append(b, attempt...), hash)
	b = binary.AppendVarint(b, int64(c.Status))
	b = binary.AppendUvarint(b, uint64(len(header)))
	b = append(b, header...)
	return append(b, c.Body...)
}

// decode takes a record apart.
func decode(b string) (stored, error) {
	if len(b) < headBytes || b[0] != version {
		return stored{}, unreadable("no record of version %d in %d bytes", version, len(b))
	}
	var r stored
	tail := b[headBytes:]
	switch b[1] {
	case stateLeased:
	case stateCompleted:
		r.completed = true
	case stateRemembered:
		r.completed = true
		tail = tail[min(forgottenBytes, len(tail)):]
	default:
		return stored{}, unreadable("state is %q", b[1])
	}
	r.at = serverTime(int64(binary.BigEndian.Uint64([]byte(b[atOffset:])))) //nolint:gosec // written from a positive number
	r.attempt = b[attemptOffset:headBytes]
	err := r.decodeTail(tail)
	return r, err
}

// decodeTail takes apart what follows a head.
func (r *stored) decodeTail(tail string) error {
	if len(tail) < 4 {
		return unreadable("no request hash")
	}
	rest := tail[4:]
	length := uint64(binary.BigEndian.Uint32([]byte(tail)))
	if length > uint64(len(rest)) {
		return unreadable("request hash of %d bytes in %d", length, len(rest))
	}
	r.hash, r.response = rest[:length], []byte(rest[length:])
	return nil
}

// cached decodes the response of a completed record.
func (r stored) cached() (*idem.Cached, error) {
	status, size := binary.Varint(r.response)
	if size <= 0 {
		return nil, unreadable("no status")
	}
	rest := r.response[size:]
	length, size := binary.Uvarint(rest)
	if size <= 0 || length > uint64(len(rest)-size) {
		return nil, unreadable("header is cut short")
	}
	rest = rest[size:]
	header, err := record.DecodeHeader(record.Format, rest[:length])
	if err != nil {
		return nil, unreadable("%w", err)
	}
	return &idem.Cached{Status: int(status), Header: header, Body: rest[length:], RequestHash: r.hash, StoredAt: r.at}, nil
}

// serverTime converts what the scripts' clock says.
func serverTime(microseconds int64) time.Time { return time.UnixMicro(microseconds).UTC() }

func unreadable(format string, args ...any) error {
	return fmt.Errorf("redisstore: %w: %w", idem.ErrRecordUnreadable, fmt.Errorf(format, args...))
}
