// Package wallclock builds the torture program so that the wall clock of the
// process can be set while it runs.
//
// The clock of a machine cannot be set for one process: Go asks the kernel by
// way of the vDSO, where nothing can be put in between, and Linux's time
// namespaces leave the wall clock alone. So the standard library is compiled
// with an offset in time.Now. Exactly as with settimeofday, it moves the wall
// clock only: durations, timers and deadlines go by the monotonic one.
package wallclock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The line of time.Now behind which the offset is added.
const (
	reading = "\tsec, nsec, mono := runtimeNow()\n"
	adding  = "\tsec += ahead.Load()\n"
)

// setter is what the standard library gets besides.
const setter = `package time

import "sync/atomic"

var ahead atomic.Int64

// SetWallClockAhead makes Now tell so many seconds more than the machine does.
func SetWallClockAhead(seconds int64) { ahead.Store(seconds) }
`

// program is what is built.
const program = "github.com/pgidem/pgidem/torture"

// Build builds the program into the folder and returns its path; flags are more
// flags of go build. It works where the go command finds the program's module.
func Build(ctx context.Context, folder string, flags ...string) (string, error) {
	overlay, err := writeOverlay(ctx, folder)
	if err != nil {
		return "", fmt.Errorf("wallclock: %w", err)
	}
	binary := filepath.Join(folder, "server")
	arguments := append([]string{"build", "-overlay=" + overlay, "-tags=wallclock", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(arguments, program)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("wallclock: %s (run it in the torture folder): %w\n%s", cmd, err, out)
	}
	return binary, nil
}

func writeOverlay(ctx context.Context, folder string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	patched := bytes.Replace(text, []byte("func Now() Time {\n"+reading), []byte("func Now() Time {\n"+reading+adding), 1)
	if bytes.Equal(patched, text) {
		return "", errors.New("time.Now is not written as it was: this package must learn the new form")
	}
	replaced := map[string]string{
		original: filepath.Join(folder, "time.go"),
		filepath.Join(filepath.Dir(original), "wallclock.go"): filepath.Join(folder, "wallclock.go"),
	}
	list, _ := json.Marshal(map[string]any{"Replace": replaced}) // strings: it cannot fail
	overlay := filepath.Join(folder, "overlay.json")
	return overlay, errors.Join(
		os.WriteFile(filepath.Join(folder, "time.go"), patched, 0o600),
		os.WriteFile(filepath.Join(folder, "wallclock.go"), []byte(setter), 0o600),
		os.WriteFile(overlay, list, 0o600))
}
