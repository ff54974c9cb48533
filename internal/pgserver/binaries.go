package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/pgidem/pgidem/internal/localproc"
)

// findBinaries returns the folder of initdb and postgres.
func findBinaries() (string, error) {
	if dir := os.Getenv(BinVariable); dir != "" {
		if !hasServer(dir) {
			return "", fmt.Errorf("%s: no initdb and postgres in %s (%w)", BinVariable, dir, localproc.ErrDecisive)
		}
		return dir, nil
	}
	for _, dir := range append(pathFolders(), debianFolders()...) {
		if hasServer(dir) {
			return dir, nil
		}
	}
	return "", errors.New("no initdb and postgres in " + BinVariable + ", PATH or /usr/lib/postgresql/*/bin")
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// pathFolders resolves links, because the server looks for its other files
// beside the binary.
func pathFolders() []string {
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return nil
	}
	if resolved, err := filepath.EvalSymlinks(initdb); err == nil {
		initdb = resolved
	}
	return []string{filepath.Dir(initdb)}
}

// debianFolders returns the folders of Debian's packages, the newest major
// version first.
func debianFolders() []string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return major(b) - major(a) })
	return dirs
}

func major(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}
