package waitmodel_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgidem/pgidem/internal/waitmodel"
)

var update = flag.Bool("update", false, "write the digests of the code into docs/model/steps.txt")

const stepsFile = "../../docs/model/steps.txt"

// The model is only worth something as long as it is the model of this code.
func TestModelIsOfThisCode(t *testing.T) {
	t.Parallel()
	steps := make(map[string]waitmodel.Step)
	for _, dir := range []string{"../../txstore", "../../db"} {
		of, err := waitmodel.Steps(dir)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(steps, of)
	}
	list, err := os.ReadFile(stepsFile)
	if err != nil {
		t.Fatal(err)
	}
	complaints, renewed := waitmodel.Compare(list, steps)
	if *update {
		if err := os.WriteFile(stepsFile, renewed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range complaints {
		if *update && !strings.Contains(c, "is new") {
			t.Log(c)
			continue
		}
		t.Errorf("%s", c)
	}
	if t.Failed() {
		t.Error("Does docs/model/wait.pml still say what these do? Change it where it does not and run make model;" +
			" then write their digests with: go test ./internal/waitmodel -update." +
			" What is new to the protocol goes into docs/model/steps.txt by hand, as: new NAME; then -update")
	}
}

const before = `package p

// A comment.
func (s *Store) step(h int32) {
	s.letGo(h) // why
}

const query = ` + "`-- name: Query\nSELECT a\nFROM b`" + `
`

// What the compiler does not see is no change; everything else is one.
func TestChangesAreNoticed(t *testing.T) {
	t.Parallel()
	list := "# a comment\nnew p.Store.step\nnew p.query\n"
	_, listed := waitmodel.Compare([]byte(list), stepsOf(t, before))
	for name, c := range map[string]struct{ source, want string }{
		"Same":      {before, ""},
		"Comments":  {strings.ReplaceAll(strings.ReplaceAll(before, "// why", ""), "A comment", "Another"), ""},
		"Layout":    {strings.ReplaceAll(before, "letGo(h)", "letGo(\n\t\th,\n\t)"), ""},
		"SQLLayout": {strings.ReplaceAll(before, "SELECT a\nFROM b", "-- says\nSELECT\n    a FROM b"), ""},
		"Call":      {strings.ReplaceAll(before, "letGo", "rollBack"), "p.Store.step has changed"},
		"Argument":  {strings.ReplaceAll(before, "letGo(h)", "letGo(h+1)"), "p.Store.step has changed"},
		"SQL":       {strings.ReplaceAll(before, "FROM b", "FROM c"), "p.query has changed"},
		"Gone":      {strings.ReplaceAll(before, "step", "leap"), "p.Store.leap is new to the protocol: it uses letGo\np.Store.step is gone"},
		"New":       {before + "func other() { letGo() }\n", "p.other is new to the protocol: it uses letGo"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			complaints, renewed := waitmodel.Compare(listed, stepsOf(t, c.source))
			if got := strings.Join(complaints, "\n"); got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
			if c.want == "" && string(renewed) != string(listed) {
				t.Errorf("the list became\n%s\nwant\n%s", renewed, listed)
			}
		})
	}
}

func stepsOf(t *testing.T, source string) map[string]waitmodel.Step {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "p")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	steps, err := waitmodel.Steps(dir)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
