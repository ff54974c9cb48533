// Command behaviours writes docs/behaviours.md: what the library owes, and the
// tests that each line rests on. It is run from the root of the repository, and
// fails if a line has no test.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
)

// document is where the list stands.
const document = "docs/behaviours.md"

func main() {
	log.SetFlags(0)
	text, err := list(".")
	if text != "" {
		err = errors.Join(err, os.WriteFile(document, []byte(text), 0o644))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// list returns the document for the tests below root, also when it has gaps.
func list(root string) (string, error) {
	found, err := collect(root)
	if err != nil {
		return "", err
	}
	cases := kitCases()
	if missing := without(found, cases); len(missing) > 0 {
		err = fmt.Errorf("no test names these behaviours in the comment above it: %v", missing)
	}
	return render(found, cases), err
}

// without returns the numbers of the behaviours that have no test, or no case in
// the kit where they belong there.
func without(found, cases tests) (missing []int) {
	for i, s := range statements {
		n := i + 1
		if len(found[n]) == 0 || s.kit && len(cases[n]) == 0 {
			missing = append(missing, n)
		}
	}
	return missing
}

const preamble = `# Behaviours

What the library owes, and the tests that each line rests on. A test names its lines in the comment above it. This file is
written by ` + "`make behaviours`" + `, and a line without a test, or a file that is out of date, fails the tests.

Cases of the kit (` + "`idem/idemtest`" + `) run on every store: the conformance tests among the tests of a line run them.
`

func render(found, cases tests) string {
	var b strings.Builder
	b.WriteString(preamble)
	for i, s := range statements {
		n := i + 1
		fmt.Fprintf(&b, "\n## %d. %s\n\n", n, s.says)
		if len(cases[n]) > 0 {
			fmt.Fprintf(&b, "- kit: %s\n", names(cases[n]))
		}
		if len(found[n]) == 0 {
			b.WriteString("- no test\n")
		}
		for _, folder := range folders(found[n]) {
			fmt.Fprintf(&b, "- %s: %s\n", folder, names(in(folder, found[n])))
		}
	}
	return b.String()
}

func folders(all []string) (folders []string) {
	for _, name := range all {
		folder, _ := cutName(name)
		folders = append(folders, folder)
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// cutName parts folder and test; a folder's name may have a dot in it.
func cutName(name string) (folder, test string) {
	dot := strings.LastIndexByte(name, '.')
	return name[:dot], name[dot+1:]
}

func in(wanted string, all []string) (selected []string) {
	for _, name := range all {
		if folder, test := cutName(name); folder == wanted {
			selected = append(selected, test)
		}
	}
	return selected
}

func names(all []string) string {
	all = slices.Clone(all)
	slices.Sort(all)
	return "`" + strings.Join(slices.Compact(all), "`, `") + "`"
}
