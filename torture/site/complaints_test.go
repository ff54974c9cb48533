package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/internal/localproc"
)

func TestServersThatCrashOrRaceComplain(t *testing.T) {
	t.Parallel()
	folder, err := localproc.NewFolder("pgidem-torture-site-", true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Remove() })
	for name, text := range map[string]string{
		"server-1-1.log": "",
		"server-1-2.log": "WARNING: DATA RACE\nWrite at",
		"server-2-1.log": "torture: server 2: no connection",
		"server-3-1.log": "panic: runtime error",
	} {
		if err := os.WriteFile(filepath.Join(folder.Path(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	complaints, err := (&Site{folder: folder}).Complaints()
	if err != nil || len(complaints) != 2 || !strings.Contains(complaints[0], "DATA RACE") || !strings.Contains(complaints[1], "runtime error") {
		t.Errorf("complaints %q, %v", complaints, err)
	}
}
