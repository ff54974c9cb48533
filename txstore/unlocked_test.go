package txstore_test

import (
	"os"
	"testing"

	"github.com/pgidem/pgidem/txstore"
)

// unlocked: the suite runs as on a server without advisory locks and
// notifications. What is safe must be so there too; what only locks give is
// named, test by test, by needsLocks.
var unlocked = os.Getenv("PGIDEM_TEST_NO_LOCKS") != ""

// asUnlocked returns config without locks and notifications where the suite
// runs without them.
func asUnlocked(config txstore.Config) txstore.Config {
	config.DisableLocks = config.DisableLocks || unlocked
	return config
}

// needsLocks leaves out, where the suite runs unlocked, a test of what locks or
// notifications are there for.
func needsLocks(tb testing.TB, why string) {
	tb.Helper()
	if unlocked {
		tb.Skip("needs locks: " + why)
	}
}
