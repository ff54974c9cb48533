package txstore_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// childVariable makes the test program run one of the children instead of the
// tests: a process that can be killed.
const childVariable = "PGIDEM_TEST_CHILD"

// children by name. Each gets the database and prints a line when it has come to
// the point where the test takes over.
var children = map[string]func(url string){}

func TestMain(m *testing.M) {
	if name, url, ok := strings.Cut(os.Getenv(childVariable), " "); ok {
		children[name](url)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startChild runs a child until it prints a line. The child is killed at the
// end of the test, if not before.
func startChild(tb testing.TB, name, url string) *os.Process {
	tb.Helper()
	if children[name] == nil {
		tb.Fatalf("no child %q", name)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+name+" "+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead already
		_ = cmd.Wait()
	})
	line := within(tb, patience, "the child's line", func() bool { return bufio.NewScanner(out).Scan() })
	if !line {
		tb.Fatalf("child %q ended before it printed a line", name)
	}
	return cmd.Process
}
