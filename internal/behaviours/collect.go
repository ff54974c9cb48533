package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pgidem/pgidem/idem/idemtest"
)

// tests are the names of the tests of each behaviour, as package.TestName.
type tests map[int][]string

// claim is how a test names its behaviours, on a line of the comment above it
// that begins so.
var claim = regexp.MustCompile(`(?m)^Behaviours? (\d+(?:, \d+)*)[.:]`)

// looksLikeClaim finds claims also where they count for nothing.
var looksLikeClaim = regexp.MustCompile(`(?m)^Behaviours? \d`)

// collect reads the test files of all modules below root.
func collect(root string) (tests, error) {
	found := make(tests)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return found.addFile(root, path)
	})
	return found, err
}

func (t tests) addFile(root, path string) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	folder, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	counted := make(map[*ast.CommentGroup]bool)
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !isTest(f.Name.Name) || f.Doc == nil {
			continue
		}
		numbers, err := claimed(f.Doc.Text())
		if err != nil {
			return fmt.Errorf("%s: %s: %w", path, f.Name.Name, err)
		}
		counted[f.Doc] = true
		for _, n := range numbers {
			t[n] = append(t[n], filepath.ToSlash(folder)+"."+f.Name.Name)
		}
	}
	return strayClaim(files, file, counted)
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}

func claimed(doc string) (numbers []int, err error) {
	for _, match := range claim.FindAllStringSubmatch(doc, -1) {
		for text := range strings.SplitSeq(match[1], ", ") {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > len(statements) {
				return nil, fmt.Errorf("there is no behaviour %s", text)
			}
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// strayClaim finds a claim that is not above a test, or not in the form that is
// counted: its author believes that it counts.
func strayClaim(files *token.FileSet, file *ast.File, counted map[*ast.CommentGroup]bool) error {
	for _, group := range file.Comments {
		text := group.Text()
		claims := len(claim.FindAllString(text, -1))
		if looks := len(looksLikeClaim.FindAllString(text, -1)); looks > claims || looks > 0 && !counted[group] {
			return fmt.Errorf("%s: a behaviour is claimed where it is not counted: only in the comment above a test, in the form of 'Behaviours 3, 14.'", files.Position(group.Pos()))
		}
	}
	return nil
}

// kitCases are the cases of the conformance kit for each behaviour.
func kitCases() tests {
	cases := make(tests)
	for _, c := range idemtest.Cases() {
		if !strings.HasPrefix(c.Name, "WithoutAttempt/") { // the same, once more
			cases[c.Behaviour] = append(cases[c.Behaviour], c.Name)
		}
	}
	return cases
}
