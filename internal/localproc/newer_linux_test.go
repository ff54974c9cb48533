package localproc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fetch stands for mmdebstrap, and the tree it makes for one of another release.
const fetch = `#!/bin/sh
set -e
for tree; do :; done
echo "$tree" >> "$FETCHED"
mkdir -p "$tree/usr/bin" "$tree/usr/lib"
sleep 0.2 # as a download, so that another run meets this one
touch "$tree/usr/lib/libc.so.6"
printf '#!/bin/sh\nshift 2\nexec "$@"\n' > "$tree/usr/lib/ld-linux-test.so.1"
printf '#!/bin/sh\necho "newer of $1"\n' > "$tree/usr/bin/program"
chmod 755 "$tree"/usr/*/*
`

// Programs are fetched once, whoever asks for them at the same time, also where a
// name has spaces, and not again where they are.
func TestNewerProgramsAreFetchedOnce(t *testing.T) {
	t.Parallel()
	bin, folder := t.TempDir(), filepath.Join(t.TempDir(), "a folder")
	for name, text := range map[string]string{"mmdebstrap": fetch, "id": "#!/bin/sh\necho 0\n"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	fetched := filepath.Join(bin, "fetched")
	run := func() {
		cmd := exec.CommandContext(t.Context(), "./newer.sh", folder, "package", "name=program") //nolint:gosec // ours
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "FETCHED="+fetched)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "newer of --version\n" {
			t.Errorf("newer.sh: %v, and said %q", err, out)
		}
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(run)
	}
	all.Wait()
	run()
	if b, err := os.ReadFile(fetched); err != nil || strings.Count(string(b), "\n") != 1 { //nolint:gosec // ours
		t.Errorf("fetched %q (%v), want it once", b, err)
	}
}
