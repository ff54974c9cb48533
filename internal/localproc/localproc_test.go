//go:build unix

package localproc

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func folder(t *testing.T, prefix string) *Folder {
	t.Helper()
	f, err := NewFolder(prefix, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Remove() })
	return f
}

func start(t *testing.T, script string) (*process, *Folder) {
	t.Helper()
	f := folder(t, "pgidem-localproc-")
	p, err := startProcess(exec.Command("/bin/sh", "-c", script), f, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p, f
}

var errNotYet = errors.New("not yet")

func TestReadyIsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	p, _ := start(t, "exec sleep 60")
	asked := 0
	err := p.awaitReady(t.Context(), time.Minute, func(context.Context) error {
		if asked++; asked < 3 {
			return errNotYet
		}
		return nil
	})
	if err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func TestWaitForAServerEnds(t *testing.T) {
	t.Parallel()
	never := func(context.Context) error { return errNotYet }
	p, f := start(t, "echo its last word; exit 1")
	if err := p.awaitReady(t.Context(), time.Minute, never); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of one that has exited: %v", err)
	}
	if f.log() != "its last word\n" {
		t.Errorf("its log is %q", f.log())
	}
	p, _ = start(t, "exec sleep 60")
	err := p.awaitReady(t.Context(), 20*time.Millisecond, never)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errNotYet) {
		t.Errorf("of one that is never ready: %v", err)
	}
}

func TestProcessEndsWithItsSignal(t *testing.T) {
	t.Parallel()
	p, f := start(t, `trap 'echo heard; exit 0' TERM; echo up; while :; do sleep 0.01; done`)
	up := func(context.Context) error {
		if !strings.Contains(f.log(), "up") {
			return errNotYet
		}
		return nil
	}
	if err := p.awaitReady(t.Context(), time.Minute, up); err != nil {
		t.Fatal(err)
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it is still there: %v", err)
	}
	if !strings.Contains(f.log(), "heard") {
		t.Errorf("it was not told: %q", f.log())
	}
	p.kill() // of one that has gone, at once
}

// A root's server must not be root's.
func TestServerIsNobodySpecial(t *testing.T) {
	t.Parallel()
	p, f := start(t, "id -u; touch mine")
	<-p.exited
	if uid := strings.TrimSpace(f.log()); uid == "0" || uid == "" {
		t.Errorf("it ran as user %q", uid)
	}
	if _, err := os.Stat(filepath.Join(f.Path(), "mine")); err != nil {
		t.Errorf("it cannot write in its folder: %v", err)
	}
}

// The folder of a process that was killed goes when the next one comes; one in
// use stays.
func TestFolderOfTheDeadGoes(t *testing.T) {
	t.Parallel()
	const prefix = "pgidem-localproc-dead-"
	inUse, dead := folder(t, prefix), folder(t, prefix)
	if err := dead.lock.Close(); err != nil { // as the kernel does for one killed
		t.Fatal(err)
	}
	dead.lock = nil
	next := folder(t, prefix)
	for path, want := range map[string]bool{inUse.Path(): true, dead.Path(): false, next.Path(): true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	if err := errors.Join(next.Remove(), next.Remove()); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

func TestAnotherPortIsTriedOnlyIfThatHelps(t *testing.T) {
	t.Parallel()
	other := errors.New("no license")
	for name, c := range map[string]struct {
		answers []error
		want    error
	}{
		"taken at first": {[]error{errPortTaken, errPortTaken, nil}, nil},
		"another reason": {[]error{other}, other},
		"always taken":   {slices.Repeat([]error{errPortTaken}, startTries), errPortTaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tried := 0
			err := onFreePort(func(port int) error {
				if port <= 0 || port > maxPort {
					t.Errorf("port %d", port)
				}
				tried++
				return c.answers[tried-1]
			})
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || tried != len(c.answers) {
				t.Errorf("tried %d ports: %v, want %d: %v", tried, err, len(c.answers), c.want)
			}
		})
	}
}

// A port that is called free can be listened on, unless somebody else was faster: that
// does not happen time and again.
func TestFreePortIsFree(t *testing.T) {
	t.Parallel()
	var taken error
	for range startTries {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err == nil {
			_ = l.Close()
			return
		}
		taken = err
	}
	t.Error(taken)
}

func TestFirstLegThatStandsIsTaken(t *testing.T) {
	t.Parallel()
	leg := func(name string, err error) Leg[string] {
		return Leg[string]{Name: name, Start: func(context.Context) (string, error) { return name, err }}
	}
	broken := errors.New("it is broken")
	got, err := First(t.Context(), "wanted one", []Leg[string]{leg("a", broken), leg("b", nil), leg("c", nil)})
	if got != "b" || err != nil {
		t.Errorf("First = %q, %v", got, err)
	}
	_, err = First(t.Context(), "wanted one", []Leg[string]{leg("a", broken), leg("b", errNotYet)})
	for _, part := range []string{"wanted one", "a: it is broken", "b: not yet"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not say %q", err, part)
		}
	}
	decisive := errors.Join(ErrDecisive, broken)
	if got, err := First(t.Context(), "wanted one", []Leg[string]{leg("a", decisive), leg("b", nil)}); got != "" || !errors.Is(err, broken) {
		t.Errorf("what was asked for by name failed, and First = %q, %v", got, err)
	}
}
