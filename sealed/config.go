package sealed

import (
	"errors"
	"fmt"

	"github.com/pgidem/pgidem/idem"
)

// Config says how a Store seals. Only Cipher is required. New copies it.
type Config struct {
	// Cipher seals and opens. Required.
	Cipher Cipher
	// AcceptPlain replays also what was recorded without encryption. Set it when
	// encryption is switched on under live traffic, and take it away after a TTL:
	// as long as it is set, whoever can write to the table can put a response of
	// his own there. Defaults to false: a plain record is unreadable.
	AcceptPlain bool
	// OpenOnly records in clear and opens what others have sealed, with all that
	// AcceptPlain accepts: the first step of switching encryption on, before the
	// first process seals, or of switching it off. Defaults to false.
	OpenOnly bool
	// HashSecret keys the request hash that the inner store sees, so that the
	// bodies which a request could have had cannot be tried against it, and
	// equal requests do not look equal. At least 16 random bytes, the same in
	// every process. To set or change it, or to leave OpenOnly with it, is safe,
	// and yet to be done in a quiet moment: while processes differ in it, a
	// duplicate of a request in flight or of a remembered one is
	// [idem.ErrHashMismatch]. Completed records are
	// not concerned. Defaults to nil: the inner store sees the hash itself.
	HashSecret []byte
}

const minHashSecret = 16

func (c Config) validate(inner idem.Store) error {
	switch {
	case inner == nil:
		return errors.New("sealed: inner is nil: give New the store that keeps the records")
	case c.Cipher == nil:
		return errors.New("sealed: Config.Cipher is nil: give it one, for example of sealed.NewAESGCM")
	case c.HashSecret != nil && len(c.HashSecret) < minHashSecret:
		return fmt.Errorf("sealed: Config.HashSecret has %d bytes: it must have %d at least", len(c.HashSecret), minHashSecret)
	}
	return nil
}
