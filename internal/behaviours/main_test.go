package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

func TestListIsCompleteAndCurrent(t *testing.T) {
	t.Parallel()
	want, err := list(root)
	if err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(filepath.Join(root, document))
	if err != nil || string(got) != want {
		t.Errorf("%s is out of date: run make behaviours (%v)", document, err)
	}
}

var testName = regexp.MustCompile(`\bTest[A-Z]\w+`)

// A claim of the documentation that points to a test points to one that exists.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(documents) == 0 {
		t.Fatal(documents, err)
	}
	existing := allTests(t)
	for _, path := range documents {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range testName.FindAllString(string(text), -1) {
			if !existing[name] && name != "TestShelfConforms" { // of the example in the page itself
				t.Errorf("%s names %s, and there is no such test", path, name)
			}
		}
	}
}

func allTests(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
			all[match[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMissingBehaviourIsFound(t *testing.T) {
	t.Parallel()
	found, cases := make(tests), make(tests)
	for i := range statements {
		found[i+1], cases[i+1] = []string{"x.TestX"}, []string{"X"}
	}
	if missing := without(found, cases); len(missing) != 0 {
		t.Errorf("missing %v of a complete list", missing)
	}
	delete(found, 25)
	delete(cases, 7) // of the kit
	delete(cases, 14)
	if missing := without(found, cases); len(missing) != 2 || missing[0] != 7 || missing[1] != 25 {
		t.Errorf("missing %v, want 7 and 25", missing)
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"// Behaviour 3.\nfunc TestA() {}":                            "3",
		"// Behaviours 3, 14: why.\n// More.\nfunc FuzzA() {}":        "3 14",
		"// Nothing is said of Behaviour 3.\nfunc TestA() {}":         "",
		"// Behaviour 3.\nfunc helper() {}":                           "not counted",
		"// Behaviour 3 and more.\nfunc TestA() {}":                   "not counted",
		"// It is so.\n//\n// Behaviour 3.\nfunc TestA() {}":          "3",
		"// Behaviour 61.\nfunc TestA() {}":                           "no behaviour 61",
		"// Behaviour 0.\nfunc TestA() {}":                            "no behaviour 0",
		"// Behaviour 3.\n\n// Far from it.\nfunc TestA() {}":         "not counted",
		"type t int\n\n// Behaviour 3.\nfunc (t) TestA() {}":          "not counted",
		"func TestA() {\n\t// Behaviour 3.\n}":                        "not counted",
		"// Behaviour 3.\nfunc TestA() {\n\t// Behaviour of it.\n}\n": "3",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a_test.go"), []byte("package a\n\n"+source+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := collect(dir)
		got := ""
		for n := range statements {
			if len(found[n+1]) > 0 {
				got = strings.TrimSpace(got + " " + strconv.Itoa(n+1))
			}
		}
		if err != nil {
			got = err.Error()
		}
		if got != want && !(err != nil && want != "" && strings.Contains(got, want)) {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}
